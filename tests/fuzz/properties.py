"""What the strict parse must keep for any octets whatever, held against a judge that shares nothing with it.

And what is told from it: a text that any careless reader takes for a JWT is known as one, and not shown around.

The judge reads base64url and JSON character by character, which is also what a fuzzer can look into: the package's own
readers do their work in C.
"""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Callable
from typing import Any

from flask_foreign_token import strict_json
from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection import base64url
from flask_foreign_token.introspection.choosing import is_jose
from flask_foreign_token.introspection.parse import CompactJws, parse

from . import json_reader
from .json_reader import NotGood, demand

Parse = Callable[[str], CompactJws]

LONGEST_TOKEN = 16 * 1024
LONGEST_KEY_ID = 1024

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
_SEXTETS = {character: position for position, character in enumerate(ALPHABET)}
_READINGS: tuple[dict[int, Any], ...] = (
    {ord("-"): "+", ord("_"): "/"},
    {ord("-"): None, ord("_"): None},
    {ord("-"): "+", ord("_"): "/", ord("+"): None, ord("/"): None},
)
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,80}")


def check(octets: bytes) -> bool:
    """Hold the parse and both readers that it rests on to what they promise.

    :param octets: of a token, of a part of one, or of JSON; taken for each in turn.
    :return: whether they are a token in good form.
    :raises AssertionError: a promise is broken.
    """
    token = octets.decode("latin-1")
    check_base64url(octets)
    check_json(octets)
    check_telling(token)
    return check_token(token)


def check_base64url(octets: bytes, decode: Callable[[bytes], bytes] = base64url.decode) -> None:
    """`decode` reads what an encoder writes, and nothing else."""
    wanted = outcome(decoded, octets.decode("latin-1"))
    assert _attempt(decode, octets, ValueError)[0] == wanted, "base64url is read otherwise"


def check_json(octets: bytes, loads: Callable[[bytes], object] = strict_json.loads) -> None:
    """`loads` reads one value, the one that the judge reads, or refuses with a reason that quotes nothing."""
    wanted = outcome(lambda text: (json_reader.read(text),), octets)
    found, refusal = _attempt(loads, octets, ValueError)
    if refusal is not None:
        assert wanted is None, "good JSON is refused"
        _check_text(str(refusal))
        assert refusal.__cause__ is None, "a refusal holds what came"
        return
    assert wanted is not None, "JSON that is not good is taken"
    # The texts tell 1 from True and 1.0 and keep the order, which equality does not.
    assert repr(found) == repr(wanted[0]), "JSON has another meaning"


def check_token(token: str, parse: Parse = parse) -> bool:
    """`parse` takes a token exactly if it is in good form, and for what it is.

    :return: whether it is.
    """
    wanted = outcome(read_token, token)
    jws, refusal = _attempt(parse, token, InvalidToken)
    if refusal is not None:
        assert wanted is None, "a token in good form is refused"
        _check_text(str(refusal.description))
        assert (refusal.code, refusal.__cause__) == (401, None), "a refusal holds what came"
        return False
    assert wanted is not None, "a token that is not in good form is taken"
    header, claims, payload, signature = wanted
    assert repr(dict(jws.header)) == repr(header), "the header has another meaning"
    assert repr(jws.claims) == repr(claims), "the claims have another meaning"
    assert (jws.payload, jws.signature) == (payload, signature)
    assert (jws.algorithm, jws.key_id) == (header["alg"], header.get("kid"))
    assert f"{jws.signing_input.decode()}.{encoded(jws.signature)}" == token, "another text for the same token"
    return True


def check_telling(token: str, is_jose: Callable[[str], bool] = is_jose) -> None:
    """`is_jose` knows a JWT in good form for one, and what any reader may take for one."""
    if outcome(read_token, token) is not None or is_read_carelessly(token):
        assert is_jose(token), "a JWT is taken for an opaque token"


def is_read_carelessly(token: str) -> bool:
    """Whether the first of several parts is a JSON object to a reader of both alphabets, or of one of them, that skips
    whatever it does not know.
    """
    first, dot, _ = token.partition(".")
    return bool(dot) and any(_is_object(first.translate(reading)) for reading in _READINGS)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(base64.b64decode(text + "==")), dict)
    except (ValueError, RecursionError):
        return False


def _attempt(read: Callable[[Any], Any], text: object, refusal: type[Exception]) -> tuple[Any, Any]:
    """What `read` makes of `text`, and the `refusal` that it raised instead."""
    try:
        return read(text), None
    except refusal as raised:
        return None, raised


def _check_text(reason: str) -> None:
    assert _DESCRIPTION.fullmatch(reason), "a reason that a challenge cannot carry"


def outcome(read: Callable[[Any], Any], text: object) -> Any:
    """What `read` makes of `text`; `None`: it finds fault with it."""
    try:
        return read(text)
    except NotGood:
        return None


def read_token(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, payload and signature.

    :raises NotGood: `token` is not in good form.
    """
    parts = token.split(".")
    demand(len(token) <= LONGEST_TOKEN and len(parts) == 3)
    octets, payload, signature = map(decoded, parts)
    header, claims = json_reader.read(octets), json_reader.read(payload)
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise NotGood
    demand(isinstance(header.get("alg"), str) and not {"crit", "b64"} & header.keys())
    demand(all(isinstance(header.get(name, ""), str) for name in ("kid", "typ")))
    demand(len(header.get("kid", "")) <= LONGEST_KEY_ID)
    return header, claims, payload, signature


def decoded(text: str) -> bytes:
    """The octets that `text` stands for in base64url, three for four characters.

    :raises NotGood: no encoder writes it.
    """
    demand(all(character in _SEXTETS for character in text) and len(text) % 4 != 1)
    return b"".join(_octets(text[start : start + 4]) for start in range(0, len(text), 4))


def _octets(characters: str) -> bytes:
    bits = 0
    for character in characters:
        bits = bits << 6 | _SEXTETS[character]
    left_over = 6 * len(characters) % 8
    demand(bits & ((1 << left_over) - 1) == 0)
    return (bits >> left_over).to_bytes(6 * len(characters) // 8)


def encoded(octets: bytes) -> str:
    """The text that stands for `octets`."""
    return "".join(_characters(octets[start : start + 3]) for start in range(0, len(octets), 3))


def _characters(octets: bytes) -> str:
    bits = int.from_bytes(octets + bytes(3 - len(octets)))
    return "".join(ALPHABET[bits >> shift & 63] for shift in (18, 12, 6, 0))[: len(octets) + 1]
