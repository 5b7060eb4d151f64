"""Opaque tokens: what a provider says of them when it is asked, and how often it is asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, g

from flask_foreign_token import require_policy
from flask_foreign_token.errors import REST
from flask_foreign_token.introspection.opaque import INACTIVE_TTL
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.testing import Issuer

from .apps import (
    Resource,
    ask,
    introspector,
    policy,
    provider,
    registry_of,
    rows,
    users_in,
    write_registry,
)
from .conftest import MakeApp
from .loading import Clock

DAY = 86_400.0
IN_FORCE = policy("all", {"token": {"active": True}})


def trusting(issuer: Issuer, *policies: Resource, **attributes: object) -> list[Resource]:
    """`issuer` asked about opaque tokens; `attributes` are the introspector's."""
    described, asking = issuer.resources(kind="opaque")
    return [described, {**asking, **attributes}, *(policies or [IN_FORCE])]


def as_client(issuer: Issuer, **attributes: object) -> Resource:
    """The client that the provider is asked as, where the introspector has no endpoint of its own."""
    client = next(iter(issuer.clients.values()))
    return {"client": {"id": client.id, "secret": client.secret}, **attributes}


def edit(app: Flask, resources: list[Resource]) -> None:
    write_registry(registry_of(app), resources)


@pytest.fixture
def other_issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


# ---- the way of an opaque token


def test_who_is_seen_first_becomes_a_user_of_whom_userinfo_tells(make_app: MakeApp, own_issuer: Issuer) -> None:
    seen = policy("looks", {"user": {"identifier": [{"value": "ann"}], "data": {"sub": "ann", "nickname": "annie"}}})
    app = make_app(trusting(own_issuer, seen))

    answer = ask(app, own_issuer.opaque_token(sub="ann", nickname="annie"))

    assert (answer.status_code, answer.json) == (200, {"subject": "ann"})
    assert own_issuer.requests == {"introspection": 1, "userinfo": 1}
    assert rows(app, "SELECT value, issuer FROM foreign_token_identifier") == [("ann", own_issuer.issuer)]


def test_the_second_request_calls_nobody(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    token = own_issuer.opaque_token(sub="ann")

    first, second = (ask(app, token, "/me") for _ in range(2))

    assert first.json == second.json
    assert own_issuer.requests == {"introspection": 1, "userinfo": 1}
    assert users_in(app) == 1


def test_policies_see_what_was_said_as_the_token_and_no_jwt(make_app: MakeApp, own_issuer: Issuer) -> None:
    shape = {
        "token": {"active": True, "sub": "ann", "ward": "3", "iss": own_issuer.issuer},
        "client": {"id": "ward-app"},
        "jwt": "nil?",
    }
    app = make_app(trusting(own_issuer, policy("ward", shape)))

    statuses = [
        ask(app, own_issuer.opaque_token(sub="ann", azp="ward-app", ward=ward)).status_code for ward in ("3", "4")
    ]

    assert statuses == [200, 403]


def test_guards_ask_for_the_scopes_that_were_said(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))

    @app.get("/scoped")
    @require_policy(scope="patient.read")
    def scoped() -> dict[str, object]:
        return {"kind": g.token.kind, "scopes": sorted(g.token.scopes)}

    granted, other = (ask(app, own_issuer.opaque_token(scope=f"openid {s}"), "/scoped") for s in ("patient.read", "x"))

    assert granted.json == {"kind": "opaque", "scopes": ["openid", "patient.read"]}
    assert (other.status_code, other.json["error"]) == (403, "insufficient_scope")


def test_a_token_of_a_client_that_acts_for_nobody_has_no_user(make_app: MakeApp, own_issuer: Issuer) -> None:
    service = policy("service", {"user": "nil?", "client": {"id": "robot"}})
    app = make_app(trusting(own_issuer, service))

    answer = ask(app, own_issuer.opaque_token(sub=None, azp="robot"), "/me")

    assert (answer.status_code, answer.json) == (200, {"user": None, "subject": None})
    assert users_in(app) == 0
    assert own_issuer.requests == {"introspection": 1}


def test_a_jwt_and_an_opaque_token_of_one_provider_lead_to_one_user(make_app: MakeApp, own_issuer: Issuer) -> None:
    described, signed = own_issuer.resources()
    asking = own_issuer.resources(kind="opaque")[1] | {"jwt": {}}
    app = make_app([described, signed, asking, policy("all")])

    users = [
        ask(app, token, "/me").json["user"]
        for token in (own_issuer.token(sub="ann"), own_issuer.opaque_token(sub="ann"))
    ]

    assert users[0] is not None
    assert users[0] == users[1]
    assert users_in(app) == 1


