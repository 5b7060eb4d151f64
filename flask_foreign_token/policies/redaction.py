"""What of a request can be shown to whoever asks why a policy decided so: all but what somebody could sign in with."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote, quote_plus, unquote_plus

MASK: Final = "********"
"""Stands for what is not shown."""

MAX_DEPTH: Final = 48
"""Objects and arrays within each other that are shown; what is further in is not."""

_TOO_DEEP: Final = "…"
_TOO_LONG: Final = "…"
_LONGEST_NAME: Final = 200
# Characters of a name on a path; a longer one says nothing, and would be looked through for secrets again and again.
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
    "session",
    "signature",
    "csrf",
    "xsrf",
)
_SECRET_AT_THE_END: Final = ("authorization", "key", "authcode", "authorizationcode", "devicecode", "usercode")
_SECRET_ALONE: Final = frozenset(
    {"auth", "codeverifier", "otp", "pass", "pin", "pwd", "samlart", "samlresponse", "sid", "sig", "xauth"}
)
_ONCE: Final = frozenset({"code", "ticket"})
# What signs somebody in once. Elsewhere these words mean other things: a diagnosis has a code too.
_PARAMS: Final = "params"
_BODY: Final = frozenset({"body", "resource"})
_NO_SECRET: Final = frozenset({"tokentype", "tokenuse", "tokenintrospection"})
# Claims and members that say of which kind a token is.

_SIGNS: Final = re.compile(r"[^a-z0-9]+")
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_PAIR: Final = re.compile(rf"(?<![\w.\-%\[\]$])([\w.\-%\[\]$]+)=({_QUOTED}|'[^']*'|[^&;\s#\"'<>]+)")
_MEMBER: Final = re.compile(
    rf"""((["'])([^"'\\\s]{{1,128}})\2\s{{0,8}}:\s{{0,8}})(?:{_QUOTED}|'[^']*'|-?\d[\d.eE+-]*)"""
)
_LINE: Final = re.compile(r"^([ \t]{0,64}([\w-]{1,128})(?:[ \t]{0,8}:|[ \t]{1,8}=)[ \t]{0,8})[^\r\n]+", re.MULTILINE)
# A header, or a member as YAML and TOML have it.
_WORD: Final = re.compile(rf"(?<![\w.\-%\[\]$])(([\w-]{{1,128}}):[ \t]{{1,8}})({_QUOTED}|[^\s\"'<>]+)")
# The same within a sentence. Not behind a dot: that is a place of the request, and what is said of it.
_DOTTED: Final = re.compile(r"(?<![\w-])[\w-]+(?:(?:\.|%2[Ee])[\w-]*)+", re.ASCII)
_JOSE: Final = re.compile(r"e(?:y[A-DI-L]|w[k-r0-3])[\w-]{8}", re.ASCII)
# How `{"` begins in base64url, with or without white space before the quotation mark.
_SCHEME: Final = re.compile(
    r"\b(bearer|dpop|basic|digest)(\s{1,8}|%20|\+)(?!tokens?\b)([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE
)
_WORD_AS_SCHEME: Final = re.compile(
    r"\b((?:token|api-?key)(?:\s{1,8}|%20|\+))([A-Za-z0-9\-._~+/:]{8,}=*)", re.IGNORECASE
)
_USERINFO: Final = re.compile(r"(//[^/\s:@]{0,256}:)[^/\s@]{1,256}@")
_LONE_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def is_secret(name: str) -> bool:
    """Whether a header, parameter or member of this name is likely to hold something to sign in with, however it is
    spelt: ``X-Api-Key``, ``clientSecret``, ``access_token``."""
    plain = _plain(name)
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
        written = {form for secret in long for form in (secret, quote(secret, safe=""), quote_plus(secret, safe=""))}
        self._within = sorted(written, key=len, reverse=True)

    def request(self, parts: Mapping[str, object]) -> dict[str, object]:
        """Parts of the request object, as far as they can be shown; what JSON can hold."""
        return {self.text(name): self.found((name,), part) for name, part in parts.items()}

    def found(self, path: Sequence[str | int], value: object) -> object:
        """`value`, which stands at `path` of the request."""
        if value is not None and _is_secret_place(path, value):
            return MASK
        return self._shown(value, MAX_DEPTH, next((step for step in path[-1:] if isinstance(step, str)), ""))

    def expected(self, path: Sequence[str | int], value: object) -> object:
        """What a policy wants to find at `path`; it may be the secret itself."""
        if isinstance(value, str) and value in _WORDS:
            return value
        return self.found(path, value)

    def path(self, path: Sequence[str | int]) -> list[str | int]:
        """`path` itself, whose names others may have chosen."""
        return [self._name(step) if isinstance(step, str) else step for step in path]

    def _name(self, name: str) -> str:
        return self.text(name) if len(name) <= _LONGEST_NAME else _TOO_LONG

    def text(self, text: str) -> str:
        """`text` with a mask in place of each secret in it."""
        return self._text(text, _ENCODINGS)

    def _text(self, text: str, encodings: int) -> str:
        if text in self._secrets:
            return MASK
        for secret in self._within:
            text = text.replace(secret, MASK)
        text = _SCHEME.sub(_without_credentials, text)
        text = _WORD_AS_SCHEME.sub(_without_long, text)
        text = _DOTTED.sub(_without_token, text)
        text = _USERINFO.sub(rf"\1{MASK}@", text)
        text = _PAIR.sub(lambda pair: self._pair(pair, encodings), text)
        text = _MEMBER.sub(_without_member, text)
        text = _LINE.sub(_without_named, text)
        text = _WORD.sub(_without_named, text)
        return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)

    def _shown(self, value: object, depth: int, within: str) -> object:
        """:param within: the name of the member that `value` is, or is an item of."""
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
                    self.text(str(name)): self._member(str(name), inner, depth - 1, within, names_secret)
                    for name, inner in value.items()
                }
            case list() | tuple():
                return [self._shown(inner, depth - 1, within) for inner in value]
        return self.text(str(value))

    def _member(self, name: str, value: object, depth: int, within: str, names_secret: bool) -> object:
        hidden = is_secret(name) or _is_for_once(within, name, value) or (names_secret and name.startswith("value"))
        if hidden and value is not None:
            return MASK
        # What a policy says in an operator of its own, it says of the place that the operator is at.
        return self._shown(value, depth, within if name.startswith("$") else name)

    def _pair(self, pair: re.Match[str], encodings: int) -> str:
        name, value = pair.groups()
        plain = unquote_plus(name)
        hidden = is_secret(plain) or _is_for_once(_PARAMS, plain, value) or self._hides(value, encodings)
        return f"{name}={MASK}" if hidden else pair[0]

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


def _is_secret_place(path: Sequence[str | int], value: object) -> bool:
    named = path[1:] if path and path[0] in _PARTS else path
    if any(isinstance(step, str) and is_secret(step) for step in named):
        return True
    # Below it, something else: the codings of a diagnosis.
    ends_there = len(path) == 2 or (len(path) > 2 and path[0] == _PARAMS)
    return ends_there and _is_for_once(str(path[0]), str(path[1]), value)


def _is_for_once(within: str, name: str, value: object) -> bool:
    """Whether it signs somebody in once: a code or a ticket in the query, or as a text at the top of a body."""
    if _plain(name) not in _ONCE:
        return False
    return within == _PARAMS or (within in _BODY and not isinstance(value, Mapping | list | tuple))


def _plain(name: str) -> str:
    return _SIGNS.sub("", name.lower())


def _names_secret(value: Mapping[object, object]) -> bool:
    """Whether it is one of a list of things with names: ``{"name": "password", "valueString": "…"}``."""
    name = value.get("name")
    return isinstance(name, str) and is_secret(name)


def _without_credentials(found: re.Match[str]) -> str:
    scheme, gap, credentials = found.groups()
    if scheme.lower() == "basic" and not _is_basic(credentials):
        return found[0]
    return f"{scheme}{gap}{MASK}"


def _without_long(found: re.Match[str]) -> str:
    # Words of any sentence: within one, only what has a digit in it is taken for a credential.
    is_whole = found[0] == found.string
    return f"{found[1]}{MASK}" if is_whole or any(map(str.isdigit, found[2])) else found[0]


def _is_basic(credentials: str) -> bool:
    """Whether it is name and password (:rfc:`7617#section-2`), and not the next word of a sentence."""
    # Some leave the padding out, or write base64url.
    text = credentials.rstrip("=")
    try:
        return b":" in base64.b64decode(
            text + "=" * (-len(text) % 4), b"-_" if {*text} & {*"-_"} else None, validate=True
        )
    except (binascii.Error, ValueError):
        return False


def _without_token(found: re.Match[str]) -> str:
    text = found[0]
    first = re.split(r"\.|%2[Ee]", text, maxsplit=1)[0]
    begins = _JOSE.search(first)
    return text if begins is None else text[: begins.start()] + MASK


def _without_member(found: re.Match[str]) -> str:
    return f'{found[1]}"{MASK}"' if is_secret(found[3]) else found[0]


def _without_named(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}" if is_secret(found[2]) else found[0]
