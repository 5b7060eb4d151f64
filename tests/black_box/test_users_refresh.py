"""What is known of a user is asked for again by a new token, once it is old; a failure keeps what was there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from ..apps import ask, rows, without
from ..conftest import MakeApp
from ..loading import Clock
from .callers import OPERATOR_SETTINGS, Operated, operate, run, write
from .people import People, counts, me, raw, sub_of, token, user_of, users, version
from .tokens import at_once, document, refused

HOUR = 3600


@pytest.fixture
def make(timed_app: MakeApp, people: People) -> Callable[..., Flask]:
    """Makes apps that go by `now`; `attributes` are the provider's."""

    def make(**attributes: Any) -> Flask:
        return timed_app(people.resources(**attributes), **OPERATOR_SETTINGS)

    return make


def test_a_new_token_after_an_hour_brings_what_has_changed(make, people: People, now: Clock):
    app = make()
    people.says(name="Ada")
    first = me(app, token())
    before = user_of(app)
    people.says(name="Ada Lovelace")
    now.now += HOUR + 1

    assert me(app, token()) == first

    after = user_of(app)
    assert people.asked == 2
    assert after["data"]["name"] == "Ada Lovelace"
    assert int(after["meta"]["versionId"]) == int(before["meta"]["versionId"]) + 1
    assert after["meta"]["lastUpdated"] > before["meta"]["lastUpdated"]
    assert after["meta"]["extension"] == before["meta"]["extension"]
    assert counts(app) == (1, 1)


def test_no_change_is_no_new_version(make, people: People, now: Clock):
    app = make()
    people.says(name="Ada", roles=["a", "b"])
    me(app, token())
    before = user_of(app)
    now.now += HOUR + 1

    me(app, token())

    assert people.asked == 2
    assert user_of(app) == before


def test_members_in_another_order_are_no_change(make, people: People, now: Clock):
    app = make()
    people.answers(raw('{"sub": "ada", "a": 1, "b": 2}'))
    me(app, token())
    before = user_of(app)
    people.answers(raw('{"b": 2, "a": 1, "sub": "ada"}'))
    now.now += HOUR + 1

    me(app, token())

    assert version(user_of(app)) == version(before)


def test_after_a_look_without_change_another_hour_goes_by(make, people: People, now: Clock):
    app = make()
    me(app, token())
    now.now += HOUR + 1
    me(app, token())
    now.now += HOUR - 1

    me(app, token())

    assert people.asked == 2


def test_a_token_that_is_known_asks_for_nothing(make, people: People, now: Clock):
    app = make(userinfo_refresh=60)
    known = token()
    me(app, known)
    now.now += 120

    assert ask(app, known).status_code == 200

    assert people.asked == 1


def test_a_new_token_within_the_hour_asks_for_nothing(make, people: People, now: Clock):
    app = make()
    me(app, token())
    now.now += HOUR - 1

    assert ask(app, token()).status_code == 200

    assert people.asked == 1


def test_the_provider_says_how_old_is_old(make, people: People, now: Clock):
    app = make(userinfo_refresh=60)
    me(app, token())
    now.now += 59
    me(app, token())
    assert people.asked == 1

    now.now += 2
    me(app, token())

    assert people.asked == 2


def test_with_0_every_new_token_asks(make, people: People, now: Clock):
    app = make(userinfo_refresh=0)
    for name in ("a", "b", "c"):
        people.says(name=name)
        now.now += 1
        me(app, token())
        assert user_of(app)["data"]["name"] == name

    assert people.asked == 3


@pytest.mark.parametrize("value", [-1, 31_536_001, 1.5, "60", True, None, [60]])
def test_an_age_that_is_none_is_refused(operated: Operated, people: People, value: object):
    app = operated()
    [body, *_] = people.resources(userinfo_refresh=value)

    answer = operate(app, "PUT", "/fhir/IdentityProvider/keycloak", body)

    assert answer.status_code == 422
    assert [issue["path"] for issue in answer.json["issues"]] == ["userinfo_refresh"]
    assert operate(app, "GET", "/fhir/IdentityProvider/keycloak").status_code == 404