def test_the_provider_is_asked_as_its_client_where_the_introspector_has_no_endpoint(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    asked = provider(**as_client(own_issuer, introspection_endpoint=own_issuer.introspection_endpoint))
    asking = {"resourceType": "TokenIntrospector", "id": "o", "type": "opaque"}
    link = {"identity_provider": {"reference": "IdentityProvider/keycloak"}}
    app = make_app([asked, asking | link, IN_FORCE])

    assert ask(app, own_issuer.opaque_token(sub="ann")).json == {"subject": "ann"}
    assert own_issuer.requests == {"introspection": 1}


# ---- what is refused


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("not active", {"active": False}),
    ("expired", {"exp": 1}),
    ("not yet valid", {"nbf": time.time() + DAY, "iat": time.time()}),
    ("of another issuer", {"iss": "https://elsewhere.example"}),
    ("for another audience", {"aud": "elsewhere"}),
    ("bound to a key", {"cnf": {"jkt": "0815"}}),
    ("of another type", {"token_type": "DPoP"}),
]


@pytest.mark.parametrize("said", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_token_of_which_nothing_good_is_said_is_refused(
    make_app: MakeApp, own_issuer: Issuer, said: dict[str, Any]
) -> None:
    app = make_app(trusting(own_issuer))

    answer = ask(app, own_issuer.opaque_token(**said))

    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
    assert users_in(app) == 0
    assert ask(app, own_issuer.opaque_token()).status_code == 200


def test_an_answer_must_name_this_api_where_it_has_a_name(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer, jwt={}), FOREIGN_TOKEN_RESOURCE="https://api.example")

    statuses = [
        ask(app, own_issuer.opaque_token(aud=aud)).status_code for aud in ("https://api.example", None, "elsewhere")
    ]

    assert statuses == [200, 401, 401]


def test_an_audience_that_is_stated_must_be_this_api_where_clients_are_named(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    jwt = {"client_id": "my-client"}
    app = make_app(trusting(own_issuer, jwt=jwt), FOREIGN_TOKEN_RESOURCE="https://api.example")

    statuses = [
        ask(app, own_issuer.opaque_token(aud=aud)).status_code for aud in ("https://api.example", None, "elsewhere")
    ]

    assert statuses == [200, 200, 401]


def test_a_type_that_is_demanded_must_be_named(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer, token_type="Bearer"))

    statuses = [ask(app, own_issuer.opaque_token(token_type=named)).status_code for named in ("Bearer", None)]

    assert statuses == [200, 401]


def test_an_audience_is_not_required_of_opaque_tokens(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer, jwt={}))

    assert ask(app, own_issuer.opaque_token(aud="whatever")).status_code == 200


# ---- how long an answer counts


def test_a_token_that_was_revoked_is_refused_once_what_was_said_of_it_is_too_old(
    timed_app: MakeApp, own_issuer: Issuer, now: Clock
) -> None:
    app = timed_app(trusting(own_issuer, cache_ttl=60))
    token = own_issuer.opaque_token(lifetime=DAY)
    assert ask(app, token).status_code == 200
    own_issuer.revoke(token)

    now.now += 59
    assert ask(app, token).status_code == 200
    assert own_issuer.requests["introspection"] == 1
    now.now += 1

    assert ask(app, token).status_code == 401
    assert own_issuer.requests["introspection"] == 2


def test_a_token_that_was_revoked_is_refused_once_its_introspector_changes(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    app = make_app(trusting(own_issuer), FOREIGN_TOKEN_REGISTRY_POLL=0)
    token = own_issuer.opaque_token()
    assert ask(app, token).status_code == 200
    own_issuer.revoke(token)
    assert ask(app, token).status_code == 200

    edit(app, trusting(own_issuer, cache_ttl=60))

    assert ask(app, token).status_code == 401


def test_what_was_said_counts_no_longer_than_the_token(timed_app: MakeApp, own_issuer: Issuer, now: Clock) -> None:
    app = timed_app(trusting(own_issuer, cache_ttl=3600, jwt={"leeway": 0}))
    token = own_issuer.opaque_token(lifetime=100, iat=int(now.now))
    assert ask(app, token).status_code == 200

    now.now += 101

    assert ask(app, token).status_code == 401


@pytest.mark.parametrize(("cache_ttl", "life"), [(3600, INACTIVE_TTL), (10, 10.0)])
def test_a_token_that_is_not_active_is_asked_about_once_in_a_while(
    timed_app: MakeApp, own_issuer: Issuer, now: Clock, cache_ttl: int, life: float
) -> None:
    app = timed_app(trusting(own_issuer, cache_ttl=cache_ttl))

    assert [ask(app, "invented").status_code for _ in range(3)] == [401] * 3
    assert own_issuer.requests["introspection"] == 1
    now.now += life
    assert ask(app, "invented").status_code == 401

    assert own_issuer.requests["introspection"] == 2


def test_a_flood_of_invented_tokens_pushes_no_good_one_out(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer), FOREIGN_TOKEN_TOKEN_CACHE_SIZE=100)
    token = own_issuer.opaque_token()
    assert ask(app, token).status_code == 200

    for number in range(150):
        assert ask(app, f"invented-{number}").status_code == 401
    asked = own_issuer.requests["introspection"]

    assert ask(app, token).status_code == 200
    assert own_issuer.requests["introspection"] == asked


