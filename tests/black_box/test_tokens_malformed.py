"""What is no JWT, no token or no header: refused with 401 or 400, never a 5xx, and nobody is asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask, g

from flask_foreign_token import require_policy

from ..apps import ask, bearer
from ..conftest import MakeApp
from .tokens import (
    Server,
    b64,
    claims_of,
    compact,
    issued_by,
    jwk,
    let_in,
    refused,
    rsa_key,
    serving,
    signature,
    token_of,
)

KIB_16 = 16 * 1024


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def app(server: Server, make_app: MakeApp) -> Flask:
    app = make_app(issued_by(server.keys(jwk(rsa_key()))))
    let_in(ask(app, token_of()))
    return app


@pytest.fixture
def withstands(app: Flask, server: Server) -> Callable[..., None]:
    def withstands(*tokens: str, status: int = 401) -> None:
        for token in tokens:
            answer = ask(app, token)
            assert answer.status_code == status, (token[:80], answer.get_data(as_text=True))
            if status == 401:
                refused(answer)
            else:
                assert answer.json["error"] == "invalid_request"
        assert len(server.calls) == 1
        let_in(ask(app, token_of(sub="bob")), "bob")

    return withstands


def signed(header: object, payload: object) -> str:
    return compact(header, payload, lambda text: signature("RS256", rsa_key(), text))


GOOD = {"alg": "RS256", "kid": "first"}


def changed(part: int, change: Callable[[str], str]) -> str:
    """A good token of which one part is written otherwise; signed as it stands, where that can be."""
    header, payload, tail = token_of().split(".")
    parts = [header, payload]
    if part == 2:
        return ".".join((header, payload, change(tail)))
    parts[part] = change(parts[part])
    text = ".".join(parts)
    return f"{text}.{b64(signature('RS256', rsa_key(), text.encode('utf-8', 'surrogatepass')))}"


def tail_bits(part: str) -> str:
    """The same octets with bits that no octet needs."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(part) % 4
    return part[:-1] + alphabet[alphabet.index(part[-1]) + 1]


def padded_claims(part: int, change: Callable[[str], str]) -> Iterator[str]:
    """`change` made to parts of each length that base64 can have."""
    for filler in range(3):
        header = {**GOOD, "x": "y" * filler}
        text = [b64(json.dumps(header).encode()), b64(json.dumps(claims_of(x="y" * filler)).encode())]
        if len(text[part]) % 4:
            text[part] = change(text[part])
            yield ".".join((*text, b64(signature("RS256", rsa_key(), ".".join(text).encode()))))


@pytest.mark.parametrize("part", [0, 1])
def test_base64url_with_padding_or_bits_that_no_octet_needs_is_refused(withstands, part):
    withstands(*padded_claims(part, lambda text: text + "=" * (-len(text) % 4)), status=400)
    withstands(*padded_claims(part, lambda text: text + "="), status=400)
    withstands(*padded_claims(part, tail_bits))


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("stray", ["=", "==", "+", "/", "A", "~"])
def test_base64url_with_a_stray_character_is_refused(withstands, part, stray):
    """`=` anywhere but at the end makes it no `b64token` (RFC 6750, section 2.1), and so the header a malformed one."""
    withstands(changed(part, lambda text: text + stray), status=400 if part < 2 and "=" in stray else 401)


def test_a_signature_with_padding_or_bits_that_no_octet_needs_is_refused(withstands):
    withstands(changed(2, lambda text: text + "=="), changed(2, tail_bits))


