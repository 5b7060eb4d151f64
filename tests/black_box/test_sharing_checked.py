"""What comes from the Redis is held to what the provider is held to, whatever may stand in it."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from ..apps import Resource, ask, introspector, policy, provider
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS
from .people import People, user_of
from .people import token as token_about
from .publishing import document as published
from .sharing import INTROSPECTION, KEYS, KINDS, WELL_KNOWN, Worker, lasting, named, opaque, sharing
from .tokens import ISSUER, OPAQUE, active, let_in, refused, unavailable


def test_a_worker_follows_metadata_to_no_origin_that_its_own_resources_do_not_name(worker, make_app, issuing: People):
    elsewhere = issuing.url.replace("127.0.0.1", "localhost")
    issuing.pages[WELL_KNOWN] = published(issuing.url, issuing.url, jwks_uri=elsewhere + KEYS)

    def resources(**attributes: object) -> list[Resource]:
        known = provider(issuer=issuing.url, **attributes)
        return [known, introspector("own", jwt={"iss": issuing.url}), policy("all", {"jwt": "present?"})]

    let_in(ask(worker(resources(token_endpoint=f"{elsewhere}/token")), lasting(iss=issuing.url)))

    unavailable(ask(make_app(resources()), lasting(iss=issuing.url)))
    unavailable(ask(worker(resources()), lasting(iss=issuing.url)))


def test_a_worker_that_trusts_fewer_algorithms_trusts_no_more_by_the_keys_of_another(worker: Worker, issuing: People):
    def resources(*algorithms: str) -> list[Resource]:
        jwt = {"iss": ISSUER, **({"algorithms": list(algorithms)} if algorithms else {})}
        return [introspector("own", None, jwt=jwt, jwks_uri=issuing.url + KEYS), policy("all", {"jwt": "present?"})]

    let_in(ask(worker(resources()), lasting()))
    refused(ask(worker(resources("PS256")), lasting()))


def test_a_worker_of_another_audience_refuses_what_another_let_in(worker: Worker, issuing: People):
    let_in(ask(worker(opaque(issuing)), OPAQUE))

    refused(ask(worker(opaque(issuing, jwt={"aud": "another"})), OPAQUE), "aud")


@pytest.mark.parametrize("subject", ["other", None, 7])
def test_userinfo_about_somebody_else_is_refused_by_all(worker: Worker, make_app: MakeApp, issuing: People, subject):
    issuing.answers({"sub": subject, "email": "x@example.com"})
    token = token_about()

    apps = [make_app(issuing.resources()), *(worker(issuing.resources()) for _ in range(2))]
    statuses = [ask(app, token).status_code for app in apps]
    assert statuses[0] != 200
    assert statuses == [statuses[0]] * 3


ODD: dict[str, Any] = {
    "half a character": "\ud800",
    "a character of nothing": "\x00",
    "beyond the first plane": "\U0001f600",
    "a great number": 2**70,
    "a long fraction": 0.1 + 0.2,
    "a very great number": 1e308,
    "minus zero": -0.0,
    "deep": [[[[[[[[{"a": [None, True]}]]]]]]]],
    "empty": {"": ""},
    "long": "x" * 100_000,
    "line ends": "\r\n\u2028\u0085",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_userinfo_is_the_same_to_all(worker: Worker, make_app: MakeApp, issuing: People, name: str):
    issuing.says(odd=ODD[name])
    token = token_about()

    apps = [
        make_app(issuing.resources(), **OPERATOR_SETTINGS),
        *(worker(issuing.resources(), **OPERATOR_SETTINGS) for _ in range(2)),
    ]
    statuses = [ask(app, token).status_code for app in apps]
    assert statuses == [statuses[0]] * 3
    if statuses[0] == 200:
        data = [user_of(app)["data"] for app in apps]
        assert data == [data[0]] * 3
        assert [type(one["odd"]) for one in data] == [type(data[0]["odd"])] * 3


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_about_a_token_is_the_same_to_all(worker: Worker, make_app: MakeApp, issuing: People, name: str):
    issuing.pages[INTROSPECTION] = active(iss=None, odd=ODD[name])
    resources = opaque(issuing)

    apps = [make_app(resources), *(worker(resources) for _ in range(2))]
    statuses = [ask(app, OPAQUE).status_code for app in apps]
    assert statuses == [statuses[0]] * 3


def test_odd_members_of_a_key_are_the_same_to_all(worker: Worker, make_app: MakeApp, issuing: People):
    keys = issuing.pages[KEYS].json["keys"]
    issuing.pages[KEYS] = {"keys": [{**keys[0], "x-odd": list(ODD.values())}, {"kty": "odd"}], "odd": ODD}
    resources = KINDS["keys"].resources(issuing)

    apps = [make_app(resources), *(worker(resources) for _ in range(2))]
    statuses = [ask(app, lasting()).status_code for app in apps]
    assert statuses == [statuses[0]] * 3


@pytest.mark.parametrize("name", ["клиника", "a b", "a:b", "*", "x" * 300, "a\nb"])
def test_an_app_of_any_name_shares(bare_app: MakeApp, issuing: People, redis_url: str, store: Redis, name: str):
    for _ in range(2):
        app = named(name, bare_app, KINDS["keys"].resources(issuing), **sharing(redis_url))
        let_in(ask(app, lasting()))

    assert issuing.fetches == 1