# ---- outages


def test_while_the_endpoint_is_down_nothing_is_known_and_what_was_said_still_counts(
    timed_app: MakeApp, own_issuer: Issuer, now: Clock
) -> None:
    app = timed_app(trusting(own_issuer))
    known, unknown = own_issuer.opaque_token(lifetime=DAY), own_issuer.opaque_token(lifetime=DAY)
    assert ask(app, known).status_code == 200

    with own_issuer.down():
        answer = ask(app, unknown)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(REST))
        assert "WWW-Authenticate" not in answer.headers
        assert ask(app, known).status_code == 200
    assert ask(app, unknown).status_code == 503
    now.now += REST

    assert ask(app, unknown).status_code == 200


def test_an_endpoint_that_refuses_our_own_credential_is_an_outage_and_is_logged_once(
    timed_app: MakeApp, own_issuer: Issuer, now: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {"url": own_issuer.introspection_endpoint, "client_id": "nobody", "client_secret": "hush"}
    app = timed_app(trusting(own_issuer, introspection_endpoint=wrong))
    app.debug = True

    answer = ask(app, own_issuer.opaque_token())
    now.now += REST
    ask(app, own_issuer.opaque_token())

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(REST))
    assert "TokenIntrospector/keycloak-opaque-introspector" in answer.json["hint"]
    assert own_issuer.requests["introspection"] == 2
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "the introspection endpoint refuses this credential" in record.getMessage()
    assert "hush" not in caplog.text + answer.text


def test_where_the_providers_client_is_refused_that_is_what_is_named(make_app: MakeApp, own_issuer: Issuer) -> None:
    described = provider(
        introspection_endpoint=own_issuer.introspection_endpoint, client={"id": "nobody", "secret": "hush"}
    )
    link = {"identity_provider": {"reference": "IdentityProvider/keycloak"}}
    app = make_app([described, {"resourceType": "TokenIntrospector", "id": "o", "type": "opaque"} | link, IN_FORCE])
    app.debug = True

    answer = ask(app, own_issuer.opaque_token())

    assert answer.status_code == 503
    assert answer.json["hint"].startswith("IdentityProvider/keycloak client: ")


def test_an_edit_mends_a_credential_that_was_refused_at_once(make_app: MakeApp, own_issuer: Issuer) -> None:
    wrong = {"url": own_issuer.introspection_endpoint, "client_id": "nobody", "client_secret": "hush"}
    app = make_app(trusting(own_issuer, introspection_endpoint=wrong), FOREIGN_TOKEN_REGISTRY_POLL=0)
    token = own_issuer.opaque_token()
    assert ask(app, token).status_code == 503

    edit(app, trusting(own_issuer))

    assert ask(app, token).status_code == 200