@pytest.mark.parametrize("stray", [" ", "\t", "\u00e4", "%", "{", '"', ",", "\\"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_character_that_no_token_has_is_a_malformed_header(withstands, place, stray):
    withstands(changed(place, lambda text: text[:5] + stray + text[5:]), status=400)


@pytest.mark.parametrize("stray", ["\0", "\r", "\n", "\r\n", "\r\nX: y", "\x7f", "\x80", "\u2028"])
def test_control_characters_and_what_is_not_ascii_are_a_malformed_header(app: Flask, server: Server, stray):
    """Past the client of the tests, as a server that lets them through would hand them over."""
    token = token_of(sub="eve")
    for text in (f"Bearer {token}{stray}", f"Bearer {token[:9]}{stray}{token[9:]}", f"Bearer{stray}{token}"):
        octets = text.encode("utf-8").decode("latin-1")
        answer = app.test_client().get("/patients", environ_overrides={"HTTP_AUTHORIZATION": octets})
        assert answer.status_code in {400, 401}, answer.get_data(as_text=True)
        assert answer.json["error"] in {"invalid_request", "unauthorized"}
    assert len(server.calls) == 1


DUPLICATES = {
    "alg": (b'{"alg":"none","alg":"RS256","kid":"first"}', None),
    "kid": (b'{"alg":"RS256","kid":"x","kid":"first"}', None),
    "the same twice": (b'{"alg":"RS256","alg":"RS256","kid":"first"}', None),
    "escaped": (b'{"alg":"RS256","\\u0061lg":"RS256","kid":"first"}', None),
    "deep in the header": (b'{"alg":"RS256","kid":"first","x":{"a":1,"a":2}}', None),
    "sub": (None, b'"sub":"eve","sub":"ada"'),
    "exp": (None, b'"exp":1,"exp":99999999999'),
    "deep in the claims": (None, b'"realm":{"a":{"b":1,"b":2}}'),
    "in a list": (None, b'"x":[{"b":1,"b":1}]'),
}


@pytest.mark.parametrize("case", DUPLICATES)
def test_a_member_that_is_there_twice_is_refused(withstands, case):
    header, more = DUPLICATES[case]
    claims = json.dumps(claims_of()).encode()
    withstands(signed(header or GOOD, claims if more is None else claims[:-1] + b"," + more + b"}"))


@pytest.mark.parametrize("kid", [["first"], {"first": 1}, 1, 1.5, True, "k" * 1025])
def test_a_kid_that_is_no_text_or_too_long_is_refused(withstands, kid):
    withstands(signed({"alg": "RS256", "kid": kid}, claims_of()))


def test_a_kid_that_is_null_is_no_text(withstands):
    withstands(signed({"alg": "RS256", "kid": None}, claims_of()))


WRONG_TYPES = [
    *((name, value) for name in ("iss", "sub") for value in (1, True, ["ada"], {"a": 1}, 1.5, None, "")),
    *(("exp", value) for value in ("99999999999", [99999999999], {}, True, None, "", 10**15, -1, 0)),
    *((name, value) for name in ("iat", "nbf") for value in ("1", [1], {}, True, 10**15)),
    *(("aud", value) for value in ([], [1], {}, 1, True, [["account"]], {"account": 1}, ["account", 1], [None], "")),
    *((name, value) for name in ("azp", "client_id") for value in (1, ["x"], {})),
]


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES)
def test_a_claim_of_a_wrong_type_is_refused(withstands, name, value):
    withstands(signed(GOOD, {**claims_of(), name: value}))


@pytest.mark.parametrize("scope", [1, {}, True, None, {"read": True}, [["read"]], [1]])
def test_a_scope_of_a_wrong_type_grants_nothing(server: Server, make_app: MakeApp, scope):
    app = make_app(issued_by(server.keys(jwk(rsa_key()))))

    @app.get("/scoped")
    @require_policy(scope="read")
    def scoped() -> dict[str, object]:
        return {"subject": g.token.subject}

    assert ask(app, signed(GOOD, {**claims_of(), "scope": scope}), "/scoped").status_code in {401, 403}
    let_in(ask(app, token_of(scope="read"), "/scoped"))


NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1e400",
    "9" * 5000,
    "1e99999",
    "01",
    "1.",
    "0x7f",
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "other"])
def test_a_number_that_is_none_is_refused(withstands, name, number):
    claims = json.dumps(claims_of(**{name: None})).encode()
    withstands(signed(GOOD, claims[:-1] + f',"{name}":{number}}}'.encode()))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_no_calendar_has_is_refused(withstands, name):
    claims = json.dumps(claims_of(**{name: None})).encode()
    withstands(signed(GOOD, claims[:-1] + f',"{name}":1{"0" * 400}}}'.encode()))


def with_claim(text: str) -> bytes:
    return json.dumps(claims_of()).encode()[:-1] + f',"x":{text}}}'.encode()


