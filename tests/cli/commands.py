"""How the tests run commands, and what they put into files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import Result
from flask import Flask

from flask_foreign_token.registry.edits import Edit

from ..apps import Resource, trusting_a_secret

NAMES = ["IdentityProvider/keycloak", "TokenIntrospector/secret", "AccessPolicy/known-issuer"]
"""Of the resources that :func:`.trusting_a_secret` makes."""

REGISTRIES = ["database", "file"]


def run(app: Flask, *arguments: str, stdin: str | bytes | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["foreign-token", *arguments], input=stdin)


def printed(app: Flask, *arguments: str) -> Any:
    """What a command that succeeds prints as JSON."""
    result = run(app, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(app: Flask, *arguments: str, stdin: str | bytes | None = None) -> str:
    """What a command that fails says; it prints nothing else, and no traceback."""
    result = run(app, *arguments, stdin=stdin)
    assert (result.exit_code, result.stdout) == (1, "")
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.stderr
    return result.stderr


def written(path: Path, content: object) -> str:
    """The path of a file that holds `content`, as JSON unless it is a text."""
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def stored(app: Flask) -> list[str]:
    """The names of what is stored, read beside the command line."""
    with app.app_context():
        catalog = app.extensions["foreign_token"].runtime().catalog
        types = ("IdentityProvider", "TokenIntrospector", "AccessPolicy")
        return ["/".join(shown.key) for type_ in types for shown in catalog.list(type_)]


def fill(app: Flask, resources: list[Resource] | None = None) -> Flask:
    """`app` with resources in its registry."""
    with app.app_context():
        catalog = app.extensions["foreign_token"].runtime().catalog
        catalog.apply(Edit(upserts=trusting_a_secret() if resources is None else resources))
    return app


@contextmanager
def without_roots_rights() -> Iterator[None]:
    """A block in which permissions count, also where the tests are run by root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
