"""A row of the database that somebody wrote by hand, and wrong: named, left out, denied; the others go on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import Rejected
from flask_foreign_token.testing import Issuer

from .apps import (
    SECRET,
    Resource,
    ask,
    database_of,
    in_database,
    introspector,
    policy,
    provider,
    secret_token,
    store,
    trusting_a_secret,
    users_in,
)
from .conftest import MakeApp

BY_HAND = "https://by-hand.example"
AT_ONCE = {"FOREIGN_TOKEN_REGISTRY_POLL": 0}


def by_hand(**attributes: Any) -> Resource:
    """The introspector that is spoilt, as it is right."""
    return introspector("hand", "hand", jwt={"iss": BY_HAND, "secret": SECRET}, **attributes)


RIGHT = [provider("hand"), by_hand(), policy("hand", {"jwt": {"iss": BY_HAND}})]

BAD: dict[str, tuple[str, object]] = {
    "no JSON": ("TokenIntrospector", "{"),
    "nothing": ("TokenIntrospector", ""),
    "another resource": ("TokenIntrospector", policy("other")),
    "deep nesting": ("TokenIntrospector", "[" * 50_000),
    "a lone surrogate": ("TokenIntrospector", json.dumps(by_hand()).replace('"hand"', '"\\ud800"')),
    "a huge number": ("TokenIntrospector", '{"resourceType": "TokenIntrospector", "id": "hand", "cache_ttl": 1e400}'),
    "an unknown attribute": ("TokenIntrospector", by_hand(unknown=1)),
    "an unknown type": ("TokenIntrospector", by_hand(type="jwe")),
    "a reference to nothing": ("TokenIntrospector", by_hand(identity_provider={"reference": "IdentityProvider/no"})),
    "a reference that is none": ("TokenIntrospector", by_hand(identity_provider=["IdentityProvider/hand"])),
    "the issuer of another": ("TokenIntrospector", introspector("hand", "hand", jwt={"iss": BY_HAND, "aud": 7})),
    "a provider that is no JSON": ("IdentityProvider", "{"),
    "a provider without a system": ("IdentityProvider", {"resourceType": "IdentityProvider", "id": "hand"}),
    "a provider of the wrong shape": ("IdentityProvider", provider("hand", toScim=[], client=7, scopes={})),
}


def spoil(app: Flask, type_: str, body: object, *, announced: bool) -> None:
    """Write `body` over a row.

    :param announced: as a program does it that keeps the feed; at a database's prompt it is forgotten.
    """

    def write(connection: Any) -> None:
        row = {"type": type_, "body": body if isinstance(body, str) else json.dumps(body)}
        connection.execute(
            text("UPDATE foreign_token_resource SET body = :body WHERE type = :type AND id = 'hand'"), row
        )
        if announced:
            last = connection.scalar(text("SELECT max(id) FROM foreign_token_change"))
            change = "INSERT INTO foreign_token_change (id, type, ref, at) VALUES (:id, :type, 'hand', 0)"
            connection.execute(text(change), {"id": last + 1, "type": type_})

    in_database(app, write)


def uri_of(app: Flask) -> str:
    with app.app_context():
        return str(database_of(app).engine.url.render_as_string(hide_password=False))


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """An app with the one resource that will be spoilt, and with others."""
    app = make_app(**AT_ONCE)
    store(app, [*trusting_a_secret(policy("all", {"jwt": {"sub": "ann"}})), *RIGHT])
    return app


def statuses(app: Flask, issuer: Issuer) -> tuple[int, int, int]:
    """What a token gets that has to do with the row, one that has not, and nobody."""
    hand, other = secret_token(issuer, iss=BY_HAND, sub="ann"), secret_token(issuer, sub="ann")
    return ask(app, hand).status_code, ask(app, other).status_code, ask(app).status_code


def test_as_long_as_nothing_is_wrong_both_are_let_in(app: Flask, issuer: Issuer) -> None:
    assert statuses(app, issuer) == (200, 200, 401)


@pytest.mark.parametrize(("type_", "body"), BAD.values(), ids=BAD.keys())
def test_an_app_that_starts_on_it_goes_on_without_it(
    app: Flask, make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture, type_: str, body: object
) -> None:
    spoil(app, type_, body, announced=False)
    started = make_app(**AT_ONCE, SQLALCHEMY_DATABASE_URI=uri_of(app))

    seen = [statuses(started, issuer) for _ in range(2)]

    assert seen == [(401, 200, 401)] * 2
    named = [record.getMessage() for record in caplog.records if f"{type_}/hand" in record.getMessage()]
    assert named[0].startswith(f"the database, out of service: {type_}/hand")
    assert len(set(named)) == len(named)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("type_", "body"), BAD.values(), ids=BAD.keys())
def test_an_app_that_runs_goes_on_without_it_and_ends_its_tokens(
    app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture, type_: str, body: object
) -> None:
    before = statuses(app, issuer)
    users = users_in(app)
    spoil(app, type_, body, announced=True)

    during = statuses(app, issuer)
    store(app, [resource for resource in RIGHT if resource["resourceType"] == type_])

    assert (before, during, statuses(app, issuer)) == ((200, 200, 401), (401, 200, 401), (200, 200, 401))
    assert f"{type_}/hand" in caplog.text
    assert users_in(app) == users


def test_check_names_it(app: Flask, make_app: MakeApp) -> None:
    spoil(app, "TokenIntrospector", "{", announced=False)
    foreign_token = ForeignToken()
    started = make_app(None, foreign_token, SQLALCHEMY_DATABASE_URI=uri_of(app))

    with started.app_context(), pytest.raises(Rejected, match="the database TokenIntrospector/hand: the stored body"):
        foreign_token.check()


def test_a_policy_that_cannot_be_read_allows_nothing(app: Flask, issuer: Issuer) -> None:
    spoil(app, "AccessPolicy", "{", announced=True)

    assert statuses(app, issuer)[:2] == (200, 200)
    store(app, [policy("all", {"jwt": {"sub": "bob"}})])
    assert statuses(app, issuer)[:2] == (403, 403)


def test_a_row_of_no_known_type_is_named_and_stops_nobody(
    app: Flask, make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    row = (
        "INSERT INTO foreign_token_resource (type, id, version, body, last_updated) "
        "VALUES ('Nonsense', '?', 1, '{}', 0)"
    )
    in_database(app, lambda connection: connection.execute(text(row)))
    started = make_app(SQLALCHEMY_DATABASE_URI=uri_of(app))

    assert statuses(started, issuer) == (200, 200, 401)
    assert "Nonsense/?" in caplog.text


def test_two_that_were_written_by_hand_with_one_issuer_are_both_left_out(
    app: Flask, make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    row = (
        "INSERT INTO foreign_token_resource (type, id, version, body, last_updated) "
        "VALUES ('TokenIntrospector', 'twin', 1, :body, 0)"
    )
    twin = json.dumps(introspector("twin", None, jwt={"iss": BY_HAND, "secret": SECRET}))
    in_database(app, lambda connection: connection.execute(text(row), {"body": twin}))
    started = make_app(SQLALCHEMY_DATABASE_URI=uri_of(app))

    assert statuses(started, issuer) == (401, 200, 401)
    assert all(f"TokenIntrospector/{name} jwt.iss" in caplog.text for name in ("hand", "twin"))
