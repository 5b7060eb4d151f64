"""JWTs: times, audience, client, type and the claims that must be there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from flask import Flask

from ..apps import AUDIENCE, Resource, ask, provider
from ..conftest import MakeApp
from .tokens import Server, issued_by, jwk, let_in, refused, rsa_key, serving, token_of


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def trusting(server: Server, make_app: MakeApp):
    """Makes apps that trust the issuer; what is given is the introspector's `jwt`."""

    def make(config: dict[str, object] = {}, **jwt: object) -> Flask:  # noqa: B006
        return make_app(issued_by(server.keys(jwk(rsa_key())), **jwt), **config)

    return make


FAR = 10  # seconds from the edge, so that no slow machine decides


@pytest.mark.parametrize("leeway", [None, 0, 60, 300])
def test_times_hold_give_or_take_the_leeway(trusting, leeway):
    app, span = trusting(leeway=leeway), 30 if leeway is None else leeway
    now = int(time.time())

    for name, wrong, description in [
        ("exp", -1, "expired"),
        ("nbf", 1, "nbf lies ahead"),
        ("iat", 1, "iat lies ahead"),
    ]:
        refused(ask(app, token_of(**{name: now + wrong * (span + FAR)})), description)
        let_in(ask(app, token_of(**{name: now + wrong * (span - FAR)})))


def test_a_leeway_of_nothing_lets_nothing_through(trusting):
    app, now = trusting(leeway=0), time.time()

    refused(ask(app, token_of(exp=now - 1)), "expired")
    refused(ask(app, token_of(iat=now + 3)), "iat")
    refused(ask(app, token_of(nbf=now + 3)), "nbf")


@pytest.mark.parametrize("leeway", [-1, 301, "30", 1.5, True, None])
def test_a_leeway_out_of_bounds_is_no_leeway(trusting, leeway):
    answer = ask(trusting(leeway=leeway), token_of())

    assert answer.status_code == (200 if leeway is None else 503)


def test_a_token_without_exp_is_refused_and_one_without_the_other_times_let_in(trusting):
    app = trusting()

    refused(ask(app, token_of(exp=None)), "exp is missing")
    let_in(ask(app, token_of(iat=None)))
    let_in(ask(app, token_of(nbf=int(time.time()) - 60)))
    let_in(ask(app, token_of(exp=time.time() + 60.5)))


def test_a_token_that_was_let_in_is_refused_once_it_has_expired(server, timed_app, now):
    app = timed_app(issued_by(server.keys(jwk(rsa_key()))))
    token = token_of(exp=int(now.now) + 60)
    let_in(ask(app, token))

    now.now += 60 + 29
    let_in(ask(app, token))
    now.now += 2
    refused(ask(app, token), "expired")


AUD = {
    "the text": ("api", "api", True),
    "another text": ("api", "other", False),
    "a beginning": ("api", "ap", False),
    "other case": ("api", "API", False),
    "in a list": ("api", ["x", "api"], True),
    "not in a list": ("api", ["x", "y"], False),
    "any of several": (["api", "old"], "old", True),
    "any of several in a list": (["api", "old"], ["x", "old"], True),
    "none of several": (["api", "old"], ["x", "y"], False),
    "an empty list": ("api", [], False),
    "a list of an empty text": ("api", [""], False),
    "missing": ("api", None, False),
}


@pytest.mark.parametrize("case", AUD)
def test_aud_must_name_one_of_the_audiences(trusting, case):
    wanted, said, good = AUD[case]
    answer = ask(trusting(aud=wanted), token_of(aud=said))

    let_in(answer) if good else refused(answer, "aud")


CLIENTS = {
    "azp": ({"azp": "c"}, True),
    "client_id": ({"client_id": "c"}, True),
    "another of several": ({"azp": "d"}, True),
    "azp of another": ({"azp": "e"}, False),
    "client_id of another": ({"client_id": "e"}, False),
    "neither": ({}, False),
    "azp of another before client_id": ({"azp": "e", "client_id": "c"}, False),
    "azp as a list": ({"azp": ["c"]}, False),
}


@pytest.mark.parametrize("case", CLIENTS)
def test_the_client_must_be_one_of_those_named(trusting, case):
    claims, good = CLIENTS[case]
    app = trusting(client_id=["c", "d"], aud=None)
    answer = ask(app, token_of(aud=None, **claims))

    let_in(answer) if good else refused(answer)


def test_both_audience_and_client_must_fit_where_both_are_asked_for(trusting):
    app = trusting(client_id="c", aud="api")

    let_in(ask(app, token_of(aud="api", azp="c")))
    for wrong in ({"aud": "api", "azp": "d"}, {"aud": "other", "azp": "c"}, {"aud": None, "azp": "c"}):
        refused(ask(app, token_of(**wrong)))


