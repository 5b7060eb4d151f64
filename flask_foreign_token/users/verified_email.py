"""Addresses that a provider says it has verified."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_EMAIL = 254
"""Characters of an address (:rfc:`5321#section-4.5.3.1`, erratum 1690)."""

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+@[^@\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def verified_email(userinfo: Mapping[str, object]) -> str | None:
    """The `email` of a document that says of it, with a plain ``true``, that it is verified (OpenID Connect Core 1.0
    section 5.1); none also if it is not one address, with one ``@`` in it.

    It is compared as it is: letter case counts before the ``@`` (:rfc:`5321#section-2.4`), and whoever folds what is
    behind it, or forms of Unicode, may take two people for one.
    """
    email = userinfo.get("email")
    if userinfo.get("email_verified") is not True or not isinstance(email, str) or len(email) > MAX_EMAIL:
        return None
    return email if _EMAIL.fullmatch(email) else None
