"""What is not stored of a provider is found where it publishes it, once it is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import REST, ConfigError, RegistryUnavailable
from flask_foreign_token.testing import Issuer

from .apps import (
    AUDIENCE,
    Resource,
    ask,
    introspector,
    policy,
    protected,
    registry_of,
    rows,
    trusting,
    trusting_a_secret,
    users_in,
    write_registry,
)
from .conftest import MakeApp
from .loading import Clock
from .publishing import OPENID, Publisher, metadata, publishing

DAY = 86_400.0


def described(issuer: str, **attributes: object) -> Resource:
    """A provider of which nothing but issuer and system is stored."""
    return {"resourceType": "IdentityProvider", "id": "p", "system": "p", "issuer": issuer, **attributes}


def discovering(issuer: Issuer, **attributes: object) -> list[Resource]:
    """`issuer` trusted with as little as possible stored; `attributes` are the provider's."""
    return [described(issuer.issuer, **attributes), introspector("i", "p", jwt={"iss": issuer.issuer}), policy("all")]


def asking(**attributes: object) -> Resource:
    link = {"identity_provider": {"reference": "IdentityProvider/p"}}
    return {"resourceType": "TokenIntrospector", "id": "o", "type": "opaque", **link, **attributes}


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


# ---- the way of a token


