"""`provider add` where something is stored already, or is being stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from flask_foreign_token.cli.provider import edit_of
from flask_foreign_token.errors import Conflict
from flask_foreign_token.registry.catalog import Catalog
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.testing import Issuer

from ..apps import Resource
from ..publishing import OPENID, Publisher, metadata, publishing
from .commands import fill, printed, refused, run, stored

NAMES = ["IdentityProvider/keycloak", "TokenIntrospector/keycloak-jwt-introspector"]
CLIENT = {"id": "my-client", "secret": "my-client-secret"}


@pytest.fixture(scope="module")
def hidden() -> Iterator[Issuer]:
    """An issuer that is not at the address it is called by."""
    with Issuer("http://localhost:8180/realms/clinic") as issuer:
        yield issuer


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def app(empty_app: Flask, hidden: Issuer) -> Flask:
    """An app to which the provider was added, and to the provider what only an operator can know."""
    assert run(empty_app, *addition(hidden, "--audience", "account")).exit_code == 0
    provider, introspector = (body(empty_app, name) for name in NAMES)
    provider |= {"client": CLIENT, "toScim": {"email": ["email"]}, "title": "Ours", "create_user": False}
    return fill(empty_app, [provider, {**introspector, "cache_ttl": 60}])


def addition(issuer: Issuer, *more: str) -> list[str]:
    return ["provider", "add", "keycloak", "--issuer", issuer.issuer, "--backchannel", issuer.url, *more]


def body(app: Flask, name: str) -> Resource:
    """Of a resource, without ``meta``."""
    found: Resource = printed(app, "get", *name.split("/"))
    found.pop("meta", None)
    return found


def catalog_of(app: Flask) -> Catalog:
    catalog: Catalog = app.extensions["foreign_token"].runtime().catalog
    return catalog


def moved(publisher: Publisher) -> list[str]:
    """The words that register another provider under the same ids."""
    publisher.publish(OPENID, metadata(publisher.origin))
    return ["provider", "add", "keycloak", "--issuer", publisher.origin, "--audience", "account"]


def test_what_is_stored_with_other_content_is_updated_only_when_asked(app: Flask, hidden: Issuer) -> None:
    reason = refused(app, *addition(hidden, "--audience", "other"))
    kept = body(app, NAMES[1])["jwt"]
    replaced = run(app, *addition(hidden, "--audience", "other", "--replace"))

    assert f"{NAMES[1]}: stored with other content; --replace updates it" in reason
    assert kept["aud"] == "account"
    assert replaced.exit_code == 0, replaced.output
    assert body(app, NAMES[1])["jwt"]["aud"] == "other"


def test_what_an_operator_added_stays(app: Flask, hidden: Issuer) -> None:
    before = body(app, NAMES[0])

    replaced = run(app, *addition(hidden, "--audience", "other", "--replace"))

    assert replaced.exit_code == 0, replaced.output
    assert body(app, NAMES[0]) == before
    assert body(app, NAMES[1])["cache_ttl"] == 60
    assert run(app, "doctor", "keycloak").stdout.count("issued a token") == 1


def test_what_an_operator_added_is_no_other_content(app: Flask, hidden: Issuer) -> None:
    again = run(app, *addition(hidden, "--audience", "account"))

    assert again.exit_code == 0, again.output
    assert again.stdout.count("unchanged ") == 2


def test_an_audience_that_is_stored_need_not_be_named_again(app: Flask, hidden: Issuer) -> None:
    result = run(app, *addition(hidden, "--replace"))

    assert result.exit_code == 0, result.output
    assert body(app, NAMES[1])["jwt"]["aud"] == "account"


def test_a_secret_does_not_go_along_to_other_endpoints(app: Flask, publisher: Publisher) -> None:
    before = body(app, NAMES[0])

    reason = refused(app, *moved(publisher), "--replace")

    assert f"{NAMES[0]} client.secret: must be written again" in reason
    assert "take the client out, repeat this, and store the client again with its secret" in reason
    assert body(app, NAMES[0]) == before


def test_without_a_secret_a_provider_moves(app: Flask, publisher: Publisher) -> None:
    provider = body(app, NAMES[0])
    del provider["client"]
    fill(app, [provider])

    result = run(app, *moved(publisher), "--replace")

    assert result.exit_code == 0, result.output
    assert body(app, NAMES[0])["token_endpoint"] == f"{publisher.origin}/token"
    assert body(app, NAMES[0])["toScim"] == {"email": ["email"]}


def test_what_somebody_stores_in_the_meantime_is_not_overwritten(empty_app: Flask, hidden: Issuer) -> None:
    catalog = catalog_of(empty_app)
    theirs, ours = hidden.resources(system="theirs"), hidden.resources(system="ours")
    edit = edit_of(ours, {("IdentityProvider", "keycloak"): None, ("TokenIntrospector", str(ours[1]["id"])): None})
    with empty_app.app_context():
        catalog.apply(Edit(upserts=theirs))

        with pytest.raises(Conflict):
            catalog.apply(edit)

    assert body(empty_app, NAMES[0])["system"] == "theirs"


def test_what_somebody_changes_in_the_meantime_is_not_overwritten(app: Flask) -> None:
    catalog = catalog_of(app)
    with app.app_context():
        shown = catalog.get(("IdentityProvider", "keycloak"))
        assert shown is not None
        edit = edit_of([shown.body], {shown.key: shown})
        catalog.apply(Edit(upserts=[{**shown.body, "title": "Theirs"}]))

        with pytest.raises(Conflict):
            catalog.apply(edit)


def test_what_nobody_touches_in_the_meantime_is_stored(empty_app: Flask, hidden: Issuer) -> None:
    ours = hidden.resources()
    edit = edit_of(ours, {("IdentityProvider", "keycloak"): None, ("TokenIntrospector", str(ours[1]["id"])): None})
    with empty_app.app_context():
        catalog_of(empty_app).apply(edit)

    assert stored(empty_app) == NAMES
