"""`provider add` where something is stored already, or is being stored."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from flask import Flask

from flask_foreign_token.cli.provider import edit_of
from flask_foreign_token.errors import Conflict
from flask_foreign_token.registration import activation_command
from flask_foreign_token.registry.catalog import Catalog
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.testing import Issuer

from ..apps import Resource, ask, policy, provider, rows
from ..conftest import MakeApp
from ..publishing import OPENID, Publisher, metadata, publishing
from .commands import fill, printed, refused, run, stored

NAMES = ["IdentityProvider/keycloak", "TokenIntrospector/keycloak-jwt-introspector"]
SHARED = "a secret of more than thirty-two octets"
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

    difference = '  ~ jwt.aud: "account" -> "other"\n'
    assert f"{NAMES[1]}: stored with other content; --replace updates it\n{difference}" in reason
    assert NAMES[0] not in reason
    assert replaced.stdout.startswith(f"unchanged {NAMES[0]}\nupdated {NAMES[1]}\n{difference}")
    assert kept["aud"] == "account"
    assert replaced.exit_code == 0, replaced.output
    assert body(app, NAMES[1])["jwt"]["aud"] == "other"


def test_programs_get_what_was_replaced(app: Flask, hidden: Issuer) -> None:
    provider, introspector = printed(app, *addition(hidden, "--audience", "other", "--replace"))["stored"]

    assert (provider["outcome"], provider["applied"], provider["differences"]) == ("unchanged", True, [])
    assert introspector["differences"] == [{"path": "jwt.aud", "before": "account", "after": "other"}]


def test_a_shared_secret_that_goes_is_not_printed(app: Flask, hidden: Issuer) -> None:
    jwt = {"iss": hidden.issuer, "aud": "account", "secret": SHARED, "algorithms": ["HS256"]}
    introspector = {name: value for name, value in body(app, NAMES[1]).items() if name != "jwks_uri"}
    fill(app, [{**introspector, "jwt": jwt}])

    refusal = refused(app, *addition(hidden))
    said = run(app, *addition(hidden, "--replace")).output

    for text in (refusal, said):
        assert "  - jwt.secret\n" in text
        assert SHARED not in text


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


def test_a_reference_to_a_secret_stays_and_goes_along(
    app: Flask, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGIN_SECRET", "my-client-secret")
    client = {"id": "my-client", "secret": {"env": "LOGIN_SECRET"}}
    fill(app, [body(app, NAMES[0]) | {"client": client}])

    result = run(app, *moved(publisher), "--replace")

    assert result.exit_code == 0, result.output
    assert body(app, NAMES[0])["client"] == client
    assert body(app, NAMES[0])["token_endpoint"] == f"{publisher.origin}/token"


def test_without_a_secret_a_provider_moves(app: Flask, publisher: Publisher) -> None:
    provider = body(app, NAMES[0])
    del provider["client"]
    fill(app, [provider])

    result = run(app, *moved(publisher), "--replace")

    assert result.exit_code == 0, result.output
    assert body(app, NAMES[0])["token_endpoint"] == f"{publisher.origin}/token"
    assert body(app, NAMES[0])["toScim"] == {"email": ["email"]}


def test_keys_that_are_fetched_take_the_place_of_a_shared_secret(app: Flask, hidden: Issuer) -> None:
    jwt = {"iss": hidden.issuer, "aud": "account", "secret": SHARED, "algorithms": ["HS256"]}
    introspector = {name: value for name, value in body(app, NAMES[1]).items() if name != "jwks_uri"}
    fill(app, [{**introspector, "jwt": jwt}, policy("all")])

    replaced = run(app, *addition(hidden, "--replace"))

    assert replaced.exit_code == 0, replaced.output
    assert body(app, NAMES[1])["jwt"] == {"iss": hidden.issuer, "aud": "account"}
    assert ask(app, hidden.token()).status_code == 200


@pytest.mark.parametrize("more", [[], ["--replace"]])
def test_the_introspector_of_another_provider_is_not_taken_away(app: Flask, hidden: Issuer, more: list[str]) -> None:
    other = {"identity_provider": {"reference": "IdentityProvider/other"}, "jwt": {"iss": "https://o.test", "aud": "a"}}
    fill(app, [provider("other"), {**body(app, NAMES[1]), **other}])
    before = body(app, NAMES[1])

    reason = refused(app, *addition(hidden, "--audience", "account", *more))

    assert f"{NAMES[1]} is stored, and is that of IdentityProvider/other" in reason
    assert body(app, NAMES[1]) == before


@pytest.mark.parametrize("position", [0, 1])
def test_what_stays_inactive_is_told_with_the_command_that_changes_it(
    app: Flask, hidden: Issuer, position: int
) -> None:
    name = NAMES[position]
    fill(app, [{**body(app, name), "active": False}])

    replaced = run(app, *addition(hidden, "--replace"))

    assert replaced.exit_code == 0, replaced.output
    assert replaced.stderr.startswith(f"{name} is not active")
    command = f"flask foreign-token get {name.replace('/', ' ')} | sed 's/^active: false$/active: true/' | "
    assert f"  {command}flask foreign-token apply -\n" in replaced.stderr


def test_the_command_that_makes_active_does(app: Flask) -> None:
    fill(app, [{**body(app, NAMES[0]), "active": False}])
    _, command, _ = activation_command("true", ("IdentityProvider", "keycloak")).split(" | ")
    shown = run(app, "get", "IdentityProvider", "keycloak").stdout_bytes

    edited = subprocess.run(["sh", "-c", command], input=shown, capture_output=True, check=True).stdout
    applied = run(app, "apply", "-", stdin=edited)

    assert applied.exit_code == 0, applied.output
    assert body(app, NAMES[0])["active"] is True


def test_nothing_is_told_of_what_is_active(app: Flask, hidden: Issuer) -> None:
    assert run(app, *addition(hidden, "--replace")).stderr == ""


@pytest.mark.parametrize("more", [[], ["--replace"]])
def test_what_cannot_be_read_is_told_with_the_command_that_removes_it(
    make_app: MakeApp, hidden: Issuer, more: list[str]
) -> None:
    app = fill(make_app(), [policy("all")])
    statement = (
        "INSERT INTO foreign_token_resource (type, id, version, body, last_updated) "
        "VALUES ('IdentityProvider', 'keycloak', 1, '{', 0) RETURNING id"
    )
    rows(app, statement)

    reason = refused(app, *addition(hidden, "--audience", "account", *more))
    run(app, "delete", "IdentityProvider", "keycloak")
    again = run(app, *addition(hidden, "--audience", "account", *more))

    command = "`flask foreign-token delete IdentityProvider keycloak` removes it"
    assert f"{NAMES[0]} is stored, but cannot be read; {command}" in reason
    assert "somebody" not in reason
    assert again.exit_code == 0, again.output


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


def test_a_correction_updates_what_is_stored_and_names_no_backchannel_that_is_the_issuer(
    empty_app: Flask, publisher: Publisher
) -> None:
    publisher.publish(OPENID, metadata(publisher.origin))
    words = ["provider", "add", "keycloak", "--issuer", "https://wrong.example", "--backchannel", publisher.origin]

    absent = refused(empty_app, *words, "--audience", "account")
    fill(empty_app, [provider("keycloak")])
    present = refused(empty_app, *words, "--audience", "account")

    command = f"  flask foreign-token provider add keycloak --issuer {publisher.origin} --audience account"
    assert f"{command}\n" in absent
    assert f"{command} --replace\n" in present