def test_an_issuer_and_a_system_are_enough(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(discovering(own_issuer))

    answers = [ask(app, own_issuer.token(sub=name, nickname=f"{name}ie")) for name in ("ann", "ann", "bob")]

    assert [answer.json for answer in answers] == [{"subject": name} for name in ("ann", "ann", "bob")]
    assert own_issuer.requests == {"discovery": 1, "jwks": 1, "userinfo": 2}
    [(data,)] = rows(app, "SELECT data FROM foreign_token_identifier WHERE value = 'ann'")
    assert json.loads(data)["nickname"] == "annie"


def test_without_a_provider_the_keys_are_found_at_the_issuer_that_tokens_name(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    app = make_app([introspector("i", None, jwt={"iss": own_issuer.issuer}), policy("all")])

    assert ask(app, own_issuer.token(sub="ann"), "/me").json == {"user": None, "subject": "ann"}
    assert own_issuer.requests == {"discovery": 1, "jwks": 1}


def test_a_provider_without_an_issuer_has_its_keys_found_at_the_issuer_that_tokens_name(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    stored = {"resourceType": "IdentityProvider", "id": "p", "system": "p", "userinfo-source": "id-token"}
    app = make_app([stored, introspector("i", "p", jwt={"iss": own_issuer.issuer}), policy("all")])

    assert ask(app, own_issuer.token(sub="ann")).json == {"subject": "ann"}
    assert own_issuer.requests == {"discovery": 1, "jwks": 1}


def test_opaque_tokens_are_asked_about_where_the_issuer_publishes_it(make_app: MakeApp, own_issuer: Issuer) -> None:
    client = next(iter(own_issuer.clients.values()))
    stored = described(own_issuer.issuer, client={"id": client.id, "secret": client.secret})
    app = make_app([stored, asking(), policy("all")])

    assert [ask(app, own_issuer.opaque_token(sub="ann")).json for _ in range(2)] == [{"subject": "ann"}] * 2
    assert own_issuer.requests == {"discovery": 1, "introspection": 2, "userinfo": 1}


def test_both_kinds_of_token_share_what_was_discovered(make_app: MakeApp, own_issuer: Issuer) -> None:
    client = next(iter(own_issuer.clients.values()))
    app = make_app([*discovering(own_issuer, client={"id": client.id, "secret": client.secret}), asking()])

    users = [
        ask(app, token, "/me").json["user"]
        for token in (own_issuer.token(sub="ann"), own_issuer.opaque_token(sub="ann"))
    ]

    assert users[0] == users[1]
    assert users_in(app) == 1
    assert own_issuer.requests == {"discovery": 1, "jwks": 1, "introspection": 1, "userinfo": 1}


def test_nothing_is_discovered_where_everything_is_stored(make_app: MakeApp, own_issuer: Issuer) -> None:
    resources = trusting(own_issuer, userinfo_endpoint=own_issuer.userinfo_endpoint)
    resources[0] |= {"issuer": own_issuer.issuer, "userinfo-source": "userinfo-endpoint"}
    app = make_app(resources)

    assert ask(app, own_issuer.token()).status_code == 200
    assert own_issuer.requests == {"jwks": 1, "userinfo": 1}


def test_a_token_of_an_issuer_that_is_not_registered_discovers_nothing(
    make_app: MakeApp, own_issuer: Issuer, publisher: Publisher
) -> None:
    app = make_app(discovering(own_issuer))

    assert ask(app, own_issuer.token(iss=publisher.origin)).status_code == 401
    assert publisher.asked == []
    assert own_issuer.requests == {}


# ---- what is published and must not be used


@pytest.mark.parametrize("member", ["jwks_uri", "userinfo_endpoint"])
def test_what_is_published_at_a_host_that_no_resource_names_is_not_called(
    make_app: MakeApp, own_issuer: Issuer, publisher: Publisher, member: str
) -> None:
    elsewhere = f"{publisher.origin}/elsewhere"
    with publishing() as liar:
        own = {"jwks_uri": own_issuer.jwks_uri, "userinfo_endpoint": own_issuer.userinfo_endpoint}
        liar.publish(OPENID, metadata(liar.origin, **(own | {member: elsewhere})))
        app = make_app(
            [
                described(liar.origin, token_endpoint=own_issuer.token_endpoint),
                introspector("i", "p", jwt={"iss": liar.origin}),
                policy("all"),
            ]
        )
        app.debug = True

        answer = ask(app, own_issuer.token(iss=liar.origin))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(REST))
    assert f"names {elsewhere} as {member}, at an origin that no resource names" in answer.json["hint"]
    assert "store it in the resource" in answer.json["hint"]
    assert publisher.asked == []
    assert users_in(app) == 0


def test_a_caller_learns_no_address(make_app: MakeApp, own_issuer: Issuer, publisher: Publisher) -> None:
    publisher.publish(OPENID, metadata(publisher.origin, jwks_uri=own_issuer.jwks_uri))
    app = make_app([introspector("i", None, jwt={"iss": publisher.origin}), policy("all")])

    answer = ask(app, own_issuer.token(iss=publisher.origin))

    assert answer.status_code == 503
    assert "127.0.0.1" not in answer.text


WRONG: list[tuple[str, Any]] = [
    ("of another issuer", lambda origin: metadata("https://other.example", origin)),
    ("no object", lambda origin: []),
    ("no JSON", lambda origin: "{"),
    ("without what is needed", lambda origin: metadata(origin, userinfo_endpoint=None)),
    ("of a wrong type", lambda origin: metadata(origin, userinfo_endpoint=["x"])),
]


@pytest.mark.parametrize("document", [row[1] for row in WRONG], ids=[row[0] for row in WRONG])
def test_metadata_that_are_not_as_they_should_be_are_an_outage_and_no_bad_token(
    make_app: MakeApp, own_issuer: Issuer, publisher: Publisher, document: Any
) -> None:
    publisher.publish(OPENID, document(publisher.origin))
    app = make_app(
        [
            described(publisher.origin),
            introspector("i", "p", jwt={"iss": publisher.origin}, jwks_uri=own_issuer.jwks_uri),
            policy("all"),
        ]
    )

    assert [ask(app, own_issuer.token(iss=publisher.origin)).status_code for _ in range(2)] == [503, 503]
    assert len(publisher.asked) == 1
    assert users_in(app) == 0


# ---- outages and edits


def test_after_an_outage_the_first_request_that_may_try_again_succeeds(
    timed_app: MakeApp, own_issuer: Issuer, now: Clock
) -> None:
    app = timed_app(discovering(own_issuer))
    token = own_issuer.token(lifetime=DAY)

    with own_issuer.down():
        answer = ask(app, token)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(REST))
    assert ask(app, token).status_code == 503
    assert own_issuer.requests == {}
    now.now += REST

    assert ask(app, token).status_code == 200


def test_what_was_discovered_is_renewed(timed_app: MakeApp, own_issuer: Issuer, now: Clock) -> None:
    app = timed_app(discovering(own_issuer))
    assert ask(app, own_issuer.token(sub="ann", lifetime=DAY)).status_code == 200
    assert own_issuer.requests["discovery"] == 1

    now.now += 2 * 3600

    assert ask(app, own_issuer.token(sub="bob", lifetime=DAY)).status_code == 200
    assert own_issuer.requests["discovery"] == 2


def test_what_was_discovered_serves_on_while_the_metadata_are_gone(
    timed_app: MakeApp, own_issuer: Issuer, now: Clock
) -> None:
    app = timed_app(discovering(own_issuer))
    assert ask(app, own_issuer.token(sub="ann", lifetime=DAY)).status_code == 200

    now.now += 3600 + 1
    with own_issuer.fail("discovery", 500):
        answer = ask(app, own_issuer.token(sub="bob", lifetime=DAY))

    assert answer.status_code == 200


def test_an_edit_of_something_else_discovers_nothing_anew(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(discovering(own_issuer), FOREIGN_TOKEN_REGISTRY_POLL=0)
    assert ask(app, own_issuer.token(sub="ann")).status_code == 200

    write_registry(registry_of(app), discovering(own_issuer, title="Another name"))

    assert ask(app, own_issuer.token(sub="bob")).status_code == 200
    assert own_issuer.requests == {"discovery": 1, "jwks": 1, "userinfo": 2}


def test_storing_what_a_refusal_names_mends_it(make_app: MakeApp, own_issuer: Issuer, publisher: Publisher) -> None:
    publisher.publish(OPENID, metadata(publisher.origin, jwks_uri=own_issuer.jwks_uri))
    stored = {"userinfo-source": "id-token"}
    resources = [
        described(publisher.origin, **stored),
        introspector("i", "p", jwt={"iss": publisher.origin}),
        policy("all"),
    ]
    app = make_app(resources, FOREIGN_TOKEN_REGISTRY_POLL=0)
    token = own_issuer.token(iss=publisher.origin, aud=AUDIENCE)
    assert ask(app, token).status_code == 503

    resources[0] = described(publisher.origin, **stored, jwks_uri=own_issuer.jwks_uri)
    write_registry(registry_of(app), resources)

    assert ask(app, token).status_code == 200


# ---- what an operator sees


def with_extension(bare_app: MakeApp, resources: list[Resource] | str) -> tuple[Flask, ForeignToken]:
    app, foreign_token = bare_app(), ForeignToken()
    return protected(app, resources, foreign_token), foreign_token


def test_an_operator_sees_how_things_stand_with_the_keys(bare_app: MakeApp, own_issuer: Issuer) -> None:
    app, foreign_token = with_extension(bare_app, discovering(own_issuer))

    [before] = foreign_token.key_sources()
    assert ask(app, own_issuer.token()).status_code == 200
    [after] = foreign_token.key_sources(app)

    assert (before.jwks_uri, before.fetched_at, before.keys) == (None, None, ())
    assert (after.jwks_uri, after.last_error, after.pending) == (own_issuer.jwks_uri, None, False)
    assert after.fetched_at is not None
    assert {key.key_id for key in after.keys} == {own_issuer.key_id(name) for name in ("RS256", "ES256", "EdDSA")}
    assert own_issuer.requests["jwks"] == 1


def test_an_operator_sees_why_the_keys_could_not_be_fetched(bare_app: MakeApp, own_issuer: Issuer) -> None:
    app, foreign_token = with_extension(bare_app, trusting(own_issuer))

    with own_issuer.fail("jwks", 404):
        assert ask(app, own_issuer.token()).status_code == 503

    with app.app_context():
        [state] = foreign_token.key_sources()
    assert (state.jwks_uri, state.last_error) == (own_issuer.jwks_uri, "the key set: status 404")


def test_keys_that_stand_in_the_registry_are_no_source(bare_app: MakeApp) -> None:
    _, foreign_token = with_extension(bare_app, trusting_a_secret())

    assert foreign_token.key_sources() == []


def test_of_a_registry_that_cannot_be_read_there_are_no_sources(bare_app: MakeApp) -> None:
    _, foreign_token = with_extension(bare_app, "[")

    with pytest.raises(RegistryUnavailable):
        foreign_token.key_sources()


def test_one_of_several_apps_must_be_named(bare_app: MakeApp, own_issuer: Issuer) -> None:
    app, foreign_token = with_extension(bare_app, trusting(own_issuer))
    other = protected(bare_app(), trusting_a_secret(), foreign_token)

    with pytest.raises(ConfigError, match="which app is meant"):
        foreign_token.key_sources()

    assert (len(foreign_token.key_sources(app)), len(foreign_token.key_sources(other))) == (1, 0)