DEEP = {
    "closed lists": "[" * 3000 + "]" * 3000,
    "closed objects": '{"a":' * 1500 + "1" + "}" * 1500,
    "a level too many": "[" * 65 + "]" * 65,
    "open lists": "[" * 9000,
    "open objects": '{"a":' * 1800,
}


@pytest.mark.parametrize("case", DEEP)
def test_what_is_nested_too_deeply_is_refused(withstands, case):
    withstands(signed(GOOD, with_claim(DEEP[case])))
    if len(DEEP[case]) < 8000:
        withstands(signed(json.dumps(GOOD).encode()[:-1] + f',"x":{DEEP[case]}}}'.encode(), claims_of()))


def test_what_is_nested_less_deeply_is_let_in(app: Flask):
    let_in(ask(app, signed(GOOD, with_claim("[" * 60 + "]" * 60))))


TEXTS = {
    "a lone surrogate": b'"\\ud800"',
    "a surrogate in a pair of two first halves": b'"\\ud800\\ud800"',
    "octets of a surrogate": b'"\xed\xa0\x80"',
    "no UTF-8": b'"\xff"',
    "an overlong octet": b'"\xc0\x80"',
    "NUL": b'"a\\u0000b"',
    "a raw NUL": b'"a\0b"',
    "a raw line end": b'"a\nb"',
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_subject_that_is_no_text_is_refused(withstands, case):
    withstands(signed(GOOD, json.dumps(claims_of(sub=None)).encode()[:-1] + b',"sub":' + TEXTS[case] + b"}"))


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"null", b"1", b'"x"', b"{", b"{}{}", b"{} x", b"\xef\xbb\xbf{}", b"'", b"\0", b"{,}"]
)
def test_a_header_or_claims_that_are_no_json_object_are_refused(withstands, text):
    withstands(signed(GOOD, text), signed(text, claims_of()))


def test_claims_after_a_byte_order_mark_or_in_another_encoding_are_refused(withstands):
    claims = json.dumps(claims_of())
    withstands(*(signed(GOOD, claims.encode(name)) for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32")))


def test_a_token_of_another_number_of_parts_is_refused(withstands):
    header, payload, tail = token_of().split(".")
    withstands(
        header,
        f"{header}.{payload}",
        f"{header}.{payload}.",
        f"{header}.{payload}.{tail}.",
        f".{header}.{payload}.{tail}",
        f"{header}.{payload}.{tail}.{tail}",
        f"{header}.{payload}.{tail}.{tail}.{tail}",
        f"{header}..{tail}",
        f".{payload}.{tail}",
        "..",
        "....",
        ".",
        "." * (KIB_16 - len("Bearer ")),
    )


def test_an_encrypted_token_is_refused(withstands):
    header = b64(b'{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF","kid":"first"}')
    withstands(".".join((header, *[b64(b"x" * 48)] * 4)), b64(b'{"alg":"dir","enc":"A128GCM"}') + "..AA.AA.AA")


def test_a_token_in_one_of_the_json_serializations_is_refused(withstands, app: Flask):
    header, payload, tail = token_of(sub="eve").split(".")
    flat = json.dumps({"payload": payload, "protected": header, "signature": tail}, separators=(",", ":"))
    general = json.dumps({"payload": payload, "signatures": [{"protected": header, "signature": tail}]})
    withstands(flat, general, status=400)
    withstands(b64(flat.encode()), b64(general.encode()))


def test_a_header_of_16_kib_is_read_and_one_byte_more_is_refused(app: Flask, withstands):
    prefix = len("Bearer ")
    exact = "a" * (KIB_16 - prefix)
    assert len(bearer(exact)["Authorization"]) == KIB_16
    withstands(exact)
    withstands(exact + "a", exact * 3, status=400)
    withstands(token_of(sub="s" * 12 * 1024), status=400)


def test_a_good_token_of_nearly_16_kib_is_let_in(app: Flask):
    token = token_of(filler="f" * 11_500)
    assert KIB_16 - 1024 < len(token) < KIB_16 - len("Bearer ")
    let_in(ask(app, token))


def test_a_time_far_ahead_costs_nothing(withstands):
    begin = time.monotonic()
    withstands(*(signed(GOOD, {**claims_of(), "exp": 10**size}) for size in (13, 20, 100, 300)))
    assert time.monotonic() - begin < 30
