"""``users link``, ``unlink`` and ``rebind``: by which identifiers users are known."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import SECRET_ISSUER, Resource, ask, introspector, policy, provider, rows, secret_token, trusting_a_secret
from ..conftest import MakeApp
from .commands import fill, printed, refused, run

OTHER_ISSUER = "https://other.example"
NEW_ISSUER = "https://login.secret.example"
OTHER_SECRET = "nobody-else-signs-with-this-one-than-entra"
EVERYBODY = policy("everybody")


def other_introspector(**attributes: object) -> Resource:
    return introspector("other-secret", "entra", jwt={"iss": OTHER_ISSUER, "secret": OTHER_SECRET}, **attributes)


RESOURCES = [*trusting_a_secret(EVERYBODY), provider("entra"), other_introspector()]
"""Two providers, ``keycloak`` and ``entra``."""


@pytest.fixture(params=["database", "file"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    return make_app(RESOURCES) if request.param == "file" else fill(make_app(), RESOURCES)


def of_keycloak(issuer: Issuer, subject: str, iss: str = SECRET_ISSUER) -> str:
    return secret_token(issuer, sub=subject, iss=iss)


def of_entra(issuer: Issuer, subject: str) -> str:
    return secret_token(issuer, OTHER_SECRET, sub=subject, iss=OTHER_ISSUER)


def who(app: Flask, token: str) -> str:
    """The id of the user that `token` leads to."""
    answer = ask(app, token, "/me")
    assert answer.status_code == 200
    return str(answer.get_json()["user"])


def pairs(app: Flask, id_: str) -> list[str]:
    identifiers = printed(app, "users", "show", id_).get("identifier", [])
    return [f"{identifier['system']}|{identifier['value']}" for identifier in identifiers]


def move(app: Flask) -> None:
    """``keycloak`` gets another issuer."""
    fill(app, trusting_a_secret(EVERYBODY, jwt={"iss": NEW_ISSUER}))


def test_a_token_of_a_linked_identifier_leads_to_the_same_user(app: Flask, issuer: Issuer) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))

    result = run(app, "users", "link", ann, "entra|ann@work")

    assert (result.exit_code, result.stdout) == (0, f"linked User/{ann}\n")
    assert who(app, of_entra(issuer, "ann@work")) == ann
    assert pairs(app, ann) == ["keycloak|ann", "entra|ann@work"]


def test_the_issuer_of_another_system_does_not_lead_to_a_linked_identifier(app: Flask, issuer: Issuer) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))
    run(app, "users", "link", ann, "entra|ann@work")

    assert who(app, of_keycloak(issuer, "ann@work")) != ann


def test_whom_to_link_can_be_said_by_an_identifier(app: Flask, issuer: Issuer) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))

    outcomes = printed(app, "users", "link", "keycloak|ann", "entra|a|b")

    assert outcomes == [{"resourceType": "User", "id": ann, "outcome": "linked"}]
    assert who(app, of_entra(issuer, "a|b")) == ann


def test_an_identifier_that_the_user_has_is_unchanged(app: Flask, issuer: Issuer) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))
    before = printed(app, "users", "show", ann)

    assert run(app, "users", "link", ann, "keycloak|ann").stdout == f"unchanged User/{ann}\n"
    assert printed(app, "users", "show", ann) == before


def test_an_identifier_of_somebody_else_is_not_taken_from_them(app: Flask, issuer: Issuer) -> None:
    ann, bob = who(app, of_keycloak(issuer, "ann")), who(app, of_entra(issuer, "bob"))

    reason = refused(app, "users", "link", ann, "entra|bob")

    assert "nothing was changed." in reason
    assert f"User/{ann}" in reason
    assert "another user" in reason
    assert (pairs(app, ann), pairs(app, bob)) == (["keycloak|ann"], ["entra|bob"])


@pytest.mark.parametrize("pair", ["nowhere|ann", "Entra|ann", "entra |ann"])
def test_a_system_that_no_provider_has_is_refused(app: Flask, issuer: Issuer, pair: str) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))

    assert "system" in refused(app, "users", "link", ann, pair)
    assert pairs(app, ann) == ["keycloak|ann"]


def test_a_system_whose_introspector_is_not_in_force_is_refused(app: Flask, issuer: Issuer) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))
    fill(app, [other_introspector(active=False)])

    assert "system" in refused(app, "users", "link", ann, "entra|ann")
    assert pairs(app, ann) == ["keycloak|ann"]


@pytest.mark.parametrize("value", ["x" * 256, "a\nb", "a\x00b"])
def test_a_subject_that_no_token_can_have_is_refused(app: Flask, issuer: Issuer, value: str) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))

    assert "nothing was changed." in refused(app, "users", "link", ann, f"entra|{value}")
    assert pairs(app, ann) == ["keycloak|ann"]


@pytest.mark.parametrize("pair", ["", "|", "ann", "|ann", "entra|"])
@pytest.mark.parametrize("command", ["link", "unlink"])
def test_half_an_identifier_is_refused(app: Flask, issuer: Issuer, command: str, pair: str) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))

    assert "must read SYSTEM|VALUE" in refused(app, "users", command, ann, pair)
    assert pairs(app, ann) == ["keycloak|ann"]


@pytest.mark.parametrize("name", ["nobody", "entra|ann", "keycloak|", ""])
@pytest.mark.parametrize("command", ["link", "unlink"])
def test_a_user_who_is_not_stored_has_no_identifiers(app: Flask, issuer: Issuer, command: str, name: str) -> None:
    who(app, of_keycloak(issuer, "ann"))

    reason = refused(app, "users", command, name, "keycloak|ann")

    assert "nothing was changed." in reason
    assert f"User/{name}: is not stored" in reason


def test_a_token_of_an_unlinked_identifier_makes_a_new_user(app: Flask, issuer: Issuer) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))
    run(app, "users", "link", ann, "entra|ann@work")

    result = run(app, "users", "unlink", ann, "entra|ann@work")

    assert (result.exit_code, result.stdout) == (0, f"unlinked User/{ann}\n")
    assert pairs(app, ann) == ["keycloak|ann"]
    assert who(app, of_entra(issuer, "ann@work")) != ann
    assert who(app, of_keycloak(issuer, "ann")) == ann


def test_that_it_makes_a_new_user_is_said_beforehand(app: Flask) -> None:
    assert "new user" in run(app, "users", "unlink", "--help").output


def test_the_last_identifier_can_go_too(app: Flask, issuer: Issuer) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))

    outcomes = printed(app, "users", "unlink", "keycloak|ann", "keycloak|ann")

    assert outcomes == [{"resourceType": "User", "id": ann, "outcome": "unlinked"}]
    assert pairs(app, ann) == []
    assert who(app, of_keycloak(issuer, "ann")) != ann


@pytest.mark.parametrize("pair", ["entra|bob", "entra|nobody", "nowhere|ann", "keycloak|Ann"])
def test_an_identifier_that_is_not_the_users_is_not_unlinked(app: Flask, issuer: Issuer, pair: str) -> None:
    ann, bob = who(app, of_keycloak(issuer, "ann")), who(app, of_entra(issuer, "bob"))

    reason = refused(app, "users", "unlink", ann, pair)

    assert "nothing was changed." in reason
    assert f"User/{ann}" in reason
    assert (pairs(app, ann), pairs(app, bob)) == (["keycloak|ann"], ["entra|bob"])


def test_a_new_issuer_leads_to_the_users_it_is_rebound_to(app: Flask, issuer: Issuer) -> None:
    ann, bob = who(app, of_keycloak(issuer, "ann")), who(app, of_keycloak(issuer, "bob"))
    move(app)
    assert ask(app, of_keycloak(issuer, "ann", NEW_ISSUER)).status_code == 401

    result = run(app, "users", "rebind", "keycloak", "--issuer", NEW_ISSUER)

    assert (result.exit_code, result.stdout) == (0, f"rebound 2 identifiers of keycloak to {NEW_ISSUER}\n")
    assert who(app, of_keycloak(issuer, "ann", NEW_ISSUER)) == ann
    assert who(app, of_keycloak(issuer, "bob", NEW_ISSUER)) == bob


def test_the_old_issuer_leads_to_nobody_any_more(app: Flask, issuer: Issuer) -> None:
    who(app, of_keycloak(issuer, "ann"))
    move(app)
    run(app, "users", "rebind", "keycloak", "--issuer", NEW_ISSUER)

    fill(app, RESOURCES)

    assert ask(app, of_keycloak(issuer, "ann")).status_code == 401
    assert ask(app, of_keycloak(issuer, "bob")).status_code == 200


def test_identifiers_of_other_systems_stay_with_their_issuer(app: Flask, issuer: Issuer) -> None:
    who(app, of_keycloak(issuer, "ann"))
    bob = who(app, of_entra(issuer, "bob"))
    move(app)

    changed = printed(app, "users", "rebind", "keycloak", "--issuer", NEW_ISSUER)

    assert changed == {"system": "keycloak", "issuer": NEW_ISSUER, "changed": 1}
    assert who(app, of_entra(issuer, "bob")) == bob
    issuers = rows(app, "SELECT issuer FROM foreign_token_identifier ORDER BY system")
    assert issuers == [(OTHER_ISSUER,), (NEW_ISSUER,)]


def test_whom_the_issuer_vouches_for_already_is_not_counted(app: Flask, issuer: Issuer) -> None:
    who(app, of_keycloak(issuer, "ann"))

    result = run(app, "users", "rebind", "keycloak", "--issuer", SECRET_ISSUER)

    assert (result.exit_code, result.stdout) == (0, f"rebound 0 identifiers of keycloak to {SECRET_ISSUER}\n")


def test_one_identifier_is_no_plural(app: Flask, issuer: Issuer) -> None:
    who(app, of_keycloak(issuer, "ann"))
    move(app)

    result = run(app, "users", "rebind", "keycloak", "--issuer", NEW_ISSUER)

    assert result.stdout.startswith("rebound 1 identifier of keycloak")


@pytest.mark.parametrize("other", [NEW_ISSUER, OTHER_ISSUER, f"{SECRET_ISSUER}/", ""])
def test_an_issuer_that_is_not_in_force_for_the_system_is_refused(app: Flask, issuer: Issuer, other: str) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))

    reason = refused(app, "users", "rebind", "keycloak", "--issuer", other)

    assert "nothing was changed." in reason
    assert SECRET_ISSUER in reason
    assert who(app, of_keycloak(issuer, "ann")) == ann


@pytest.mark.parametrize("system", ["nowhere", "Keycloak", "keycloak ", ""])
def test_a_system_that_nobody_vouches_for_is_not_rebound(app: Flask, issuer: Issuer, system: str) -> None:
    ann = who(app, of_keycloak(issuer, "ann"))

    assert "nothing was changed." in refused(app, "users", "rebind", system, "--issuer", SECRET_ISSUER)
    assert who(app, of_keycloak(issuer, "ann")) == ann


def test_an_introspector_that_is_not_active_vouches_for_nobody(app: Flask, issuer: Issuer) -> None:
    who(app, of_entra(issuer, "bob"))
    fill(app, [other_introspector(active=False)])

    assert "nothing was changed." in refused(app, "users", "rebind", "entra", "--issuer", OTHER_ISSUER)


def test_what_rebinding_is_for_is_said(app: Flask) -> None:
    text = re.sub(r"\s+", " ", run(app, "users", "rebind", "--help").output)

    assert "has moved to another address" in text
    assert "the same people" in text


@pytest.mark.parametrize("arguments", [["link", "1"], ["unlink", "1"], ["rebind"]])
def test_a_missing_argument_is_refused(app: Flask, arguments: list[str]) -> None:
    assert "Missing argument" in refused(app, "users", *arguments)


def test_a_missing_issuer_is_refused(app: Flask) -> None:
    assert "--issuer" in refused(app, "users", "rebind", "keycloak")
