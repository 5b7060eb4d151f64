from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection.parse import MAX_SIZE, parse, split

from .signing import claims, encoded, header, sign


def whole(octets: bytes) -> str:
    """`octets` as a part in which no bits are left over."""
    return encoded(octets + b" " * (-len(octets) % 3))


HEADER = whole(json.dumps(header()).encode())
CLAIMS = whole(json.dumps(claims()).encode())
SIGNATURE = whole(b"signature")


def with_header(octets: bytes) -> str:
    return f"{encoded(octets)}.{CLAIMS}.{SIGNATURE}"


def with_claims(octets: bytes) -> str:
    return f"{HEADER}.{encoded(octets)}.{SIGNATURE}"


def of_size(size: int) -> str:
    signature = "A" * (size - len(HEADER) - len(CLAIMS) - 2)
    return f"{HEADER}.{CLAIMS}.{signature}"


def test_a_token_is_taken_apart() -> None:
    token = sign()

    jws = parse(token)

    assert jws.header == header()
    assert jws.claims == claims()
    assert jws.algorithm == "RS256"
    assert jws.key_id == "RS256"
    assert jws.issuer == claims()["iss"]
    assert jws.signing_input == token.rpartition(".")[0].encode()
    assert len(jws.signature) == 256


def test_the_payload_of_a_signed_text_comes_back() -> None:
    jws = split(f"{HEADER}.{encoded(b'no JSON')}.{SIGNATURE}")

    assert jws.payload == b"no JSON"


def test_a_token_shows_neither_claims_nor_signature_in_its_text() -> None:
    assert "anna" not in repr(parse(sign()))


@pytest.mark.parametrize("changes", [{"kid": None}, {"kid": ""}, {"kid": "k" * 1024}, {"typ": None}, {"cty": "x"}])
def test_optional_members_of_the_header_may_be_absent(changes: dict[str, object]) -> None:
    jws = parse(sign(header(**changes)))

    assert jws.key_id == header(**changes).get("kid")


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "x5t"])
@pytest.mark.parametrize("value", ["http://127.0.0.1:1/", {"kty": "oct"}, ["x"], 1, None])
def test_where_a_key_could_be_found_is_not_looked_at(name: str, value: object) -> None:
    jws = parse(with_header(json.dumps({**header(), name: value}).encode()))

    assert jws.algorithm == "RS256"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "three parts"),
        ("A", "three parts"),
        ("A.B", "three parts"),
        ("A.B.C.D", "three parts"),
        ("A.B.C.D.E", "encrypted"),
        ("....", "encrypted"),
        ("A.B.C.D.E.F", "three parts"),
        ("." * MAX_SIZE, "three parts"),
        ("." * (MAX_SIZE + 1), "16 KiB"),
        (of_size(MAX_SIZE + 1), "16 KiB"),
        ('{"payload":"","signatures":[]}', "compact"),
        ('{"payload":"a.b.c.d"}', "compact"),
        ("..", "the header: not JSON"),
        (f".{CLAIMS}.{SIGNATURE}", "the header: not JSON"),
        (f"{HEADER}..{SIGNATURE}", "the claims: not JSON"),
        (f"{HEADER}.{CLAIMS}.{SIGNATURE}ä", "base64url"),
        (f"{HEADER}.{CLAIMS}.\ud800", "base64url"),
    ],
)
def test_another_form_than_three_parts_is_refused(token: str, reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason):
        parse(token)


def test_a_token_may_have_16_kib() -> None:
    assert parse(of_size(MAX_SIZE)).claims == claims()


@pytest.mark.requirement("RFC 7515", "2")
@pytest.mark.parametrize("ending", ["=", "==", " ", "\n", "\r\n", "\t", "\x00", "+", "/", "?", "A"])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_part_that_is_not_strict_base64url_is_refused(part: int, ending: str) -> None:
    parts = [HEADER, CLAIMS, SIGNATURE]
    parts[part] += ending

    with pytest.raises(InvalidToken, match="is not base64url"):
        parse(".".join(parts))


@pytest.mark.requirement("RFC 7515", "2")
@pytest.mark.parametrize("part", [0, 1, 2])
def test_bits_that_no_octet_needs_are_refused(part: int) -> None:
    parts = [encoded(b'{"alg":"RS256"} '), encoded(b'{"sub":"anna"}  '), encoded(b"1234")]
    assert all(text[-1] in "AQgw" for text in parts)
    parts[part] = parts[part][:-1] + chr(ord(parts[part][-1]) + 1)

    with pytest.raises(InvalidToken, match="is not base64url"):
        parse(".".join(parts))


