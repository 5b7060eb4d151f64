"""RFC 7662 and 9701: how opaque tokens are asked about, and what is made of the answers."""

from __future__ import annotations

import base64
import logging
import time
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.errors import Rejected
from flask_foreign_token.testing import Issuer

from .. import challenges
from ..apps import ask, policy, store, trusting_a_secret
from ..conftest import MakeApp
from ..publishing import listening
from .clinic import AUDIENCE, all_refused, refusal, statuses
from .inspection import Endpoint, asking

ISSUER = "https://id.example"


@pytest.fixture
def app(make_app: MakeApp, endpoint: Endpoint) -> Flask:
    return make_app([*asking(endpoint.url), policy("bearers", {"client": "nil?", "uri": "#^/(patients|me)$"})])


@pytest.mark.requirement("RFC 7662", "2.1")
@pytest.mark.requirement("RFC 9700", "4.3.2")
def test_a_token_is_asked_about_in_a_form_that_is_posted_and_never_in_an_address(
    app: Flask, endpoint: Endpoint
) -> None:
    assert statuses(app, "opaque-1") == [200]

    (asked,) = endpoint.asked
    assert (asked.method, asked.mimetype) == ("POST", "application/x-www-form-urlencoded")
    assert asked.form["token"] == "opaque-1"
    assert asked.full_path.rstrip("?") == "/introspect"


@pytest.mark.requirement("RFC 7662", "2.1", 2)
@pytest.mark.parametrize(
    ("as_", "header", "form"),
    [
        ({}, "Basic " + base64.b64encode(b"api:hush").decode(), {}),
        ({"auth_method": "client_secret_post"}, None, {"client_id": "api", "client_secret": "hush"}),
        ({"authorization": "Bearer own", "client_id": None, "client_secret": None}, "Bearer own", {}),
    ],
)
def test_the_app_shows_who_asks(
    make_app: MakeApp, endpoint: Endpoint, as_: dict[str, object], header: str | None, form: dict[str, str]
) -> None:
    resources = asking(endpoint.url, **{"as": as_})
    described = resources[1]["introspection_endpoint"]
    resources[1]["introspection_endpoint"] = {name: value for name, value in described.items() if value is not None}
    app = make_app([*resources, policy("all")])

    assert statuses(app, "opaque-1") == [200]

    (asked,) = endpoint.asked
    assert asked.headers.get("Authorization") == header
    assert {name: asked.form[name] for name in asked.form if name.startswith("client")} == form


@pytest.mark.requirement("RFC 7662", "2.1", 2)
def test_an_introspector_that_could_not_show_who_asks_is_refused(make_app: MakeApp, endpoint: Endpoint) -> None:
    resources = asking(endpoint.url)
    resources[1]["introspection_endpoint"] = {"url": endpoint.url}

    with pytest.raises(Rejected, match="introspection_endpoint"):
        store(make_app(), resources)
    store(make_app(), asking(endpoint.url))


ODD: dict[str, object] = {
    "a text": "true",
    "a number": 1,
    "another text": "active",
    "null": None,
    "a list": [True],
    "an object": {"active": True},
}


@pytest.mark.requirement("RFC 7662", "2.2")
@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_nothing_but_true_is_active(app: Flask, endpoint: Endpoint, value: object) -> None:
    endpoint.answer = {**endpoint.active(), "active": value}

    assert statuses(app, "opaque-1") == [503]


@pytest.mark.requirement("RFC 7662", "2.2")
@pytest.mark.parametrize("answer", [{"sub": "anna"}, {}, [], [{"active": True}], "true", "{", "", "null", b"\xff"])
def test_an_answer_without_active_opens_nothing(app: Flask, endpoint: Endpoint, answer: object) -> None:
    endpoint.answer = answer

    assert statuses(app, "opaque-1") == [503]


