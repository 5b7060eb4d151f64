"""Userinfo that the provider signs (OpenID Connect Core 5.3.2): believed only when everything about it is right."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask import Flask

from ..apps import ask
from .callers import Operated
from .people import People, counts, me, nobody_in, raw, token, user_of
from .tokens import ISSUER, b64, compact, ec_key, jwk, key_for, pem, refused, rsa_key, signature, unavailable

CLIENT = "clinic"


def signed(algorithm: str = "RS256", key: Any = None, kid: str | None = "first", head: Any = {}, **claims: Any) -> str:  # noqa: B006
    """A good answer unless something says otherwise; a claim that is None is left out."""
    key = key_for(algorithm) if key is None else key
    said = {"iss": ISSUER, "aud": CLIENT, "sub": "ada", "name": "Ada", **claims}
    header = {name: value for name, value in {"alg": algorithm, "kid": kid, **head}.items() if value is not None}
    body = {name: value for name, value in said.items() if value is not None}
    return compact(header, body, lambda text: signature(algorithm, key, text))


def answers(people: People, text: str, content_type: str = "application/jwt") -> None:
    people.answers(lambda request: raw(text, content_type))


@pytest.fixture
def app(operated: Operated, people: People) -> Flask:
    people.keys(jwk(rsa_key()), jwk(ec_key(), "curve", alg="ES256"))
    return operated(people.resources(client={"id": CLIENT, "secret": "the-secret-of-the-clinic"}))


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"aud": [CLIENT]},
        {"aud": ["somebody", CLIENT]},
        {"iat": 1},
        {"roles": ["doctor"], "address": {"locality": "London"}},
    ],
)
def test_a_good_one_is_stored(app: Flask, people: People, said):
    answers(people, signed(**said))

    assert ask(app, token()).status_code == 200

    shown = user_of(app)["data"]
    assert {
        "sub": "ada",
        "name": "Ada",
        **{name: said[name] for name in said if name not in {"aud", "iat"}},
    }.items() <= (shown.items())


@pytest.mark.parametrize("content_type", ["application/jwt", "application/jwt; charset=utf-8", "Application/JWT"])
def test_its_type_may_be_written_otherwise(app: Flask, people: People, content_type: str):
    answers(people, signed(), content_type)

    assert ask(app, token()).status_code == 200


@pytest.mark.parametrize("claim", ["azp", "client_id"])
def test_it_may_be_for_the_client_of_the_token(app: Flask, people: People, claim: str):
    answers(people, signed(aud="my-client"))

    assert ask(app, token(**{claim: "my-client"})).status_code == 200

    assert counts(app) == (1, 1)


def test_it_may_be_signed_with_any_key_of_the_issuer(app: Flask, people: People):
    answers(people, signed("ES256", kid="curve"))

    assert ask(app, token()).status_code == 200


def forged() -> str:
    head, body, tail = signed().split(".")
    return f"{head}.{b64(unb64_changed(body))}.{tail}"


def unb64_changed(body: str) -> bytes:
    from .tokens import unb64

    return unb64(body).replace(b'"Ada"', b'"Eve"')


BAD = {
    "altered": forged,
    "signed by another key": lambda: signed(key=rsa_key("strange")),
    "a key id that nobody has": lambda: signed(kid="strange", key=rsa_key("strange")),
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "none": lambda: compact(
        {"alg": "none"}, {"iss": ISSUER, "aud": CLIENT, "sub": "ada", "name": "Ada"}, lambda text: b""
    ),
    "HMAC with the public key": lambda: signed("HS256", key=pem(rsa_key())),
    "HMAC with the client's secret": lambda: signed("HS256", key="the-secret-of-the-clinic-the-secret", kid=None),
    "another algorithm of the same key": lambda: signed("PS256", key=rsa_key()),
    "a key in its own header": lambda: signed(
        key=rsa_key("strange"), kid="strange", head={"jwk": jwk(rsa_key("strange"))}
    ),
    "an extension": lambda: signed(head={"crit": ["b64"], "b64": False}),
    "no issuer": lambda: signed(iss=None),
    "another issuer": lambda: signed(iss="https://elsewhere.example"),
    "an issuer with a slash more": lambda: signed(iss=ISSUER + "/"),
    "an issuer that is a list": lambda: signed(iss=[ISSUER]),
    "no audience": lambda: signed(aud=None),
    "an empty audience": lambda: signed(aud=[]),
    "another audience": lambda: signed(aud="somebody"),
    "an audience that is a number": lambda: signed(aud=7),
    "an audience that is an object": lambda: signed(aud={CLIENT: CLIENT}),
    "encrypted": lambda: ".".join([b64(b'{"alg": "RSA-OAEP", "enc": "A256GCM"}'), "a", "b", "c", "d"]),
    "four parts": lambda: signed() + ".a",
    "two parts": lambda: signed().rpartition(".")[0],
    "nothing": lambda: "",
    "HTML": lambda: "<html></html>",
    "a list": lambda: compact(
        {"alg": "RS256", "kid": "first"}, [{"sub": "ada"}], lambda text: signature("RS256", rsa_key(), text)
    ),
    "no JSON": lambda: compact(
        {"alg": "RS256", "kid": "first"}, b"sub=ada", lambda text: signature("RS256", rsa_key(), text)
    ),
    "10 MB": lambda: signed(filling="x" * 7_500_000),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
def test_one_that_cannot_be_believed_is_an_outage_that_stores_nothing(app: Flask, people: People, answer):
    answers(people, answer())
    known = token()

    unavailable(ask(app, known))
    unavailable(ask(app, known))

    nobody_in(app)
    assert people.asked == 1


@pytest.mark.parametrize("sub", ["eve", "Ada", "ada "])
def test_one_about_somebody_else_is_refused_and_nothing_stored(app: Flask, people: People, sub: str):
    answers(people, signed(sub=sub))

    refused(ask(app, token()), "userinfo names another subject")

    nobody_in(app)


@pytest.mark.parametrize("sub", [None, 7, ["ada"], ""])
def test_one_about_nobody_is_refused_and_nothing_stored(app: Flask, people: People, sub: object):
    answers(people, signed(sub=sub))

    assert ask(app, token()).status_code in {401, 503}

    nobody_in(app)


def test_the_token_itself_is_no_answer_about_its_user(app: Flask, people: People):
    """Its `aud` is the API, and not a client: RFC 8725, 3.12."""
    people.answers(lambda request: raw(request.headers["Authorization"].split()[1], "application/jwt"))

    unavailable(ask(app, token()))

    nobody_in(app)


def test_one_that_has_expired_is_not_believed(app: Flask, people: People):
    answers(people, signed(exp=int(time.time()) - 3600))

    assert ask(app, token()).status_code in {401, 503}

    nobody_in(app)


def test_one_that_has_not_expired_is_believed(app: Flask, people: People):
    answers(people, signed(exp=int(time.time()) + 3600))

    assert me(app, token())


SHARED = "a-secret-that-provider-and-app-share-for-texts"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda: signed("HS256", key=SHARED, kid=None), 200),
        (lambda: signed("HS256", key=SHARED + "x", kid=None), 503),
        (lambda: signed("HS256", key="", kid=None), 503),
        (lambda: signed("RS256"), 503),
    ],
    ids=["the same secret", "another secret", "no secret", "another kind of key"],
)
def test_where_tokens_are_signed_with_a_secret_userinfo_may_be_too(operated: Operated, people: People, answer, status):
    resources = people.resources(client={"id": CLIENT, "secret": "the-secret-of-the-clinic"})
    del resources[1]["jwks_uri"]
    resources[1]["jwt"]["secret"] = SHARED
    app = operated(resources)
    answers(people, answer())

    assert ask(app, token(key=SHARED, algorithm="HS256", kid=None)).status_code == status

    if status != 200:
        nobody_in(app)
