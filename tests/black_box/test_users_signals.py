"""What is said of users inside the app: made, changed, out. One signal for each change, after it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.signals import user_created, user_deactivated, user_updated

from ..apps import ask, rows, without
from ..conftest import MakeApp
from ..loading import Clock
from .callers import OPERATOR_SETTINGS, operate, put, read, run
from .people import People, me, token, user_of
from .tokens import at_once, document

SIGNALS = {"created": user_created, "updated": user_updated, "deactivated": user_deactivated}
OTHER = "https://other.example"


@contextmanager
def heard(app: Flask) -> Iterator[list[tuple[str, str]]]:
    """Which signals `app` sends within the block, and the id of the user of each."""
    said: list[tuple[str, str]] = []
    with ExitStack() as stack:
        for name, signal in SIGNALS.items():

            def hear(sender: object, user: Any, name: str = name, **more: object) -> None:
                assert sender is app
                assert more == {}
                said.append((name, str(user.key)))

            stack.enter_context(signal.connected_to(hear, sender=app))
        yield said


@pytest.fixture
def extension() -> ForeignToken:
    return ForeignToken()


@pytest.fixture
def app(timed_app: MakeApp, extension: ForeignToken, people: People) -> Flask:
    resources = [*people.resources(), *people.resources("other", OTHER)]
    return timed_app(resources, extension, **OPERATOR_SETTINGS)


def test_a_newcomer_is_created_and_then_nothing(app: Flask):
    with heard(app) as said:
        ada = me(app, token())
        me(app, token())

    assert said == [("created", ada)]


def test_many_first_requests_are_one_creation(app: Flask):
    with heard(app) as said:
        at_once(16, lambda number: ask(app, token()).status_code)

    assert said == [("created", user_of(app)["id"])]


def test_it_is_stored_when_it_is_said(app: Flask):
    found: list[list[tuple[Any, ...]]] = []

    def look(sender: object, user: Any) -> None:
        found.append(rows(app, "SELECT value FROM foreign_token_identifier"))

    with user_created.connected_to(look, sender=app):
        me(app, token())

    assert found == [[("ada",)]]


def test_the_snapshot_is_the_user_resource(app: Flask, people: People):
    said: list[Any] = []
    people.says(name="Ada")

    def hear(sender: object, user: Any) -> None:
        said.append(user.resource)

    with user_created.connected_to(hear, sender=app):
        me(app, token())

    [resource] = said
    assert resource["data"]["name"] == "Ada"
    assert resource["id"] == user_of(app)["id"]


@pytest.mark.parametrize("answer", ["500", "another"])
def test_who_is_refused_is_not_said(app: Flask, people: People, answer: str):
    people.answers(document({}, 500) if answer == "500" else {"sub": "eve"})

    with heard(app) as said:
        assert ask(app, token()).status_code in {401, 503}

    assert said == []


def test_a_refresh_that_changes_something_is_an_update_and_one_that_does_not_is_none(
    app: Flask, people: People, now: Clock
):
    ada = me(app, token())
    with heard(app) as said:
        now.now += 3601
        me(app, token())
        assert said == []

        people.says(name="Ada")
        now.now += 3601
        me(app, token())

    assert said == [("updated", ada)]


def test_a_refresh_that_fails_is_none(app: Flask, people: People, now: Clock):
    me(app, token())
    people.answers(document({}, 500))
    now.now += 3601

    with heard(app) as said:
        me(app, token())

    assert said == []


def test_rest_says_each_change_once(app: Flask):
    body = {"identifier": [{"system": "keycloak", "value": "ada"}]}
    with heard(app) as said:
        operate(app, "PUT", "/fhir/User/ada", body)
        put(app, {**read(app, "User/ada"), "name": "Ada"})
        put(app, {**read(app, "User/ada"), "inactive": True})
        put(app, without(read(app, "User/ada"), "inactive"))
        operate(app, "DELETE", "/fhir/User/ada")

    assert said == [(name, "ada") for name in ("created", "updated", "deactivated", "updated", "deactivated")]


def test_what_rest_refuses_is_not_said(app: Flask):
    me(app, token())
    with heard(app) as said:
        operate(app, "PUT", "/fhir/User/thief", {"identifier": [{"system": "keycloak", "value": "ada"}]})
        operate(app, "DELETE", "/fhir/User/nobody")

    assert said == []


def test_commands_say_each_change_once(app: Flask):
    ada = str(me(app, token()))
    with heard(app) as said:
        run(app, "users", "deactivate", ada)
        run(app, "users", "activate", ada)
        run(app, "users", "link", ada, "other|lovelace")
        run(app, "users", "unlink", ada, "other|lovelace")
        run(app, "users", "export", ada)
        run(app, "users", "forget", ada, "--yes")

    assert [name for name, _ in said] == ["deactivated", "updated", "updated", "updated", "deactivated"]
    assert {user for _, user in said} == {ada}


def test_what_changes_nothing_is_not_said(app: Flask):
    ada = str(me(app, token()))
    with heard(app) as said:
        run(app, "users", "activate", ada)
        run(app, "users", "link", ada, "keycloak|ada")
        run(app, "users", "unlink", ada, "other|nobody", status=1)
        run(app, "users", "deactivate", ada)
        run(app, "users", "deactivate", ada)

    assert said == [("deactivated", ada)]


def test_a_rebind_is_of_nobody_in_particular(app: Flask):
    me(app, token())
    with heard(app) as said:
        run(app, "users", "rebind", "keycloak", "--issuer", "https://issuer.example")

    assert said == []


def test_the_python_api_says_each_change_once(app: Flask, extension: ForeignToken):
    ada = str(me(app, token()))
    with heard(app) as said, app.app_context():
        extension.deactivate(ada)
        extension.activate(ada)
        extension.link(ada, "other", "lovelace")
        extension.unlink(ada, "other", "lovelace")

    assert said == [(name, ada) for name in ("deactivated", "updated", "updated", "updated")]


def test_a_receiver_may_be_a_coroutine_function(app: Flask):
    said: list[tuple[str, str]] = []

    async def created(sender: object, user: Any) -> None:
        said.append(("created", str(user.key)))

    async def deactivated(sender: object, user: Any) -> None:
        said.append(("deactivated", str(user.key)))

    with (
        user_created.connected_to(created, sender=app),
        user_deactivated.connected_to(deactivated, sender=app),
    ):
        ada = str(me(app, token()))
        run(app, "users", "deactivate", ada)

    assert said == [("created", ada), ("deactivated", ada)]


def test_another_app_hears_nothing(app: Flask, make_app: MakeApp, people: People):
    other = make_app(people.resources(), **OPERATOR_SETTINGS)

    with heard(app) as said:
        me(other, token())

    assert said == []


def test_a_receiver_that_fails_takes_the_user_back_nowhere(app: Flask):
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def fail(sender: object, user: Any) -> None:
        raise RuntimeError("the receiver has failed")

    with user_created.connected_to(fail, sender=app):
        assert ask(app, token()).status_code == 500

    assert me(app, token()) == user_of(app)["id"]