@pytest.mark.parametrize(
    ("aud", "good"), [(None, True), ("c", True), ("https://api.example", True), ("other", False), (["x", "c"], True)]
)
def test_an_audience_beside_a_client_must_be_the_resource_or_a_client(trusting, aud, good):
    app = trusting({"FOREIGN_TOKEN_RESOURCE": "https://api.example"}, client_id=["c"], aud=None)
    answer = ask(app, token_of(aud=aud, azp="c"))

    let_in(answer) if good else refused(answer, "aud")


def test_an_audience_of_the_resource_does_not_replace_that_of_the_introspector(trusting):
    app = trusting({"FOREIGN_TOKEN_RESOURCE": "https://api.example"}, aud="api")

    let_in(ask(app, token_of(aud="api")))
    refused(ask(app, token_of(aud="https://api.example")))


TYP = {
    "as it is": ("at+jwt", "at+jwt", True),
    "upper case": ("at+jwt", "AT+JWT", True),
    "a full media type": ("at+jwt", "application/at+jwt", True),
    "a full media type in upper case": ("at+jwt", "Application/At+Jwt", True),
    "a full media type asked for": ("application/at+jwt", "at+jwt", True),
    "another": ("at+jwt", "JWT", False),
    "none": ("at+jwt", None, False),
    "another type of the tree": ("at+jwt", "text/at+jwt", False),
    "one with a blank": ("at+jwt", "at+jwt ", False),
    "an empty one": ("at+jwt", "", False),
    "JWT": ("JWT", "jwt", True),
    "JWT, and none": ("JWT", None, False),
    "JWT, and at+jwt": ("JWT", "at+jwt", False),
}
RFC_9068 = {"client_id": "c", "jti": "1"}


@pytest.mark.parametrize("case", TYP)
def test_typ_is_compared_as_a_media_type_where_it_is_asked_for(trusting, case):
    wanted, said, good = TYP[case]
    answer = ask(trusting(typ=wanted), token_of(header={"typ": said}, **RFC_9068))

    let_in(answer) if good else refused(answer, "typ")


@pytest.mark.parametrize("missing", ["exp", "aud", "sub", "iat", "jti", "client_id"])
def test_a_claim_that_rfc_9068_requires_must_be_there_where_at_jwt_is_asked_for(trusting, missing):
    app = trusting(typ="at+jwt")

    refused(ask(app, token_of(header={"typ": "at+jwt"}, **{**RFC_9068, missing: None})))
    let_in(ask(app, token_of(header={"typ": "at+jwt"}, **RFC_9068)))


@pytest.mark.parametrize("missing", ["jti", "client_id", "iat"])
def test_other_tokens_need_no_more_than_the_claims_of_every_token(trusting, missing):
    let_in(ask(trusting(), token_of(**{**RFC_9068, missing: None})))


@pytest.mark.parametrize("missing", ["iss", "sub", "exp", "aud"])
def test_claims_that_every_token_needs_must_be_there(trusting, missing):
    refused(ask(trusting(), token_of(**{missing: None})))


def with_subject_claim(server: Server) -> list[Resource]:
    return [provider(subject_claim="oid"), *issued_by(server.keys(jwk(rsa_key())))[1:]]


def test_the_subject_is_the_claim_that_the_provider_names(server: Server, make_app: MakeApp):
    app = make_app(with_subject_claim(server))

    let_in(ask(app, token_of(oid="object")), "object")
    refused(ask(app, token_of()), "subject")


SUBJECTS = {
    "empty": "",
    "11 KB": "s" * 11_000,
    "256 characters": "s" * 256,
    "NUL": "a\0b",
    "a line end": "a\nb",
    "DEL": "a\x7fb",
    "a number": 7,
    "a list": ["ada"],
    "an object": {"a": 1},
    "true": True,
}


@pytest.mark.parametrize("case", SUBJECTS)
def test_a_subject_that_no_user_can_have_is_refused(trusting, case):
    refused(ask(trusting(), token_of(sub=SUBJECTS[case])))


@pytest.mark.parametrize("subject", ["s" * 255, "ünïcode 名前", "auth0|7", "a b", "0", "\U0001d538" * 200])
def test_a_subject_that_a_user_can_have_is_let_in(trusting, subject):
    let_in(ask(trusting(), token_of(sub=subject)), subject)


def test_an_audience_that_is_named_twice_is_named(trusting):
    let_in(ask(trusting(), token_of(aud=[AUDIENCE, AUDIENCE])))
