"""A token taken apart and not verified: all strictness about its form lives here (:rfc:`7515#section-5.2`).

Each refusal is an :class:`~flask_foreign_token.errors.InvalidToken` that names the check. Where a key could be found
(`jku`, `x5u`, `jwk`, `x5c`) is never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from .. import strict_json
from ..errors import InvalidToken
from . import base64url

MAX_SIZE = 16 * 1024
"""Characters of a token."""
MAX_KEY_ID = 1024
"""Characters of a `kid`."""

_KNOWN_SIZE = 512
"""Characters of the longest header that is remembered."""


@dataclass(frozen=True, slots=True)
class Jws:
    """A JWS in compact serialization, whatever it signs (:rfc:`7515#section-3.1`).

    :param header: the protected header; there is no other.
    :param payload: the octets that were signed.
    :param signing_input: the first two parts as they came, which is what the signature is over.
    """

    header: Mapping[str, Any]
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The header's `alg`: a claim of the sender's, to be compared with what the keys permit."""
        algorithm: str = self.header["alg"]
        return algorithm

    @property
    def key_id(self) -> str | None:
        """The header's `kid`: chooses among the keys there are and does nothing else."""
        key_id: str | None = self.header.get("kid")
        return key_id


@dataclass(frozen=True, slots=True)
class CompactJws(Jws):
    """A JWS whose payload is a JSON object: a JWT (:rfc:`7519#section-7.2`), not verified.

    :param claims: all members of the payload.
    """

    claims: Mapping[str, object] = field(repr=False)

    @property
    def issuer(self) -> str:
        """The claim `iss`.

        :raises InvalidToken: it is absent or not a text.
        """
        issuer = self.claims.get("iss")
        if not isinstance(issuer, str):
            raise InvalidToken("iss is missing or not a text")
        return issuer


def parse(token: str, *, max_size: int = MAX_SIZE) -> CompactJws:
    """Take a JWT apart.

    :param max_size: see :func:`split`.
    :raises InvalidToken: it is not one; see :func:`split` for its form, and its payload is a JSON object in UTF-8
        without duplicate members, at most 64 levels deep.
    """
    header, payload, signing_input, signature = _taken_apart(token, max_size)
    return CompactJws(header, payload, signing_input, signature, _json_object(payload, "claims"))


def split(token: str, *, max_size: int = MAX_SIZE) -> Jws:
    """Take a JWS in compact serialization apart.

    :param max_size: characters of `token` at most; whole KiB.
    :raises InvalidToken: it is longer, it has not three parts in strict base64url, its header is not a JSON object with
        unique members, or the header asks for something that is not understood here, as `crit` does
        (:rfc:`7515#section-4.1.11`).
    """
    return Jws(*_taken_apart(token, max_size))


def _taken_apart(token: str, max_size: int) -> tuple[Mapping[str, object], bytes, bytes, bytes]:
    """What :class:`Jws` is made of."""
    _check(token, max_size)
    signing_input, _, signature_part = token.encode().rpartition(b".")
    header_part, dot, payload_part = signing_input.partition(b".")
    if not dot or b"." in payload_part:
        # To count the dots of every token would take 0.6 µs of each.
        if token.count(".") == 4:
            raise InvalidToken("the token is encrypted")
        raise InvalidToken("the token has not three parts")
    read = _known_header if len(header_part) <= _KNOWN_SIZE else _header
    header, name = read(header_part), "payload"
    try:
        payload = base64url.decode(payload_part)
        name = "signature"
        signature = base64url.decode(signature_part)
    except ValueError:
        raise InvalidToken(f"the {name} is not base64url") from None
    return header, payload, signing_input, signature


def _header(part: bytes) -> Mapping[str, object]:
    try:
        text = base64url.decode(part)
    except ValueError:
        raise InvalidToken("the header is not base64url") from None
    header = _json_object(text, "header")
    _check_header(header)
    return MappingProxyType(header)


# The tokens of a key have one header, which takes 3 µs of some 60 to read. It says nothing of anybody.
_known_header = lru_cache(maxsize=128)(_header)


def _check(token: str, max_size: int) -> None:
    if len(token) > max_size:
        raise InvalidToken(f"the token is longer than {max_size // 1024} KiB")
    if not token.isascii():
        raise InvalidToken("the token is not base64url")
    if token.startswith("{"):
        raise InvalidToken("the token is not in compact serialization")


def _json_object(text: bytes, name: str) -> dict[str, object]:
    try:
        value = strict_json.loads(text)
    except ValueError as reason:
        raise InvalidToken(f"the {name}: {reason}") from None
    if not isinstance(value, dict):
        raise InvalidToken(f"the {name}: not a JSON object")
    return value


def _check_header(header: Mapping[str, object]) -> None:
    if not isinstance(header.get("alg"), str):
        raise InvalidToken("alg is missing or not a text")
    if "crit" in header:
        raise InvalidToken("crit is not understood")
    if "b64" in header:
        raise InvalidToken("b64 is not understood")
    key_id = header.get("kid", "")
    if not isinstance(key_id, str):
        raise InvalidToken("kid is not a text")
    if len(key_id) > MAX_KEY_ID:
        raise InvalidToken("kid is longer than 1024 characters")
    if not isinstance(header.get("typ", ""), str):
        raise InvalidToken("typ is not a text")