def test_an_age_that_is_none_is_refused_at_the_command_line(operated: Operated, people: People, tmp_path):
    app = operated()

    result = run(app, "apply", write(tmp_path, "all.json", people.resources(userinfo_refresh=-1)), status=1)

    assert "userinfo_refresh" in result.stderr
    assert operate(app, "GET", "/fhir/IdentityProvider/keycloak").status_code == 404


@pytest.mark.parametrize("value", [0, 1, 31_536_000])
def test_an_age_within_the_limits_is_stored(operated: Operated, people: People, value: int):
    app = operated()
    [body, *_] = people.resources(userinfo_refresh=value)

    answer = operate(app, "PUT", "/fhir/IdentityProvider/keycloak", body)

    assert answer.status_code == 201
    assert answer.json["userinfo_refresh"] == value


FAILURES = {
    "403": lambda: document({}, 403),
    "404": lambda: document({}, 404),
    "429": lambda: document({}, 429),
    "500": lambda: document({}, 500),
    "302": lambda: document({}, 302, Location="/elsewhere"),
    "HTML": lambda: raw("<html></html>", "text/html"),
    "HTML that says it is JSON": lambda: raw("<html></html>"),
    "a list": lambda: document([{"sub": "ada"}]),
    "10 MB": lambda: document({"sub": "ada", "filling": "x" * 10_000_000}),
    "half of it": lambda: raw('{"sub": "ada"'),
    "nothing": lambda: raw(""),
    "a JWT that is none": lambda: raw("a.b.c", "application/jwt"),
}


