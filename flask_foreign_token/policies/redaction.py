"""What of a request can be shown to whoever asks why a policy decided so: all but what somebody could sign in with."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote, unquote_plus

MASK: Final = "********"
"""Stands for what is not shown."""

MAX_DEPTH: Final = 48
"""Objects and arrays within each other that are shown; what is further in is not."""

_TOO_DEEP: Final = "…"
_ENCODINGS: Final = 3
# How often what is in a query is decoded to look for secrets; what is encoded more often is not shown.
_SHORTEST_SECRET: Final = 8
# Characters of a secret that is looked for within longer texts; a shorter one would be found everywhere.

_WORDS: Final = frozenset({"present?", "nil?", "not-blank?"})
# What a policy can expect of a secret without saying what it is.

_PARTS: Final = ("token", "jwt")
# What a token says is shown: that is what an operator wants to see. Only its text is not.

_SECRET_WITHIN: Final = (
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "cookie",
    "credential",
    "apikey",
    "assertion",
)
_SECRET_AT_THE_END: Final = ("authorization", "key")
_SECRET_ALONE: Final = frozenset({"auth", "codeverifier", "otp", "pass", "pin", "pwd", "sig", "signature"})
_NO_SECRET: Final = frozenset({"tokentype", "tokenuse", "tokenintrospection"})
# Claims and members that say of which kind a token is.

_SIGNS: Final = re.compile(r"[^a-z0-9]+")
_PAIR: Final = re.compile(r"(?<![\w.\-%\[\]$])([\w.\-%\[\]$]+)=([^&;\s#\"'<>]+)")
_MEMBER: Final = re.compile(r'"([^"\\\s]{1,128})"(\s{0,8}:\s{0,8})"((?:[^"\\]|\\.)*)"')
_DOTTED: Final = re.compile(r"(?<![\w-])[\w-]+(?:(?:\.|%2[Ee])[\w-]*)+", re.ASCII)
_JOSE: Final = re.compile(r"e(?:y[A-DI-L]|w[k-r0-3])[\w-]{8}", re.ASCII)
# How `{"` begins in base64url, with or without white space before the quotation mark.
_SCHEME: Final = re.compile(
    r"\b(bearer|dpop|basic|digest)(\s{1,8}|%20|\+)(?!tokens?\b)([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE
)
_USERINFO: Final = re.compile(r"(//[^/\s:@]{0,256}:)[^/\s@]{1,256}@")
_LONE_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def is_secret(name: str) -> bool:
    """Whether a header, parameter or member of this name is likely to hold something to sign in with, however it is
    spelt: ``X-Api-Key``, ``clientSecret``, ``access_token``."""
    plain = _SIGNS.sub("", name.lower())
    if plain in _NO_SECRET:
        return False
    if plain in _SECRET_ALONE or plain.endswith(_SECRET_AT_THE_END):
        return True
    return any(part in plain for part in _SECRET_WITHIN)


class Redaction:
    """Shows values of one request without its secrets.

    What is left out: whatever a name gives away as secret, see :func:`is_secret`; whatever reads like a JWT, or follows
    the name of a scheme; and the secrets that are known.

    :param secrets: texts that must not be shown, the request's token for instance; none among them counts for nothing.
    """

    def __init__(self, *secrets: str | None) -> None:
        known = {secret for secret in secrets if secret}
        self._secrets = frozenset(known)
        long = [secret for secret in known if len(secret) >= _SHORTEST_SECRET]
        # Longer ones first, since one may begin with another.
        self._within = sorted({*long, *(quote(secret, safe="") for secret in long)}, key=len, reverse=True)

    def request(self, parts: Mapping[str, object]) -> dict[str, object]:
        """Parts of the request object, as far as they can be shown; what JSON can hold."""
        return {self.text(name): self.found((name,), part) for name, part in parts.items()}

    def found(self, path: Sequence[str | int], value: object) -> object:
        """`value`, which stands at `path` of the request."""
        if value is not None and _is_secret_place(path):
            return MASK
        return self._shown(value, MAX_DEPTH)

    def expected(self, path: Sequence[str | int], value: object) -> object:
        """What a policy wants to find at `path`; it may be the secret itself."""
        if isinstance(value, str) and value in _WORDS:
            return value
        return self.found(path, value)

    def path(self, path: Sequence[str | int]) -> list[str | int]:
        """`path` itself, whose names others may have chosen."""
        return [self.text(step) if isinstance(step, str) else step for step in path]

    def text(self, text: str) -> str:
        """`text` with a mask in place of each secret in it."""
        return self._text(text, _ENCODINGS)

    def _text(self, text: str, encodings: int) -> str:
        if text in self._secrets:
            return MASK
        for secret in self._within:
            text = text.replace(secret, MASK)
        text = _SCHEME.sub(_without_credentials, text)
        text = _DOTTED.sub(_without_token, text)
        text = _USERINFO.sub(rf"\1{MASK}@", text)
        text = _PAIR.sub(lambda pair: self._pair(pair, encodings), text)
        text = _MEMBER.sub(_without_member, text)
        return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)

    def _shown(self, value: object, depth: int) -> object:
        match value:
            case None | bool() | int():
                return value
            case float():
                return value if math.isfinite(value) else str(value)
            case str():
                return self.text(value)
            case Mapping() | list() | tuple() if depth == 0:
                return _TOO_DEEP
            case Mapping():
                names_secret = _names_secret(value)
                return {
                    self.text(str(name)): self._member(str(name), inner, depth - 1, names_secret)
                    for name, inner in value.items()
                }
            case list() | tuple():
                return [self._shown(inner, depth - 1) for inner in value]
        return self.text(str(value))

    def _member(self, name: str, value: object, depth: int, names_secret: bool) -> object:
        hidden = is_secret(name) or (names_secret and name.startswith("value"))
        return MASK if hidden and value is not None else self._shown(value, depth)

    def _pair(self, pair: re.Match[str], encodings: int) -> str:
        name, value = pair.groups()
        return f"{name}={MASK}" if is_secret(unquote_plus(name)) or self._hides(value, encodings) else pair[0]

    def _hides(self, value: str, encodings: int) -> bool:
        """Whether there is a secret in what is encoded: an address to come back to, with a token in it."""
        plain = unquote_plus(value)
        if plain == value:
            return False
        if encodings == 0:
            return True
        return self._text(plain, encodings - 1) != plain or self._hides(plain, encodings - 1)


def kind_of(value: object) -> str:
    """What sort of value was found, for places where the value itself must not stand."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text" if value.strip() else "an empty text"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "an array"
    return "something else"


def _is_secret_place(path: Sequence[str | int]) -> bool:
    named = path[1:] if path and path[0] in _PARTS else path
    return any(isinstance(step, str) and is_secret(step) for step in named)


def _names_secret(value: Mapping[object, object]) -> bool:
    """Whether it is one of a list of things with names: ``{"name": "password", "valueString": "…"}``."""
    name = value.get("name")
    return isinstance(name, str) and is_secret(name)


def _without_credentials(found: re.Match[str]) -> str:
    scheme, gap, credentials = found.groups()
    if scheme.lower() == "basic" and not _is_basic(credentials):
        return found[0]
    return f"{scheme}{gap}{MASK}"


def _is_basic(credentials: str) -> bool:
    """Whether it is name and password (:rfc:`7617#section-2`), and not the next word of a sentence."""
    try:
        return b":" in base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return False


def _without_token(found: re.Match[str]) -> str:
    text = found[0]
    first = re.split(r"\.|%2[Ee]", text, maxsplit=1)[0]
    begins = _JOSE.search(first)
    return text if begins is None else text[: begins.start()] + MASK


def _without_member(found: re.Match[str]) -> str:
    name, colon, _ = found.groups()
    return f'"{name}"{colon}"{MASK}"' if is_secret(name) else found[0]