@pytest.mark.requirement("RFC 7662", "2.2")
def test_what_is_not_active_is_an_invalid_token(app: Flask, endpoint: Endpoint) -> None:
    endpoint.answer = {"active": False}
    assert refusal(app, "opaque-1") == (401, "invalid_token")

    endpoint.answer = endpoint.active(active=False)
    assert refusal(app, "opaque-2") == (401, "invalid_token")


WRONG: list[dict[str, object]] = [
    {"exp": 1},
    {"exp": "9999999999"},
    {"exp": True},
    {"nbf": 9_999_999_999},
    {"iat": 9_999_999_999},
    {"iss": "https://elsewhere.example"},
    {"iss": 7},
    {"aud": "elsewhere"},
    {"aud": ["elsewhere"]},
    {"aud": None},
    {"aud": []},
    {"aud": [1]},
    {"token_type": "DPoP"},
    {"token_type": "refresh_token"},
    {"token_type": "mac"},
    {"cnf": {"jkt": "x"}},
    {"cnf": {"x5t#S256": "x"}},
    {"sub": ""},
    {"sub": 7},
    {"typ": "Refresh"},
    {"token_use": "refresh_token"},
]


@pytest.mark.requirement("RFC 7662", "2.2", 2)
@pytest.mark.requirement("RFC 9449", "7.2")
@pytest.mark.requirement("RFC 8705", "3")
@pytest.mark.requirement("RFC 9700", "2.3")
def test_what_is_said_of_an_active_token_must_hold_like_claims(make_app: MakeApp, endpoint: Endpoint) -> None:
    app = make_app([*asking(endpoint.url, jwt={"iss": ISSUER}), policy("all")])

    for number, members in enumerate(WRONG):
        endpoint.answer = endpoint.active(**members)
        assert refusal(app, f"opaque-{number}") == (401, "invalid_token"), members

    for number, members in enumerate(({}, {"iss": ISSUER}, {"exp": None}, {"aud": ["x", AUDIENCE]})):
        endpoint.answer = endpoint.active(**members)
        assert statuses(app, f"good-{number}") == [200], members


def test_a_provider_may_say_nothing_of_the_type(app: Flask, endpoint: Endpoint) -> None:
    endpoint.answer = endpoint.active(token_type=None)

    assert statuses(app, "opaque-1") == [200]