@pytest.mark.parametrize("page", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_lets_the_request_through_and_keeps_what_was_there(make, people: People, now: Clock, page):
    app = make()
    people.says(name="Ada")
    first = me(app, token())
    before = user_of(app)
    people.answers(lambda request: page())
    now.now += HOUR + 1

    assert me(app, token()) == first

    assert people.asked == 2
    assert user_of(app) == before


def test_a_failure_is_not_asked_about_again_for_5_seconds_and_then_made_good(make, people: People, now: Clock):
    app = make()
    me(app, token())
    people.answers(document({}, 500))
    now.now += HOUR + 1
    me(app, token())
    now.now += 4.5
    me(app, token())
    assert people.asked == 2
    people.says(name="Ada Lovelace")

    now.now += 1
    me(app, token())

    assert people.asked == 3
    assert user_of(app)["data"]["name"] == "Ada Lovelace"


@pytest.mark.parametrize("status", [403, 404])
def test_a_failure_for_one_user_is_none_for_another(make, people: People, now: Clock, status: int):
    app = make()
    people.answers(lambda request: {"sub": sub_of(request), "name": "before"})
    me(app, token("ada"))
    me(app, token("bob"))
    people.answers(
        lambda request: document({}, status) if sub_of(request) == "ada" else {"sub": "bob", "name": "after"}
    )
    now.now += HOUR + 1

    me(app, token("ada"))
    me(app, token("bob"))

    assert user_of(app, "ada")["data"]["name"] == "before"
    assert user_of(app, "bob")["data"]["name"] == "after"


def test_401_refuses_the_token_and_keeps_what_was_there(make, people: People, now: Clock):
    app = make()
    people.says(name="Ada")
    first = me(app, token())
    before = user_of(app)
    people.answers(document({}, 401))
    now.now += HOUR + 1

    refused(ask(app, token()))

    assert user_of(app) == before
    people.says(name="Ada")
    now.now += 6
    assert me(app, token()) == first


@pytest.mark.parametrize("sub", ["eve", "Ada", "ada "])
def test_another_subject_refuses_the_token_and_keeps_what_was_there(make, people: People, now: Clock, sub: str):
    app = make()
    people.says(name="Ada")
    me(app, token())
    before = user_of(app)
    people.answers({"sub": sub, "name": "Eve"})
    now.now += HOUR + 1

    refused(ask(app, token()))

    assert user_of(app) == before
    assert counts(app) == (1, 1)


def test_what_is_mapped_changes_with_it(make, people: People, now: Clock):
    app = make(toScim={"given_name": ["name", "givenName"], "roles": ["roles"]})
    people.says(given_name="Ada", roles=["doctor"])
    me(app, token())
    people.says(given_name="Augusta", roles=[])
    now.now += HOUR + 1

    me(app, token())

    shown = user_of(app)
    assert shown["name"] == {"givenName": "Augusta"}
    assert shown.get("roles", []) == []


def test_what_the_provider_no_longer_says_is_no_longer_known(make, people: People, now: Clock):
    app = make(toScim={"roles": ["roles"]})
    people.says(roles=["doctor"])
    me(app, token())
    people.says()
    now.now += HOUR + 1

    me(app, token())

    assert user_of(app)["data"] == {"sub": "ada"}
    assert "roles" not in user_of(app)


def test_policies_decide_by_what_is_new_with_that_very_request(timed_app: MakeApp, people: People, now: Clock):
    from ..apps import policy

    resources = [*people.resources()[:2], policy("doctors", {"user": {"data": {"role": "doctor"}}})]
    app = timed_app(resources, **OPERATOR_SETTINGS)
    people.says(role="doctor")
    old = token()
    assert ask(app, old).status_code == 200
    people.says(role="porter")
    now.now += HOUR + 1

    assert ask(app, token()).status_code == 403
    assert ask(app, old).status_code == 403


def test_an_inactive_user_stays_out(make, people: People, now: Clock):
    app = make()
    user = me(app, token())
    run(app, "users", "deactivate", str(user))
    before = user_of(app)
    people.says(name="Ada", active=True, inactive=False)
    now.now += HOUR + 1

    refused(ask(app, token()), "the user is inactive")

    assert user_of(app)["inactive"] is True
    assert without(user_of(app), "data", "meta") == without(before, "data", "meta")


def test_a_user_whom_the_operator_made_is_asked_about_by_the_first_token_or_after_an_hour(
    make, people: People, now: Clock
):
    app = make()
    body = {"identifier": [{"system": "keycloak", "value": "ada"}]}
    assert operate(app, "PUT", "/fhir/User/ada", body).status_code == 201
    people.says(name="Ada")
    me(app, token())
    now.now += HOUR + 1

    assert me(app, token()) == "ada"

    assert user_of(app)["data"].get("name") == "Ada"


def test_claims_about_the_token_are_no_change_of_its_user(make, people: People, now: Clock):
    app = make(**{"userinfo-source": "id-token"})
    me(app, token(name="Ada", scope="openid", azp="one"))
    before = user_of(app)
    now.now += HOUR + 1

    me(app, token(name="Ada", scope="openid profile", azp="two", iat=int(now.now) - 5000))

    assert version(user_of(app)) == version(before)


def test_claims_about_the_user_are_a_change(make, people: People, now: Clock):
    app = make(**{"userinfo-source": "id-token"})
    me(app, token(name="Ada"))
    before = user_of(app)
    now.now += HOUR + 1

    me(app, token(name="Ada Lovelace"))

    assert user_of(app)["data"]["name"] == "Ada Lovelace"
    assert int(user_of(app)["meta"]["versionId"]) == int(before["meta"]["versionId"]) + 1
    assert people.asked == 0


def test_many_new_tokens_at_once_are_one_change(make, people: People, now: Clock):
    app = make()
    people.says(name="Ada")
    me(app, token())
    before = user_of(app)
    people.says(name="Ada Lovelace")
    now.now += HOUR + 1
    tokens = [token() for _ in range(12)]

    statuses = at_once(12, lambda number: ask(app, tokens[number]).status_code)

    assert statuses == [200] * 12
    assert int(user_of(app)["meta"]["versionId"]) == int(before["meta"]["versionId"]) + 1
    assert counts(app) == (1, 1)


def test_a_change_of_one_identifier_is_none_of_the_other(timed_app: MakeApp, people: People, now: Clock):
    other = "https://other.example"
    app = timed_app([*people.resources(), *people.resources("other", other)], **OPERATOR_SETTINGS)
    body = {"identifier": [{"system": system, "value": "ada"} for system in ("keycloak", "other")]}
    assert operate(app, "PUT", "/fhir/User/ada", body).status_code == 201
    me(app, token())
    me(app, token(iss=other))
    statement = "SELECT version FROM foreign_token_identifier WHERE system = 'other'"
    [before] = rows(app, statement)
    now.now += HOUR + 1
    people.says(name="Ada Lovelace")

    assert me(app, token()) == "ada"

    assert rows(app, statement) == [before]
    assert len(users(app)) == 1
