"""RFC 7662: how opaque tokens are asked about; what is made of odd and wrong answers stands in :mod:`tests.attacks`."""

from __future__ import annotations

import base64
import logging
import time

import pytest
from flask import Flask

from flask_foreign_token.errors import Rejected

from ..apps import ask, policy, store
from ..attacks.opaque import CREDENTIAL, asking, good_answer
from ..conftest import MakeApp
from ..introspection.introspecting import Introspecting
from .clinic import all_refused, statuses


@pytest.fixture
def app(make_app: MakeApp, asked: Introspecting) -> Flask:
    """One that asks `asked`, which knows of one good token."""
    asked.answers["good"] = good_answer()
    return make_app([*asking(asked.url), policy("all")])


@pytest.mark.requirement("RFC 7662", "2.1")
@pytest.mark.requirement("RFC 9700", "4.3.2")
def test_a_token_is_asked_about_in_a_form_that_is_posted_and_never_in_an_address(
    app: Flask, asked: Introspecting
) -> None:
    assert statuses(app, "good") == [200]

    assert asked.lines == ["POST /introspect"]
    assert [form["token"] for form in asked.forms] == ["good"]
    assert [fields["content-type"] for fields in asked.seen] == ["application/x-www-form-urlencoded"]


@pytest.mark.requirement("RFC 7662", "2.1", 2)
@pytest.mark.parametrize(
    ("credential", "header", "form"),
    [
        (CREDENTIAL, "Basic " + base64.b64encode(b"app:hush").decode(), {}),
        ({**CREDENTIAL, "auth_method": "client_secret_post"}, None, CREDENTIAL),
        ({"authorization": "Bearer own"}, "Bearer own", {}),
    ],
)
def test_the_app_shows_who_asks(
    make_app: MakeApp, asked: Introspecting, credential: dict[str, str], header: str | None, form: dict[str, str]
) -> None:
    asked.answers["good"] = good_answer()
    app = make_app([*asking(asked.url, credential=credential), policy("all")])

    assert statuses(app, "good") == [200]

    assert [fields.get("authorization") for fields in asked.seen] == [header]
    assert [{name: sent[name] for name in sent if name.startswith("client")} for sent in asked.forms] == [form]


@pytest.mark.requirement("RFC 7662", "2.1", 2)
def test_an_introspector_that_could_not_show_who_asks_is_refused(make_app: MakeApp, asked: Introspecting) -> None:
    with pytest.raises(Rejected, match="introspection_endpoint"):
        store(make_app(), asking(asked.url, credential={}))
    store(make_app(), asking(asked.url))


@pytest.mark.requirement("RFC 7662", "2.3")
@pytest.mark.parametrize("status", [401, 403])
def test_an_endpoint_that_refuses_this_app_says_nothing_about_the_token(
    app: Flask, asked: Introspecting, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    asked.status, asked.body = status, b'{"error": "invalid_client"}'

    with caplog.at_level(logging.ERROR):
        answers = [ask(app, f"invented-{number}") for number in range(3)]

    assert [answer.status_code for answer in answers] == [503] * 3
    assert all(answer.headers["Retry-After"] for answer in answers)
    assert len([record for record in caplog.records if "TokenIntrospector/opaque" in record.getMessage()]) == 1
    assert "invented" not in caplog.text
    assert asked.calls == 1


@pytest.mark.requirement("RFC 7662", "4")
def test_what_has_ended_is_not_remembered_as_active(app: Flask, asked: Introspecting) -> None:
    asked.answers["good"] = good_answer(exp=int(time.time()) - 3600)
    assert all_refused(app, ["good", "good"])

    asked.answers["good"] = good_answer()
    assert statuses(app, "good", "good") == [200, 200]
    assert asked.calls == 3


@pytest.mark.requirement("RFC 7662", "4", 2)
@pytest.mark.parametrize("url", ["http://id.example/introspect", "ftp://id.example/x", "file:///etc/passwd"])
def test_an_endpoint_without_tls_is_refused(make_app: MakeApp, url: str) -> None:
    with pytest.raises(Rejected, match=r"introspection_endpoint\.url"):
        store(make_app(), asking(url))
    store(make_app(), asking("https://id.example/introspect"))


@pytest.mark.requirement("RFC 9700", "4.9")
def test_two_introspectors_that_could_take_one_token_are_refused(make_app: MakeApp, asked: Introspecting) -> None:
    for prefixes in (({}, {}), ({"token_prefix": "a_"}, {}), ({"token_prefix": "a_"}, {"token_prefix": "a_"})):
        one, two = (asking(asked.url, name, **more) for name, more in zip(("one", "two"), prefixes, strict=True))

        with pytest.raises(Rejected, match="token_prefix"):
            store(make_app(), [*one, *two])
