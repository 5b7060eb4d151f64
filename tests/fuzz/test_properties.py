"""A judge that finds nothing is worth nothing: here it is shown readers that are wrong in one thing each."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection.parse import CompactJws, parse

from ..introspection.signing import encoded, header, sign
from . import properties

TOKEN = sign(header("ES256"), algorithm="ES256")
HEAD, BODY, SIGNATURE = TOKEN.split(".")


def with_header(**changes: object) -> str:
    return f"{encoded(header(**changes))}.{BODY}.{SIGNATURE}"


def with_claims(octets: bytes) -> str:
    return f"{HEAD}.{encoded(octets)}.{SIGNATURE}"


def with_signature(text: str) -> str:
    return f"{HEAD}.{BODY}.{text}"


def lenient(token: str) -> CompactJws:
    """As a careless reader takes a token apart."""
    head, body, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    return CompactJws(json.loads(head), body, token.rpartition(".")[0].encode(), signature, json.loads(body))


TAKEN_BY_THE_LENIENT = {
    "padding": with_signature("AA=="),
    "bits left over": with_signature("AB"),
    "a character between": with_signature("A A"),
    "17 KiB": with_signature("A" * 17_408),
    "a member twice": with_claims(b'{"a":1,"a":2}'),
    "NaN": with_claims(b'{"exp":NaN}'),
    "beyond a double": with_claims(b'{"exp":1e400}'),
    "a lone surrogate": with_claims(b'{"sub":"\\ud800"}'),
    "65 levels": with_claims(b'{"x":' + b"[" * 64 + b"]" * 64 + b"}"),
    "a list": with_claims(b"[]"),
    "crit": with_header(crit=[]),
    "b64": with_header(b64=True),
    "kid as a number": with_header(kid=1),
    "too long a kid": with_header(kid="k" * 1025),
    "typ as a list": with_header(typ=["JWT"]),
    "no alg": with_header(alg=None),
}
MISREADINGS: dict[str, Callable[[CompactJws], dict[str, Any]]] = {
    "another header": lambda jws: {"header": {**jws.header, "alg": "none"}},
    "another claim": lambda jws: {"claims": {**jws.claims, "sub": "bert"}},
    "a number of another type": lambda jws: {"claims": {**jws.claims, "iat": 1_800_000_000}},
    "a claim too few": lambda jws: {"claims": {}},
    "another payload": lambda jws: {"payload": b"{}"},
    "another signature": lambda jws: {"signature": b""},
    "another text": lambda jws: {"signing_input": jws.signing_input + b"="},
}


@pytest.mark.parametrize("reader", [parse, lenient])
def test_a_good_token_passes(reader: properties.Parse) -> None:
    assert properties.check_token(TOKEN, reader)


@pytest.mark.parametrize("token", TAKEN_BY_THE_LENIENT.values(), ids=TAKEN_BY_THE_LENIENT.keys())
def test_what_a_lenient_reader_takes_is_noticed(token: str) -> None:
    assert not properties.check_token(token)

    with pytest.raises(AssertionError, match="not in good form is taken"):
        properties.check_token(token, lenient)


@pytest.mark.parametrize("misread", MISREADINGS.values(), ids=MISREADINGS.keys())
def test_what_is_misread_is_noticed(misread: Callable[[CompactJws], dict[str, Any]]) -> None:
    def reader(token: str) -> CompactJws:
        jws = parse(token)
        return replace(jws, **misread(jws))

    with pytest.raises(AssertionError):
        properties.check_token(TOKEN, reader)


@pytest.mark.parametrize(
    ("token", "reason", "noticed"),
    [(TOKEN, "no", "in good form is refused"), ("wrong", 'not a "token"', "challenge cannot carry")],
)
def test_a_refusal_that_should_not_be_is_noticed(token: str, reason: str, noticed: str) -> None:
    def reader(token: str) -> CompactJws:
        raise InvalidToken(reason)

    with pytest.raises(AssertionError, match=noticed):
        properties.check_token(token, reader)


def test_another_error_than_a_refusal_goes_through() -> None:
    with pytest.raises(ValueError, match="base64"):
        properties.check_token("wrong", lenient)


@pytest.mark.parametrize("text", [b'{"a":1,"a":1}', b"NaN", b"1e400", b'"\\ud800"', b"[" * 65 + b"]" * 65])
def test_json_that_is_read_leniently_is_noticed(text: bytes) -> None:
    properties.check_json(text)

    with pytest.raises(AssertionError, match="not good is taken"):
        properties.check_json(text, json.loads)


@pytest.mark.parametrize("text", [b"AA==", b"AB", b"A A", b"++//"])
def test_base64_that_is_read_leniently_is_noticed(text: bytes) -> None:
    properties.check_base64url(text)

    with pytest.raises(AssertionError, match="read otherwise"):
        properties.check_base64url(text, lambda octets: base64.b64decode(octets + b"==", b"-_"))


@pytest.mark.parametrize(
    ("token", "naive"),
    [
        (TOKEN, lambda _token: False),
        (f"{encoded(b' {}')}.e30.", lambda token: token.startswith("ey")),
        (f"{HEAD}==.{BODY}.{SIGNATURE}", lambda token: "=" not in token),
        (f"{HEAD[:9]}~{HEAD[9:]}.{BODY}", lambda token: token.count(".") == 2),
        (f"{encoded('{}'.encode('utf-16'))}.x", lambda token: token.startswith("ey")),
        (f"-{HEAD}.x.y", lambda token: token.startswith("ey")),
        (f"{HEAD[:5]}_{HEAD[5:]}.x.y", lambda token: "_" not in token),
        (f"+{HEAD}.x.y", lambda token: token.startswith("ey")),
    ],
)
def test_a_jwt_that_is_taken_for_something_else_is_noticed(token: str, naive: Callable[[str], bool]) -> None:
    properties.check_telling(token)

    with pytest.raises(AssertionError, match="opaque token"):
        properties.check_telling(token, naive)