@pytest.mark.requirement("RFC 7515", "4")
@pytest.mark.requirement("RFC 7519", "7.2")
@pytest.mark.requirement("RFC 8725", "3.7")
@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "not JSON"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"17", "not a JSON object"),
        (b"{", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{'alg': 'RS256'}", "not JSON"),
        (b'\xef\xbb\xbf{"alg": "RS256"}', "byte order mark|JSON"),
        (b'{"alg": "RS256\xff"}', "UTF-8"),
        ('{"alg": "RS256"}'.encode("utf-16"), "UTF-8"),
        (b'{"alg": "RS256", "alg": "none"}', "duplicate"),
        (b'{"alg": "RS256", "\\u0061lg": "none"}', "duplicate"),
        (b'{"alg": "RS256", "x": {"y": 1, "y": 2}}', "duplicate"),
        (b'{"alg": "RS256", "x": NaN}', "not JSON"),
        (b'{"alg": "RS256", "x": -Infinity}', "not JSON"),
        (b'{"alg": "RS256", "x": 1e400}', "out of range"),
        (b'{"alg": "RS256", "x": ' + b"9" * 5000 + b"}", "out of range"),
        (b'{"alg": "RS256", "x": "\\ud800"}', "surrogate"),
        (b'{"alg": "RS256", "x": ' + b"[" * 3000 + b"]" * 3000 + b"}", "deep"),
        (b'{"alg": "RS256", "x": ' + b"[" * 9000, "deep"),
        (b'{"x":' * 2000 + b"1" + b"}" * 2000, "deep"),
    ],
)
@pytest.mark.parametrize("place", [with_header, with_claims])
def test_a_part_that_is_not_one_strict_json_object_is_refused(
    place: Callable[[bytes], str], octets: bytes, reason: str
) -> None:
    with pytest.raises(InvalidToken, match=reason):
        parse(place(octets))


@pytest.mark.requirement("RFC 7515", "4.1.11")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alg": None}, "alg is missing or not a text"),
        ({"alg": ["RS256"]}, "alg is missing or not a text"),
        ({"alg": ["none"]}, "alg is missing or not a text"),
        ({"alg": {"RS256": 1}}, "alg is missing or not a text"),
        ({"alg": 256}, "alg is missing or not a text"),
        ({"alg": True}, "alg is missing or not a text"),
        ({"crit": []}, "crit"),
        ({"crit": ["exp"], "exp": 1}, "crit"),
        ({"crit": ["alg"]}, "crit"),
        ({"crit": ["b64"], "b64": True}, "crit"),
        ({"crit": "b64"}, "crit"),
        ({"crit": False}, "crit"),
        ({"b64": False}, "b64"),
        ({"b64": True}, "b64"),
        ({"kid": ["RS256"]}, "kid is not a text"),
        ({"kid": {"a": 1}}, "kid is not a text"),
        ({"kid": 7}, "kid is not a text"),
        ({"kid": "k" * 1025}, "kid is longer"),
        ({"typ": ["JWT"]}, "typ is not a text"),
        ({"typ": 1}, "typ is not a text"),
    ],
)
def test_a_header_that_is_not_understood_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason):
        parse(sign(header(**changes)))


@pytest.mark.parametrize("name", ["kid", "typ", "alg", "crit", "b64"])
def test_null_in_the_header_is_a_value_of_the_wrong_type(name: str) -> None:
    with pytest.raises(InvalidToken, match=name):
        parse(with_header(json.dumps({**header(), name: None}).encode()))


@pytest.mark.parametrize("issuer", [None, 1, ["https://id.example"], {"a": 1}, True])
def test_an_issuer_that_is_not_a_text_is_refused(issuer: object) -> None:
    jws = parse(sign(body=json.dumps({**claims(), "iss": issuer}).encode()))

    with pytest.raises(InvalidToken, match="iss is missing or not a text"):
        _ = jws.issuer


def test_an_issuer_that_is_absent_is_refused() -> None:
    jws = parse(sign(body=claims(iss=None)))

    with pytest.raises(InvalidToken, match="iss is missing or not a text"):
        _ = jws.issuer


def test_no_refusal_repeats_what_came() -> None:
    with pytest.raises(InvalidToken) as refusal:
        parse(with_claims(b'{"sub": "anna", "sub": "bert"}'))

    assert "anna" not in str(refusal.value)
    assert refusal.value.__cause__ is None