def test_a_blank_secret_takes_the_introspector_out_of_service_and_no_other(
    make_app: MakeApp, own_issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    blank = {"url": own_issuer.introspection_endpoint, "client_id": "c", "client_secret": " "}
    signed = introspector("jwt", None, jwt={"iss": own_issuer.issuer}, jwks_uri=own_issuer.jwks_uri)
    app = make_app([*trusting(own_issuer, policy("all"), introspection_endpoint=blank, jwt={}), signed])

    statuses = [ask(app, token).status_code for token in (own_issuer.opaque_token(), own_issuer.token())]

    assert statuses == [503, 200]
    assert own_issuer.requests["introspection"] == 0
    assert "introspection_endpoint.client_secret: must not be blank" in caplog.text


# ---- whose token it is


def test_two_providers_never_see_each_others_tokens(
    make_app: MakeApp, own_issuer: Issuer, other_issuer: Issuer
) -> None:
    first = trusting(own_issuer, token_prefix="one_")
    described, asking = other_issuer.resources("second", kind="opaque")
    app = make_app([*first, described, asking | {"token_prefix": "two_"}])

    statuses = [
        ask(app, token).status_code
        for token in (own_issuer.opaque_token(prefix="one_"), other_issuer.opaque_token(prefix="two_"))
    ]
    assert statuses == [200, 200]
    assert own_issuer.requests["introspection"] == other_issuer.requests["introspection"] == 1
    swapped = [other_issuer.opaque_token(prefix="one_"), own_issuer.opaque_token(prefix="two_")]

    assert [ask(app, token).status_code for token in swapped] == [401, 401]
    assert own_issuer.requests["introspection"] == other_issuer.requests["introspection"] == 2


def test_a_token_that_begins_as_none_should_is_shown_to_nobody(
    make_app: MakeApp, own_issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(trusting(own_issuer, token_prefix="one_"))
    app.debug = True

    answers = [ask(app, own_issuer.opaque_token(prefix="two_")) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert "begins with the token_prefix of no TokenIntrospector" in answers[0].json["hint"]
    assert own_issuer.requests == {}
    assert len([message for message in caplog.messages if message.startswith("UnknownForm")]) == 1


def test_a_jwt_of_an_unknown_issuer_is_shown_to_nobody(make_app: MakeApp, own_issuer: Issuer, issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer, jwt={}))

    assert ask(app, issuer.token()).status_code == 401
    assert ask(app, own_issuer.token()).status_code == 401
    assert own_issuer.requests == {}


def test_a_jwt_goes_to_the_opaque_introspector_that_names_its_issuer(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    token = own_issuer.token(sub="ann")

    assert ask(app, token).json == {"subject": "ann"}
    assert own_issuer.requests["introspection"] == 1
    own_issuer.revoke(other := own_issuer.token(sub="bob"))

    assert ask(app, other).status_code == 401


def test_what_is_switched_off_asks_nobody(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer), FOREIGN_TOKEN_REGISTRY_POLL=0)
    token = own_issuer.opaque_token()
    assert ask(app, token).status_code == 200

    edit(app, trusting(own_issuer, active=False))

    assert ask(app, token).status_code == 401
    assert own_issuer.requests["introspection"] == 1


def test_the_metadata_name_the_issuer_of_opaque_tokens(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer), FOREIGN_TOKEN_RESOURCE="https://api.example")

    document = app.test_client().get("/.well-known/oauth-protected-resource").json

    assert document["authorization_servers"] == [own_issuer.issuer]


# ---- secrets


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ({"authorization": "Bearer hush"}, "authorization"),
        ({"client_id": "c", "client_secret": "hush"}, "client_secret"),
    ],
)
def test_secrets_are_masked_in_rest_and_on_the_command_line(make_app: MakeApp, own: dict[str, str], name: str) -> None:
    path, auth = "/fhir/TokenIntrospector/o", ("operator", "sixteen octets or so")
    app = make_app(
        FOREIGN_TOKEN_ADMIN_URL_PREFIX="/fhir",
        FOREIGN_TOKEN_ADMIN_CLIENT_ID=auth[0],
        FOREIGN_TOKEN_ADMIN_CLIENT_SECRET=auth[1],
    )
    body = {"type": "opaque", "introspection_endpoint": {"url": "https://idp.example/introspect", **own}}

    made = app.test_client().put(path, json=body, auth=auth)
    shown = app.test_client().get(path, auth=auth)
    printed = [
        app.test_cli_runner().invoke(args=["foreign-token", *words]).output
        for words in (("get", "TokenIntrospector", "o"), ("export",), ("list", "TokenIntrospector"))
    ]
    back = app.test_client().put(path, json={**shown.json, "cache_ttl": 60}, auth=auth)
    moved = {
        **shown.json,
        "introspection_endpoint": {**shown.json["introspection_endpoint"], "url": "https://x.example"},
    }
    elsewhere = app.test_client().put(path, json=moved, auth=auth)

    assert (made.status_code, shown.json["introspection_endpoint"][name]) == (201, MASK)
    assert "hush" not in made.text + shown.text + back.text + elsewhere.text + "".join(printed)
    assert "idp.example" in printed[2]
    assert (back.status_code, back.json["cache_ttl"]) == (200, 60)
    [issue] = elsewhere.json["issues"]
    assert (elsewhere.status_code, issue["path"]) == (422, f"introspection_endpoint.{name}")
    assert "introspection_endpoint.url changed" in issue["message"]
