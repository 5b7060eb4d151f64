"""A token is three parts, the first two each one JSON object of bounded depth, and nothing else is (RFC 7519, 7.2)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable

import pytest

from ..apps import SECRET, SECRET_ISSUER, introspector, policy
from ..conftest import MakeApp
from .target import Target, assert_refused, by_secret, claims, encoded, present

WHOLE = 16 * 1024 - len("Bearer ")
"""Characters of the longest token that a header holds."""


def parts(target: Target) -> list[str]:
    return target.sign().split(".")


# ---- parts

FORMS: dict[str, Callable[[str, str, str], str]] = {
    "one part": lambda head, _body, _signature: head,
    "one part and a dot": lambda head, _body, _signature: f"{head}.",
    "two parts": lambda head, body, _signature: f"{head}.{body}",
    "the last two": lambda _head, body, signature: f"{body}.{signature}",
    "no header": lambda _head, body, signature: f".{body}.{signature}",
    "no claims": lambda head, _body, signature: f"{head}..{signature}",
    "no signature": lambda head, body, _signature: f"{head}.{body}.",
    "a dot before": lambda head, body, signature: f".{head}.{body}.{signature}",
    "a dot behind": lambda head, body, signature: f"{head}.{body}.{signature}.",
    "two dots between": lambda head, body, signature: f"{head}..{body}.{signature}",
    "four parts": lambda head, body, signature: f"{head}.{body}.{signature}.{signature}",
    "five parts": lambda head, body, signature: f"{head}.{body}.{signature}.{body}.{signature}",
    "six parts": lambda head, body, signature: f"{head}.{body}.{signature}.{head}.{body}.{signature}",
    "backwards": lambda head, body, signature: f"{signature}.{body}.{head}",
    "claims first": lambda head, body, signature: f"{body}.{head}.{signature}",
    "the header for claims": lambda head, _body, signature: f"{head}.{head}.{signature}",
    "one dot": lambda *_parts: ".",
    "two dots": lambda *_parts: "..",
    "four dots": lambda *_parts: "....",
    "16 KiB of dots": lambda *_parts: "." * WHOLE,
    "16 KiB of dots around": lambda head, body, signature: f"{head}.{body}.{signature}".ljust(WHOLE, "."),
    "16 KiB of letters": lambda *_parts: "A" * WHOLE,
    "16 KiB of equals signs": lambda *_parts: "A".ljust(WHOLE, "="),
    "slashes": lambda *_parts: "/" * 100,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_what_has_not_three_parts_in_order_is_refused(target: Target, form: Callable[..., str]) -> None:
    target.refuses(form(*parts(target)))


def test_three_parts_in_order_are_let_in(target: Target) -> None:
    target.lets_in(".".join(parts(target)))


JWE = {
    "direct": {"alg": "dir", "enc": "A256GCM"},
    "by RSA": {"alg": "RSA-OAEP", "enc": "A128CBC-HS256", "cty": "JWT"},
    "by a password": {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2**31 - 1, "p2s": "AAAA"},
    "compressed": {"alg": "dir", "enc": "A256GCM", "zip": "DEF"},
    "by a signature's algorithm": {"alg": "RS256", "enc": "A256GCM"},
}


@pytest.mark.parametrize("head", JWE.values(), ids=JWE.keys())
def test_an_encrypted_token_is_refused(target: Target, head: dict[str, object]) -> None:
    whole = f"{encoded(head)}.{encoded(b'k' * 32)}.{encoded(b'i' * 12)}.{encoded(b'c' * 400)}.{encoded(b't' * 16)}"

    target.refuses(whole)
    target.refuses(whole.replace(encoded(b"k" * 32), "", 1))
    target.refuses(target.sign(target.header(enc="A256GCM"), encoded({"x": 1}).encode()))


def test_a_token_within_a_token_is_refused(target: Target) -> None:
    inner = target.sign()

    target.refuses(target.sign(target.header(cty="JWT"), inner.encode()))
    target.refuses(target.sign(target.header(cty="JWT"), json.dumps(inner).encode()))


JSON_SERIALIZATIONS: dict[str, Callable[[str, str, str], object]] = {
    "flattened": lambda head, body, signature: {"protected": head, "payload": body, "signature": signature},
    "general": lambda head, body, signature: {
        "payload": body,
        "signatures": [{"protected": head, "signature": signature}],
    },
    "with no signature": lambda _head, body, _signature: {"payload": body, "signatures": []},
    "with an open header": lambda head, body, signature: {
        "protected": head,
        "header": {"alg": "none"},
        "payload": body,
        "signature": signature,
    },
    "named as it stands": lambda head, body, signature: {"payload": f"{head}.{body}.{signature}"},
    "encrypted": lambda head, body, signature: {
        "protected": head,
        "encrypted_key": body,
        "iv": "AAAA",
        "ciphertext": body,
        "tag": signature,
    },
    "encrypted for several": lambda head, body, signature: {
        "protected": head,
        "recipients": [{"encrypted_key": body}],
        "iv": "AAAA",
        "ciphertext": body,
        "tag": signature,
    },
    "a list of one": lambda head, body, signature: [f"{head}.{body}.{signature}"],
    "a text": lambda head, body, signature: f"{head}.{body}.{signature}",
}


@pytest.mark.parametrize("serialize", JSON_SERIALIZATIONS.values(), ids=JSON_SERIALIZATIONS.keys())
def test_json_serializations_are_refused(target: Target, serialize: Callable[..., object]) -> None:
    text = json.dumps(serialize(*parts(target)), separators=(",", ":"))

    # No token may hold a brace or a quote; what is encoded once more may, and is no token either.
    target.refuses(text, 400)
    target.refuses(encoded(text.encode()))


# ---- depth and size


def nested(brackets: str, depth: int, *, closed: bool = True) -> bytes:
    """JSON of so many arrays or objects within each other."""
    opening, closing = ("[", "]") if brackets == "[]" else ('{"":', "}")
    return (opening * depth + "1" + closing * depth * closed).encode()


def holding(value: bytes, body: dict[str, object]) -> bytes:
    """`body` with one more member."""
    return json.dumps(body)[:-1].encode() + b', "x": ' + value + b"}"


DEEP = {
    "65 levels": nested("[]", 64),
    "65 levels of objects": nested("{}", 64),
    "1 000 levels": nested("[]", 1000),
    "1 000 levels of objects": nested("{}", 1000),
    "3 000 levels": nested("[]", 3000),
    "9 000 levels, not closed": nested("[]", 9000, closed=False),
    "2 000 levels of objects, not closed": nested("{}", 2000, closed=False),
    "64 levels, each not closed": nested("[]", 64, closed=False),
    "9 000 closing ones": b"]" * 9000,
    "many levels in many places": b"[" + b",".join([nested("[]", 70)] * 40) + b"]",
    "brackets behind a text that is not closed": b'"' + b"[" * 3000,
}


@pytest.mark.parametrize("value", DEEP.values(), ids=DEEP.keys())
@pytest.mark.parametrize("place", ["header", "claims", "all"])
def test_what_is_nested_too_deeply_is_refused(target: Target, place: str, value: bytes) -> None:
    body, head = claims(SECRET_ISSUER), {"alg": "HS256"}
    token = {
        "header": lambda: by_secret(holding(value, dict(head)), body),
        "claims": lambda: by_secret(head, holding(value, body)),
        "all": lambda: by_secret(head, value),
    }[place]()

    target.refuses(token)


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_64_levels_are_let_in_and_the_limit_is_named_beyond(make_app: MakeApp, brackets: str) -> None:
    # Of the claims that become a user's data fewer levels are taken, so here nobody becomes one.
    app = make_app([introspector("secret", None, jwt={"iss": SECRET_ISSUER, "secret": SECRET}), policy("all")])
    body = claims(SECRET_ISSUER)

    assert present(app, f"Bearer {by_secret(body=holding(nested(brackets, 63), body))}").status_code == 200
    answer = present(app, f"Bearer {by_secret(body=holding(nested(brackets, 64), body))}")

    assert_refused(answer)
    assert "nested too deeply" in answer.json["error_description"]


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_64_levels_in_the_header_are_let_in(target: Target, brackets: str) -> None:
    target.lets_in(by_secret(holding(nested(brackets, 63), {"alg": "HS256"})))
    answer = target.refuses(by_secret(holding(nested(brackets, 64), {"alg": "HS256"})))

    assert "nested too deeply" in answer.json["error_description"]


def test_many_brackets_that_are_not_nested_are_let_in(target: Target) -> None:
    body = claims(SECRET_ISSUER)

    target.lets_in(by_secret(body=holding(b"[" + b"[],{}," * 800 + b"1]", body)))
    target.lets_in(by_secret(body=holding(json.dumps('[{\\"' * 800).encode(), body)))


# ---- JSON that is none, or none of an object

NO_OBJECTS = {
    "nothing": b"",
    "a space": b" ",
    "a NUL": b"\x00",
    "null": b"null",
    "true": b"true",
    "a number": b"17",
    "a text": b'"text"',
    "an empty list": b"[]",
    "NaN": b"NaN",
    "a brace": b"{",
    "a closing brace": b"}",
    "a word": b"alg",
}
SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "in a list": lambda text: b"[" + text + b"]",
    "as a text": lambda text: json.dumps(text.decode()).encode(),
    "without its last brace": lambda text: text[:-1],
    "with a brace behind": lambda text: text + b"}",
    "twice": lambda text: text * 2,
    "with something behind": lambda text: text + b" x",
    "with a NUL behind": lambda text: text + b"\x00",
    "with a NUL before": lambda text: b"\x00" + text,
    "with a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "in UTF-16": lambda text: text.decode().encode("utf-16"),
    "in UTF-16 without a mark": lambda text: text.decode().encode("utf-16-le"),
    "in UTF-32": lambda text: text.decode().encode("utf-32-be"),
    "in UTF-7": lambda text: b"+AHs-" + text[1:],
    "compressed": zlib.compress,
    "with a comma too many": lambda text: text[:-1] + b",}",
    "with a comma too few": lambda text: text.replace(b",", b"", 1) if b"," in text else text[:-1] + b' "x": 1}',
    "in single quotes": lambda text: text.replace(b'"', b"'"),
    "without quotes": lambda text: text.replace(b'"', b""),
    "with a comment": lambda text: b"/**/" + text,
    "with a comment at the end": lambda text: text + b"//",
    "with another space": lambda text: b"\xc2\xa0" + text,
    "with a vertical tab": lambda text: text.replace(b":", b":\x0b", 1),
    "with a form feed": lambda text: b"\x0c" + text,
    "with a broken character": lambda text: text[:-1] + b', "x": "\xff"}',
    "with half a character": lambda text: text[:-1] + b', "x": "\xc3"}',
    "with an overlong NUL": lambda text: text[:-1] + b', "x": "\xc0\x80"}',
    "with a surrogate in UTF-8": lambda text: text[:-1] + b', "x": "\xed\xa0\x80"}',
    "with a lone surrogate": lambda text: text[:-1] + b', "x": "\\ud800"}',
    "with a lone surrogate in a name": lambda text: text[:-1] + b', "\\udc00": 1}',
    "with a bare line end": lambda text: text[:-1] + b', "x": "\n"}',
    "with an unknown escape": lambda text: text[:-1] + b', "x": "\\x41"}',
    "with a short escape": lambda text: text[:-1] + b', "x": "\\u41 "}',
    "with an escape of a sign": lambda text: text[:-1] + b', "x": "\\u+041"}',
    "with NaN": lambda text: text[:-1] + b', "x": NaN}',
    "with Infinity": lambda text: text[:-1] + b', "x": [-Infinity]}',
    "with a number beyond all": lambda text: text[:-1] + b', "x": 1e400}',
    "with an integer of 5 000 digits": lambda text: text[:-1] + b', "x": ' + b"9" * 5000 + b"}",
    "with a leading zero": lambda text: text[:-1] + b', "x": 01}',
    "with True": lambda text: text[:-1] + b', "x": True}',
    "with undefined": lambda text: text[:-1] + b', "x": undefined}',
    "with a name that is no text": lambda text: text[:-1] + b", 1: 1}",
    "with no value": lambda text: text[:-1] + b', "x"}',
}


@pytest.mark.parametrize("octets", NO_OBJECTS.values(), ids=NO_OBJECTS.keys())
def test_a_part_that_is_no_object_is_refused(target: Target, octets: bytes) -> None:
    target.refuses(by_secret(octets))
    target.refuses(by_secret(body=octets))


def test_an_object_of_nothing_is_neither_a_header_nor_claims(target: Target) -> None:
    target.refuses(by_secret(b"{}"))
    target.refuses(by_secret(body=b"{}"))


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_part_that_is_not_strict_json_is_refused(target: Target, spoil: Callable[[bytes], bytes]) -> None:
    head, body = b'{"alg":"HS256"}', json.dumps(claims(SECRET_ISSUER)).encode()

    target.lets_in(by_secret(head, body))
    target.refuses(by_secret(spoil(head), body))
    target.refuses(by_secret(head, spoil(body)))


def test_what_json_allows_is_let_in(target: Target) -> None:
    body = json.dumps(claims(SECRET_ISSUER), indent=1).replace("\n", "\r\n\t").encode()

    target.lets_in(by_secret(b' \t\r\n{ "alg" : "HS256" } ', body))
    target.lets_in(by_secret(b'{"\\u0061l\\u0067":"\\u0048S256","":{}}', body))
