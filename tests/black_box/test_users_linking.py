"""One person from several providers: identifiers linked, unlinked, and vouched for by another issuer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken

from ..apps import ask, rows
from .callers import OPERATOR_SETTINGS, Operated, operate, parsed, put, put_all, run
from .people import People, counts, me, token, user_of, users
from .tokens import ISSUER, refused, until

OTHER = "https://other.example"
SYSTEMS = ("keycloak", "other")


@pytest.fixture
def extension() -> ForeignToken:
    return ForeignToken()


@pytest.fixture
def app(make_app, extension: ForeignToken, people: People) -> Flask:
    """It trusts two providers; Ada is known from the first."""
    app: Flask = make_app(None, extension, **OPERATOR_SETTINGS)
    put_all(app, [*people.resources(), *people.resources("other", OTHER)])
    me(app, token("ada"))
    return app


@pytest.fixture(params=["command", "python"])
def link(request: pytest.FixtureRequest, app: Flask, extension: ForeignToken) -> Callable[[str, str, str], bool]:
    """Links by one way or the other, and says whether it was done."""
    return by(request.param, "link", app, extension)


@pytest.fixture(params=["command", "python"])
def unlink(request: pytest.FixtureRequest, app: Flask, extension: ForeignToken) -> Callable[[str, str, str], bool]:
    return by(request.param, "unlink", app, extension)


def by(way: str, verb: str, app: Flask, extension: ForeignToken) -> Callable[[str, str, str], bool]:
    def command(user: str, system: str, value: str) -> bool:
        result = run(app, "users", verb, user, f"{system}|{value}", status=None)
        assert result.exit_code in {0, 1}, result.output
        assert "No such command" not in result.output
        assert result.exit_code == 0 or result.stderr
        return result.exit_code == 0

    def python(user: str, system: str, value: str) -> bool:
        from flask_foreign_token.errors import Rejected

        with app.app_context():
            try:
                getattr(extension, verb)(user, system, value)
            except Rejected:
                return False
        return True

    return command if way == "command" else python


def pairs(app: Flask, subject: str = "ada", system: str = "keycloak") -> list[tuple[str, str]]:
    return sorted((pair["system"], pair["value"]) for pair in user_of(app, subject, system)["identifier"])


def test_two_providers_whose_subjects_are_alike_are_two_users(app: Flask):
    assert me(app, token("ada")) != me(app, token("ada", iss=OTHER))

    assert counts(app) == (2, 2)


def test_a_linked_subject_is_the_same_user(app: Flask, link):
    ada = me(app, token("ada"))

    assert link(ada, "other", "lovelace")

    assert me(app, token("lovelace", iss=OTHER)) == ada
    assert pairs(app) == [("keycloak", "ada"), ("other", "lovelace")]
    assert counts(app) == (1, 2)


def test_a_link_is_another_version_and_the_same_link_again_is_none(app: Flask, link):
    ada = me(app, token("ada"))
    link(ada, "other", "lovelace")
    before = user_of(app)

    assert link(ada, "other", "lovelace")

    assert user_of(app) == before


def test_what_belongs_to_somebody_else_is_not_linked(app: Flask, link):
    ada, eve = me(app, token("ada")), me(app, token("eve", iss=OTHER))
    before = users(app)

    assert not link(ada, "other", "eve")

    assert users(app) == before
    assert me(app, token("eve", iss=OTHER)) == eve


@pytest.mark.parametrize("value", ["", " ", "a" * 256, "a\0a", "a\na", "a\x85a"])
def test_what_is_no_subject_is_not_linked(app: Flask, extension: ForeignToken, value: str):
    from flask_foreign_token.errors import Rejected

    ada = me(app, token("ada"))
    before = users(app)

    with app.app_context(), pytest.raises(Rejected):
        extension.link(ada, "other", value)

    assert users(app) == before


@pytest.mark.parametrize("pair", ["lovelace", "", "|", "other|", "|lovelace", "other| ", "other|a\x01a"])
def test_what_is_no_pair_is_not_linked_at_the_command_line(app: Flask, pair: str):
    ada = str(me(app, token("ada")))
    before = users(app)

    result = run(app, "users", "link", ada, pair, status=None)

    assert result.exit_code in {1, 2}
    assert "No such command" not in result.output
    assert users(app) == before


def test_a_pipe_belongs_to_the_value(app: Flask, link):
    ada = me(app, token("ada"))

    assert link(ada, "other", "love|lace")

    assert me(app, token("love|lace", iss=OTHER)) == ada


def test_a_link_to_nobody_is_refused(app: Flask, link):
    before = users(app)

    assert not link("nobody", "other", "lovelace")

    assert users(app) == before


def test_a_link_beside_the_user_of_that_subject_is_no_way_round(app: Flask, link):
    """Who came first keeps the subject; only after an unlink it is free."""
    ada, eve = me(app, token("ada")), me(app, token("eve", iss=OTHER))
    assert not link(ada, "other", "eve")
    run(app, "users", "unlink", str(eve), "other|eve")

    assert link(ada, "other", "eve")

    assert me(app, token("eve", iss=OTHER)) == ada


def test_an_unlinked_subject_is_somebody_new(app: Flask, unlink):
    ada, known = me(app, token("ada")), token("ada")
    me(app, known)
    run(app, "users", "link", str(ada), "other|lovelace")

    assert unlink(ada, "keycloak", "ada")

    assert me(app, known) != ada
    assert me(app, token("lovelace", iss=OTHER)) == ada


def test_the_last_identifier_may_go_too(app: Flask, unlink):
    ada = me(app, token("ada"))

    assert unlink(ada, "keycloak", "ada")

    assert operate(app, "GET", f"/fhir/User/{ada}").json.get("identifier", []) == []
    assert rows(app, "SELECT count(*) FROM foreign_token_identifier") == [(0,)]
    assert me(app, token("ada")) != ada


def test_what_is_not_the_users_is_not_unlinked(app: Flask, unlink):
    ada, eve = me(app, token("ada")), me(app, token("eve", iss=OTHER))
    before = users(app)

    assert not unlink(ada, "other", "eve")
    assert not unlink(ada, "keycloak", "Ada")
    assert not unlink(ada, "keycloak", "ada ")
    assert not unlink(ada, "Keycloak", "ada")
    assert not unlink("nobody", "keycloak", "ada")

    assert users(app) == before
    assert me(app, token("eve", iss=OTHER)) == eve


def test_the_operator_links_through_rest_as_well(app: Flask):
    shown = user_of(app)
    pair = {"system": "other", "value": "lovelace"}

    assert put(app, {**shown, "identifier": [*shown["identifier"], pair]}).status_code == 200
    assert me(app, token("lovelace", iss=OTHER)) == shown["id"]

    assert put(app, {**user_of(app), "identifier": shown["identifier"]}).status_code == 200
    assert me(app, token("lovelace", iss=OTHER)) != shown["id"]


def test_a_linked_user_who_is_inactive_is_refused_from_every_provider(app: Flask):
    ada = str(me(app, token("ada")))
    run(app, "users", "link", ada, "other|lovelace")
    known = token("lovelace", iss=OTHER)
    assert me(app, known) == ada

    run(app, "users", "deactivate", ada)

    refused(ask(app, token("ada")))
    refused(ask(app, known))


def test_another_worker_learns_of_links_within_the_poll(operated: Operated, people: People, tmp_path):
    shared = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shared.sqlite", "FOREIGN_TOKEN_REGISTRY_POLL": 0.1}
    first = operated([*people.resources(), *people.resources("other", OTHER)], **shared)
    second = operated([], **shared)
    ada, known, strange = me(first, token("ada")), token("ada"), token("lovelace", iss=OTHER)
    assert me(second, known) == ada
    lovelace = me(second, strange)
    assert lovelace != ada

    run(first, "users", "unlink", str(lovelace), "other|lovelace")
    run(first, "users", "link", str(ada), "other|lovelace")
    # A touch in between finds that the user is not the subject's any more, and says so.
    until(lambda: ask(second, strange, "/me").json.get("user") == ada, 3)

    run(first, "users", "unlink", str(ada), "keycloak|ada")
    until(lambda: ask(second, known, "/me").json.get("user", ada) != ada, 3)


def moved(app: Flask, people: People, issuer: str) -> None:
    """The provider of the first system is from now on at `issuer`."""
    for resource in people.resources(iss=issuer):
        assert put(app, resource).status_code == 200


def test_another_issuer_under_the_same_system_gets_nobody(app: Flask, people: People):
    ada = me(app, token("ada"))
    before = users(app)
    moved(app, people, "https://moved.example")

    refused(ask(app, token("ada", iss="https://moved.example")), "the identifier belongs to another issuer")

    assert users(app) == before
    moved(app, people, ISSUER)
    assert me(app, token("ada")) == ada


def test_a_rebind_hands_the_users_over(app: Flask, people: People):
    ada, eve = me(app, token("ada")), me(app, token("eve", iss=OTHER))
    before = users(app)
    moved(app, people, "https://moved.example")

    run(app, "users", "rebind", "keycloak", "--issuer", "https://moved.example")

    assert me(app, token("ada", iss="https://moved.example")) == ada
    assert me(app, token("eve", iss=OTHER)) == eve
    assert users(app) == before


def test_after_a_rebind_the_former_issuer_gets_nobody(app: Flask, people: People):
    moved(app, people, "https://moved.example")
    run(app, "users", "rebind", "keycloak", "--issuer", "https://moved.example")
    moved(app, people, ISSUER)

    refused(ask(app, token("ada")), "the identifier belongs to another issuer")


@pytest.mark.parametrize(
    "issuer", ["https://moved.example/", "https://MOVED.example", "https://nobody.example", "", ISSUER, OTHER]
)
def test_a_rebind_to_an_issuer_that_is_not_in_force_is_refused(app: Flask, people: People, issuer: str):
    moved(app, people, "https://moved.example")
    before = rows(app, "SELECT system, value, issuer FROM foreign_token_identifier")

    result = run(app, "users", "rebind", "keycloak", "--issuer", issuer, status=None)

    assert result.exit_code in {1, 2}
    assert "No such command" not in result.output
    assert rows(app, "SELECT system, value, issuer FROM foreign_token_identifier") == before
    refused(ask(app, token("ada", iss="https://moved.example")))


def test_a_rebind_that_is_refused_names_the_issuer_in_force(app: Flask):
    result = run(app, "users", "rebind", "keycloak", "--issuer", "https://nobody.example", status=1)

    assert ISSUER in result.stderr


@pytest.mark.parametrize("system", ["nobody", "Keycloak", "keycloak ", "key%", ""])
def test_a_rebind_of_another_system_is_refused(app: Flask, people: People, system: str):
    moved(app, people, "https://moved.example")
    before = rows(app, "SELECT system, value, issuer FROM foreign_token_identifier")

    result = run(app, "users", "rebind", system, "--issuer", "https://moved.example", status=None)

    assert result.exit_code in {1, 2}
    assert "No such command" not in result.output
    assert rows(app, "SELECT system, value, issuer FROM foreign_token_identifier") == before


def test_a_rebind_without_an_issuer_is_refused(app: Flask):
    result = run(app, "users", "rebind", "keycloak", status=None)

    assert result.exit_code in {1, 2}
    assert "--issuer" in result.stderr


def test_another_worker_learns_of_a_rebind_within_the_poll(operated: Operated, people: People, tmp_path):
    shared = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shared.sqlite", "FOREIGN_TOKEN_REGISTRY_POLL": 0.1}
    first = operated(people.resources(), **shared)
    second = operated([], **shared)
    ada = me(first, token("ada"))
    assert me(second, token("ada")) == ada
    moved(first, people, "https://moved.example")
    new = token("ada", iss="https://moved.example")
    until(lambda: "another issuer" in ask(second, new).get_data(as_text=True), 3)

    run(first, "users", "rebind", "keycloak", "--issuer", "https://moved.example")

    until(lambda: ask(second, new).status_code == 200, 3)
    assert me(second, new) == ada


def test_the_commands_say_what_they_have_done_as_json(app: Flask):
    ada = str(me(app, token("ada")))

    said = [parsed(app, "users", "link", ada, "other|lovelace")[0] for _ in range(2)]
    said += parsed(app, "users", "unlink", ada, "other|lovelace")

    assert [each["id"] for each in said] == [ada] * 3
    assert [each["outcome"] for each in said] == ["linked", "unchanged", "unlinked"]
