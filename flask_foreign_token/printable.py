"""Texts that somebody else wrote, fit for one line of a log or a terminal."""

from __future__ import annotations

_LONGEST_NAME = 64
_LONGEST_REMARK = 200


def printable(text: str) -> str:
    """`text` as a terminal may have it: controls, marks of direction and whatever else has no face are written out."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shown(name: object) -> str:
    """The name of an attribute, as somebody wrote it; at most 64 characters of it."""
    text = str(name)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def in_ascii(text: str) -> str:
    """An address, or what a provider says; at most 200 characters of it."""
    plain = ascii(text)[1:-1]
    return plain if len(plain) <= _LONGEST_REMARK else f"{plain[:_LONGEST_REMARK]}..."
