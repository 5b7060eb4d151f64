"""What a refusal says: a parser of ``WWW-Authenticate`` that takes nothing but what the RFCs allow, and the body."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_SCHEME = re.compile(rf"({_TOKEN})(?: +|\Z)")
_PARAMETER = re.compile(rf"({_TOKEN})=({_TOKEN}|{_QUOTED})(?:[ \t]*,[ \t]*(?=[^, \t])|\Z)")

_TEXT = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_URL = re.compile(r"https?://[!#-\[\]-~]+")
_DECISION_ID = re.compile("[0-9a-f]{16}")
_CODES = re.compile("invalid_request|invalid_token|insufficient_scope")
_SYNTAX = {
    "realm": _TEXT,
    "error": _CODES,
    "error_description": _TEXT,
    "scope": _SCOPE,
    "resource_metadata": _URL,
}
"""What the parameters of a bearer challenge may say (RFC 6750, section 3; RFC 9728, section 5.1)."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge.

    :param parameters: by name, in lower case; the values without quotes.
    """

    scheme: str
    parameters: dict[str, str]


def parse(header: str) -> Challenge:
    """The one challenge that `header` is (RFC 9110, section 11.6.1).

    :raises ValueError: it is none or several, or a parameter is there twice.
    """
    match = _SCHEME.match(header)
    if match is None:
        raise ValueError(f"no scheme: {header!r}")
    parameters: dict[str, str] = {}
    position = match.end()
    while position < len(header):
        parameter = _PARAMETER.match(header, position)
        if parameter is None:
            raise ValueError(f"no parameter at {position}: {header!r}")
        name = parameter[1].lower()
        if name in parameters:
            raise ValueError(f"{name} is there twice: {header!r}")
        parameters[name] = parameter[2].strip('"')
        position = parameter.end()
    return Challenge(match[1], parameters)


def bearer(answer: Any) -> dict[str, str]:
    """The parameters of the bearer challenge that an answer carries: one, in one line, with at least one parameter.

    :raises ValueError: there is no such challenge, a parameter is none of a bearer challenge, or it has characters
        that it must not have (RFC 6750, section 3).
    """
    lines = answer.headers.getlist("WWW-Authenticate")
    if len(lines) != 1:
        raise ValueError(f"{len(lines)} lines of WWW-Authenticate")
    challenge = parse(lines[0])
    if challenge.scheme != "Bearer" or not challenge.parameters:
        raise ValueError(f"no bearer challenge with a parameter: {lines[0]!r}")
    for name, value in challenge.parameters.items():
        if name not in _SYNTAX or not _SYNTAX[name].fullmatch(value):
            raise ValueError(f"{name} says what it must not: {lines[0]!r}")
    return challenge.parameters


def body(refusal: Any) -> dict[str, str]:
    """What the body of a refusal says beside the id of the decision, which differs each time.

    :raises ValueError: there is no such id.
    """
    said = dict(refusal.json)
    if not _DECISION_ID.fullmatch(said.pop("decision_id", "")):
        raise ValueError(f"no decision_id: {refusal.json!r}")
    return said