@pytest.mark.requirement("RFC 7662", "2.3")
@pytest.mark.parametrize("status", [401, 403])
def test_an_endpoint_that_refuses_this_app_says_nothing_about_the_token(
    app: Flask, endpoint: Endpoint, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    endpoint.status, endpoint.answer = status, {"error": "invalid_client"}

    with caplog.at_level(logging.ERROR):
        answers = [ask(app, f"opaque-{number}") for number in range(3)]

    assert [answer.status_code for answer in answers] == [503] * 3
    assert all(answer.headers["Retry-After"] for answer in answers)
    assert len([record for record in caplog.records if "TokenIntrospector/opaque" in record.getMessage()]) == 1
    assert "opaque-" not in caplog.text.replace("opaque-endpoint", "")
    assert len(endpoint.asked) == 1


USELESS: dict[str, tuple[int, object, str]] = {
    "400": (400, {"error": "invalid_request"}, "application/json"),
    "404": (404, {}, "application/json"),
    "302": (302, {}, "application/json"),
    "500": (500, {}, "application/json"),
    "503": (503, {}, "application/json"),
    "429": (429, {}, "application/json"),
    "HTML": (200, "<html>", "text/html"),
    "JSON that calls itself HTML": (200, {"active": True}, "text/html"),
    "nothing": (200, "", "application/json"),
    "2 MiB": (200, '{"active": true, "x": "' + "x" * 2_097_152 + '"}', "application/json"),
    "a member twice": (200, '{"active": false, "active": true}', "application/json"),
    "a signed answer": (200, "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "application/token-introspection+jwt"),
}


@pytest.mark.requirement("RFC 7662", "2.3")
@pytest.mark.parametrize("answer", USELESS.values(), ids=USELESS)
def test_an_answer_of_no_use_is_an_outage_and_not_remembered_of_the_token(
    make_app: MakeApp, endpoint: Endpoint, answer: tuple[int, object, str]
) -> None:
    resources = [*asking(endpoint.url), policy("all")]
    endpoint.status, endpoint.answer, endpoint.content_type = answer
    refused = ask(make_app(resources), "opaque-1")

    assert (refused.status_code, "WWW-Authenticate" in refused.headers) == (503, False)
    assert refused.headers["Retry-After"] == "5"
    assert [request.path for request in endpoint.asked] == ["/introspect"]
    endpoint.status, endpoint.answer, endpoint.content_type = 200, endpoint.active(), "application/json"
    assert statuses(make_app(resources), "opaque-1") == [200]


@pytest.mark.requirement("RFC 7662", "4")
def test_what_has_ended_is_not_remembered_as_active(app: Flask, endpoint: Endpoint) -> None:
    endpoint.answer = endpoint.active(exp=int(time.time()) - 3600)
    assert all_refused(app, ["opaque-1", "opaque-1"])

    endpoint.answer = endpoint.active()
    assert statuses(app, "opaque-1", "opaque-1") == [200, 200]
    assert len(endpoint.asked) == 3


@pytest.mark.requirement("RFC 7662", "4", 2)
@pytest.mark.parametrize("url", ["http://id.example/introspect", "ftp://id.example/x", "file:///etc/passwd"])
def test_an_endpoint_without_tls_is_refused(make_app: MakeApp, url: str) -> None:
    with pytest.raises(Rejected, match=r"introspection_endpoint\.url"):
        store(make_app(), asking(url))
    store(make_app(), asking("https://id.example/introspect"))


@pytest.mark.requirement("RFC 9700", "4.9")
def test_a_token_is_shown_to_no_provider_but_the_one_that_issued_it(
    make_app: MakeApp, endpoint: Endpoint, issuer: Issuer
) -> None:
    other = Endpoint()
    with listening(other) as origin:
        app = make_app(
            [
                *asking(endpoint.url, "first", token_prefix="first_"),
                *asking(f"{origin}/introspect", "second", token_prefix="second_"),
                *trusting_a_secret(policy("all")),
            ]
        )

        assert statuses(app, "first_1", "second_1") == [200, 200]
        endpoint.answer = other.answer = {"active": False}
        sent = ["first_2", "second_2", "third_1", "first", "FIRST_1", issuer.token(), "a.b.c", "eyJ.first_.x"]
        assert all_refused(app, sent)

    assert [request.form["token"] for request in endpoint.asked] == ["first_1", "first_2"]
    assert [request.form["token"] for request in other.asked] == ["second_1", "second_2"]


@pytest.mark.requirement("RFC 9700", "4.9")
def test_two_introspectors_that_could_take_one_token_are_refused(make_app: MakeApp, endpoint: Endpoint) -> None:
    for prefixes in (({}, {}), ({"token_prefix": "a_"}, {}), ({"token_prefix": "a_"}, {"token_prefix": "a_"})):
        one, two = (asking(endpoint.url, name, **more) for name, more in zip(("one", "two"), prefixes, strict=True))

        with pytest.raises(Rejected, match="token_prefix"):
            store(make_app(), [*one, *two])


def test_a_token_of_a_program_has_no_user_and_a_person_has_one(app: Flask, endpoint: Endpoint) -> None:
    endpoint.answer = endpoint.active(sub=None)
    assert ask(app, "opaque-1", "/me").json == {"user": None, "subject": None}

    endpoint.answer = endpoint.active()
    answer: Any = ask(app, "opaque-2", "/me").json
    assert (answer["subject"], answer["user"] is None) == ("anna", False)


def test_a_bearer_challenge_answers_an_opaque_token_too(app: Flask, endpoint: Endpoint) -> None:
    endpoint.answer = {"active": False}

    assert challenges.bearer(ask(app, "opaque-1"))["error"] == "invalid_token"
