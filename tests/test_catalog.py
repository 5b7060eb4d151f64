"""The catalog of an app: what is changed there is in force here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.errors import DatabaseUnavailable, Rejected
from flask_foreign_token.registry.catalog import Catalog
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.testing import Issuer

from .apps import (
    SECRET,
    ask,
    introspector,
    policy,
    provider,
    registry_of,
    rows,
    secret_token,
    store,
    trusting_a_secret,
    write_registry,
)
from .conftest import MakeApp

FROM_ENVIRONMENT = "SECRET_OF_A_TEST"


def catalog_of(app: Flask) -> Catalog:
    with app.app_context():
        catalog: Catalog = app.extensions["foreign_token"].runtime().catalog
    return catalog


@pytest.fixture(params=["database", "file"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    """An app with an empty registry, which it looks at as seldom as it can."""
    return make_app([] if request.param == "file" else None, FOREIGN_TOKEN_REGISTRY_POLL=3600)


def test_what_is_applied_is_in_force_with_the_next_request(app: Flask, issuer: Issuer) -> None:
    before = ask(app, secret_token(issuer)).status_code

    catalog_of(app).apply(Edit(trusting_a_secret()))

    assert (before, ask(app, secret_token(issuer)).status_code) == (401, 200)


def test_what_is_deleted_is_out_of_force_with_the_next_request(app: Flask, issuer: Issuer) -> None:
    catalog_of(app).apply(Edit(trusting_a_secret()))
    before = ask(app, secret_token(issuer)).status_code

    catalog_of(app).apply(Edit(deletes=[("AccessPolicy", "known-issuer")]))

    assert (before, ask(app, secret_token(issuer)).status_code) == (200, 403)


def test_what_is_refused_leaves_in_force_what_was(app: Flask, issuer: Issuer) -> None:
    catalog_of(app).apply(Edit(trusting_a_secret()))

    with pytest.raises(Rejected, match="engine"):
        catalog_of(app).apply(Edit([policy("wrong", engine="perhaps")], [("AccessPolicy", "known-issuer")]))

    assert ask(app, secret_token(issuer)).status_code == 200


def test_a_secret_that_is_written_back_as_its_mask_still_verifies(app: Flask, issuer: Issuer) -> None:
    catalog_of(app).apply(Edit(trusting_a_secret()))
    [shown] = catalog_of(app).list("TokenIntrospector")

    catalog_of(app).apply(Edit([{**shown.body, "cache_ttl": 5}]))

    assert MASK in json.dumps(shown.body)
    assert SECRET not in json.dumps(shown.body)
    assert ask(app, secret_token(issuer)).status_code == 200


def test_a_new_secret_that_must_not_be_used_is_refused(app: Flask) -> None:
    with pytest.raises(Rejected, match=r"TokenIntrospector/secret jwt\.secret"):
        catalog_of(app).apply(Edit(trusting_a_secret(jwt={"secret": "short"})))

    assert catalog_of(app).list("TokenIntrospector") == []


def test_an_introspector_out_of_service_does_not_stop_other_edits_from_coming_into_force(
    make_app: MakeApp, issuer: Issuer
) -> None:
    weak = introspector("weak", None, jwt={"iss": "https://weak.example", "secret": "short"})
    app = make_app([weak], FOREIGN_TOKEN_REGISTRY_POLL=3600)

    catalog_of(app).apply(Edit(trusting_a_secret()))

    assert ask(app, secret_token(issuer)).status_code == 200


def test_a_registry_that_was_rejected_is_in_force_once_its_last_fault_is_mended(
    make_app: MakeApp, issuer: Issuer
) -> None:
    app = make_app([provider("one", system=7), provider("two", system=7)], FOREIGN_TOKEN_REGISTRY_POLL=3600)
    found = [ask(app, secret_token(issuer)).status_code]

    for edit in (Edit(trusting_a_secret(), [("IdentityProvider", "one")]), Edit([provider("two", system="two")])):
        catalog_of(app).apply(edit)
        found.append(ask(app, secret_token(issuer)).status_code)

    assert found == [503, 503, 200]


def test_a_row_that_was_written_by_hand_is_mended(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app()
    store(app, trusting_a_secret(policy("known-issuer"), policy("other")))
    rows(app, "UPDATE foreign_token_resource SET body = '{' WHERE id = 'other' RETURNING id")

    shown = [shown.key[1] for shown in catalog_of(app).list("AccessPolicy")]
    catalog_of(app).apply(Edit([policy("other", active=False)]))

    assert shown == ["known-issuer"]
    assert [shown.key[1] for shown in catalog_of(app).list("AccessPolicy")] == ["known-issuer", "other"]
    with app.app_context():
        app.extensions["foreign_token"].runtime().registry.load()


def test_a_file_is_edited_while_there_is_no_database(make_app: MakeApp) -> None:
    app = make_app([], SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at/all.sqlite")

    catalog_of(app).apply(Edit([policy("a")]))

    assert [shown.key for shown in catalog_of(app).list("AccessPolicy")] == [("AccessPolicy", "a")]


def test_a_database_that_cannot_be_reached_is_neither_shown_nor_edited(make_app: MakeApp) -> None:
    catalog = catalog_of(make_app(SQLALCHEMY_DATABASE_URI="sqlite:////nowhere/at/all.sqlite"))

    with pytest.raises(DatabaseUnavailable):
        catalog.list("AccessPolicy")
    with pytest.raises(DatabaseUnavailable):
        catalog.get(("AccessPolicy", "a"))
    with pytest.raises(DatabaseUnavailable):
        catalog.apply(Edit([policy("a")]))


def test_a_file_keeps_the_variable_that_its_secret_comes_from(
    make_app: MakeApp, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FROM_ENVIRONMENT, SECRET)
    app = make_app(trusting_a_secret(jwt={"secret": f"${{{FROM_ENVIRONMENT}}}"}), FOREIGN_TOKEN_REGISTRY_POLL=3600)
    [shown] = catalog_of(app).list("TokenIntrospector")

    catalog_of(app).apply(Edit([{**shown.body, "cache_ttl": 5}, provider(title="Keycloak")]))

    assert ask(app, secret_token(issuer)).status_code == 200
    assert SECRET not in registry_of(app).read_text()


def test_a_file_that_is_not_there_is_made(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app([], FOREIGN_TOKEN_REGISTRY_POLL=3600)
    registry_of(app).unlink()

    catalog_of(app).apply(Edit(trusting_a_secret()))

    assert ask(app, secret_token(issuer)).status_code == 200


def test_what_was_edited_by_hand_meanwhile_is_kept(make_app: MakeApp) -> None:
    app = make_app([policy("a")])
    by_hand: list[dict[str, Any]] = [policy("a"), policy("by-hand")]
    write_registry(registry_of(app), by_hand)

    catalog_of(app).apply(Edit([policy("b")]))

    assert json.loads(registry_of(app).read_text()) == [*by_hand, policy("b")]
