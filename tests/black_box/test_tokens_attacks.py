"""Forged tokens: each refused as a wrong token, none a 5xx, none fetching anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask

from ..apps import Resource, ask
from ..conftest import MakeApp
from .callers import Operated, operate
from .tokens import (
    ISSUER,
    Server,
    b64,
    claims_of,
    compact,
    ec_key,
    ed_key,
    issued_by,
    jwk,
    let_in,
    pem,
    refused,
    rsa_key,
    serving,
    signature,
    tampered,
    token_of,
    unb64,
)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def app(server: Server, make_app: MakeApp) -> Flask:
    """Trusts three keys, which it has fetched already."""
    server.pages["/evil"] = {"keys": [jwk(rsa_key("evil"), "evil")]}
    app = make_app(issued_by(server.keys(jwk(rsa_key()), jwk(ec_key(), "ec"), jwk(ed_key(), "ed"))))
    let_in(ask(app, token_of()))
    return app


@pytest.fixture
def withstands(app: Flask, server: Server) -> Callable[..., None]:
    def withstands(*tokens: str) -> None:
        for token in tokens:
            refused(ask(app, token))
        assert len(server.calls) == 1
        let_in(ask(app, token_of(sub="bob")), "bob")

    return withstands


def unsigned(algorithm: object, tail: bytes = b"", **header: object) -> str:
    return compact({"alg": algorithm, **header}, claims_of(), lambda _: tail)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "none ", " none", "", "null", None, ["none"], ["RS256"], {}, 0, False]
)
def test_a_token_that_nobody_signed_is_refused(withstands, algorithm):
    withstands(
        unsigned(algorithm),
        unsigned(algorithm, kid="first"),
        unsigned(algorithm, b"x", kid="first"),
        unsigned(algorithm, signature("RS256", rsa_key(), b"x"), kid="first"),
    )


def test_a_token_that_names_no_algorithm_is_refused(withstands):
    withstands(token_of(header={"alg": None}), token_of(header={"alg": None}, kid=None))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("kid", ["first", None, "ec", "ed"])
def test_a_public_key_is_nobodys_secret(withstands, algorithm, kid):
    for key in (rsa_key(), ec_key(), ed_key()):
        public = key.public_key()
        forms = [
            pem(key).encode(),
            pem(key).strip().encode(),
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            json.dumps(jwk(key)).encode(),
            json.dumps(jwk(key), separators=(",", ":")).encode(),
            json.dumps({"keys": [jwk(key)]}).encode(),
        ]
        if key is rsa_key():
            forms.append(public.public_bytes(Encoding.PEM, PublicFormat.PKCS1))
            forms.append(unb64(str(jwk(key)["n"])))
        withstands(*(token_of(secret, algorithm, kid=kid) for secret in forms))


@pytest.mark.parametrize("algorithm", ["PS256", "RS384", "RS512", "PS384", "PS512"])
def test_a_key_signs_no_other_algorithm_of_its_family(withstands, algorithm):
    withstands(token_of(rsa_key(), algorithm), token_of(rsa_key(), algorithm, kid=None))


def test_a_token_signed_with_an_algorithm_and_naming_another_is_refused(withstands):
    withstands(
        token_of(rsa_key(), "PS256", header={"alg": "RS256"}),
        token_of(rsa_key(), "RS512", header={"alg": "RS256"}),
        token_of(ec_key(), "ES256", kid="ed", header={"alg": "EdDSA"}),
        token_of(ed_key(), "EdDSA", kid="ec", header={"alg": "ES256"}),
        token_of(rsa_key(), header={"alg": "rs256"}),
        token_of(rsa_key(), header={"alg": "RS256 "}),
        token_of(rsa_key(), header={"alg": "RS256\0"}),
        token_of(rsa_key(), header={"alg": "ES256K"}),
        token_of(rsa_key(), header={"alg": "dir"}),
    )


EMBEDDED = {
    "jku": lambda server: {"jku": f"{server.url}/evil"},
    "x5u": lambda server: {"x5u": f"{server.url}/evil"},
    "jwk": lambda server: {"jwk": jwk(rsa_key("evil"), "evil")},
    "x5c": lambda server: {"x5c": [base64.b64encode(pem(rsa_key("evil")).encode()).decode()]},
}


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_key_that_the_token_brings_along_is_not_looked_at(app: Flask, server: Server, name):
    header = EMBEDDED[name](server)
    refused(ask(app, token_of(rsa_key("evil"), header=header)), "signature")
    refused(ask(app, token_of(rsa_key("evil"), kid=None, header=header)), "signature")

    let_in(ask(app, token_of(header=header)))
    assert server.calls[0].path == "/keys"
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "crit", [["b64"], ["exp"], [], "b64", "", None, {}, 1, True, ["alg"], ["x", "x"], [1], [None], ["http://x"]]
)
def test_a_critical_extension_is_refused_whatever_it_says(withstands, crit):
    payload = claims_of()
    for more in ({}, {"b64": True}, {"b64": False}, {"exp": 1}, {"x": 1}):
        header = {"alg": "RS256", "kid": "first", "crit": crit, **more}
        withstands(compact(header, payload, lambda signed: signature("RS256", rsa_key(), signed)))


def test_an_unencoded_payload_is_refused(withstands):
    for b64_says in (False, True, None, "false"):
        withstands(
            compact(
                {"alg": "RS256", "kid": "first", "b64": b64_says},
                claims_of(),
                lambda text: signature("RS256", rsa_key(), text),
            )
        )


LEFT_OUT: dict[str, Callable[[], dict[str, object]]] = {
    "RSA of 1024 bits": lambda: jwk(rsa_key("small", 1024), "bad"),
    "RSA of 2047 bits": lambda: {**jwk(rsa_key("bad"), "bad"), "n": b64(unb64(str(jwk(rsa_key("bad"))["n"]))[1:])},
    "a secret": lambda: {"kty": "oct", "k": b64(b"s" * 32), "kid": "bad", "alg": "HS256"},
    "a secret without alg": lambda: {"kty": "oct", "k": b64(b"s" * 32), "kid": "bad"},
    "an encryption key": lambda: jwk(rsa_key("bad"), "bad", use="enc"),
    "another curve": lambda: {"kty": "EC", "crv": "secp256k1", "x": b64(b"1" * 32), "y": b64(b"2" * 32), "kid": "bad"},
    "a point off the curve": lambda: {**jwk(ec_key("P-256", "bad"), "bad"), "y": b64(b"1" * 32)},
    "X25519": lambda: {**jwk(ed_key("bad"), "bad"), "crv": "X25519"},
    "no numbers": lambda: {"kty": "RSA", "kid": "bad"},
    "an exponent of one": lambda: {**jwk(rsa_key("bad"), "bad"), "e": b64(b"\1")},
    "an unknown kind": lambda: {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "bad"},
    "a kid that is a list": lambda: {**jwk(rsa_key("bad")), "kid": ["bad"]},
    "no object": lambda: "bad",
    "null": lambda: None,
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_a_key_that_cannot_serve_is_left_out_and_the_others_go_on(server: Server, make_app: MakeApp, case):
    bad = LEFT_OUT[case]()
    app = make_app(issued_by(server.keys(bad, jwk(rsa_key()), bad)))

    let_in(ask(app, token_of()))
    for token in (
        token_of(b"s" * 32, "HS256", kid="bad"),
        token_of(b"s" * 32, "HS256", kid=None),
        token_of(rsa_key("small", 1024), kid="bad"),
        token_of(rsa_key("small", 1024), kid=None),
        token_of(rsa_key("bad"), kid="bad"),
        token_of(ed_key("bad"), "EdDSA", kid="bad"),
    ):
        refused(ask(app, token))
    let_in(ask(app, token_of(sub="bob")), "bob")


SECRETS = {
    "empty": "",
    "blank": " " * 40,
    "tabs and line ends": "\t\n" * 20,
    "shorter than its hash": "s" * 31,
    "a PEM key": pem(rsa_key()),
    "a PEM key without the last line end": pem(ec_key()).strip(),
    "a JWK": json.dumps(jwk(rsa_key())),
    "a set of JWKs": json.dumps({"keys": [jwk(ec_key())]}),
    "DER in base64": base64.b64encode(
        rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode(),
}


@pytest.mark.parametrize("case", SECRETS)
@pytest.mark.parametrize("how", ["secret", "keys"])
def test_a_secret_that_is_none_takes_its_introspector_out_of_service(server, make_app, case, how):
    secret = SECRETS[case]
    jwt: dict[str, object] = {"secret": secret}
    if how == "keys":
        jwt = {"keys": [{"kty": "OCT", "alg": "HS256", "format": "plain", "k": secret}]}
    app = make_app(issued_by(**jwt))

    assert ask(app, token_of(secret or "x", "HS256", kid=None)).status_code in {401, 503}


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_that_is_none_is_never_shown_when_it_is_stored(operated: Operated, case):
    body: Resource = {"type": "jwt", "jwt": {"iss": ISSUER, "aud": "account", "secret": SECRETS[case]}}
    answer = operate(operated(), "PUT", "/fhir/TokenIntrospector/x", body)

    assert answer.status_code in {201, 422}
    if secret := SECRETS[case].strip():
        assert secret[:20] not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("algorithm", "length"), [("HS256", 31), ("HS384", 47), ("HS512", 63), ("HS256", 32), ("HS384", 48), ("HS512", 64)]
)
def test_a_secret_is_at_least_as_long_as_its_hash(make_app: MakeApp, algorithm, length):
    secret = ("0123456789abcdef" * 4)[:length]
    key = {"kty": "OCT", "alg": algorithm, "format": "plain", "k": secret}
    answer = ask(make_app(issued_by(keys=[key])), token_of(secret, algorithm, kid=None))

    assert answer.status_code == (200 if length * 8 >= int(algorithm[2:]) else 503)


def test_a_signature_of_the_wrong_form_is_refused(withstands):
    header, claims = {"alg": "ES256", "kid": "ec"}, claims_of()

    def with_tail(make: Callable[[bytes], bytes]) -> str:
        return compact(header, claims, make)

    good = lambda text: signature("ES256", ec_key(), text)  # noqa: E731
    order = int("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", 16)
    withstands(
        *(with_tail(lambda _, tail=tail: tail) for tail in (b"", b"\0" * 64, b"\0" * 63, b"\0" * 72, b"\xff" * 64)),
        with_tail(lambda _: order.to_bytes(32, "big") * 2),
        with_tail(lambda _: (1).to_bytes(32, "big") * 2),
        with_tail(lambda text: ec_key().sign(text, ec.ECDSA(SHA256()))),
        with_tail(lambda text: good(text) + b"\0"),
        with_tail(lambda text: b"\0" + good(text)),
        with_tail(lambda text: good(text)[:-1]),
        with_tail(lambda text: good(text)[:32]),
        with_tail(lambda text: good(text)[32:] + good(text)[:32]),
    )


@pytest.mark.parametrize(("algorithm", "kid", "size"), [("RS256", "first", 256), ("EdDSA", "ed", 64)])
def test_a_signature_of_zeros_or_of_the_wrong_length_is_refused(withstands, algorithm, kid, size):
    key = rsa_key() if algorithm == "RS256" else ed_key()
    for make in (
        lambda _: b"",
        lambda _: b"\0" * size,
        lambda _: b"\xff" * size,
        lambda text: signature(algorithm, key, text) + b"\0",
        lambda text: b"\0" + signature(algorithm, key, text),
        lambda text: signature(algorithm, key, text)[:-1],
        lambda text: signature(algorithm, key, text) * 2,
    ):
        withstands(compact({"alg": algorithm, "kid": kid}, claims_of(), make))


def test_a_token_that_was_let_in_is_refused_once_its_signature_or_payload_is_swapped(withstands, app: Flask):
    first, second = token_of(sub="ada"), token_of(sub="eve", jti="2")
    let_in(ask(app, first))
    let_in(ask(app, second), "eve")
    one, two = first.split("."), second.split(".")

    withstands(
        ".".join((one[0], one[1], two[2])),
        ".".join((one[0], two[1], one[2])),
        tampered(first, sub="root"),
        first[:-4] + ("AAAA" if first[-4:] != "AAAA" else "BBBB"),
        ".".join((b64(json.dumps({"alg": "RS256", "kid": "first", "x": 1}).encode()), *one[1:])),
    )
    let_in(ask(app, first))
