"""What is typed in a shell to get a token."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from urllib.parse import urlencode

_READ = "import json, sys; told = json.load(sys.stdin); print(told.get('access_token') or sys.exit(told))"


def token_command(endpoint: str, form: Mapping[str, str]) -> str:
    """The line that puts a token into ``TOKEN``, or shows what the provider says instead of issuing one.

    :param endpoint: the provider's token endpoint.
    :param form: what is posted there.
    """
    fields = " ".join(f"-d {shlex.quote(urlencode({name: value}))}" for name, value in form.items())
    return f'TOKEN=$(curl -sS {shlex.quote(endpoint)} {fields} | python3 -c "{_READ}")'
