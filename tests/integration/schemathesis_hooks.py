"""What schemathesis is told beside its configuration."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Let no introspector of opaque tokens take every token.

    One without a prefix does, also those that schemathesis makes up to see them refused; and where nobody can be asked
    about them, as mostly here, the answer is that nothing is known of the token, 503.
    """
    body = case.body
    if isinstance(body, dict) and body.get("type") == "opaque":
        body.setdefault("token_prefix", "opaque_")
