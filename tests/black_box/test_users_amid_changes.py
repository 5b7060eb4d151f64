"""What happens to a user while its provider is being asked, or while somebody else writes, is not undone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from ..apps import ask
from ..conftest import MakeApp
from ..loading import Clock
from .callers import OPERATOR_SETTINGS, operate, put, run
from .people import People, counts, me, sub_of, token, user_of, users
from .tokens import at_once, refused

OTHER = "https://other.example"
VERIFIED = {"email": "ada@example.com", "email_verified": True}


@pytest.fixture
def app(timed_app: MakeApp, people: People) -> Flask:
    resources = [*people.resources(), *people.resources("other", OTHER, match_by="email")]
    return timed_app(resources, **OPERATOR_SETTINGS)


def meanwhile(people: People, work: Callable[[], object], **claims: object) -> None:
    """`work` is done once, while userinfo is being asked."""
    left = [work]

    def answer(request):
        if left:
            left.pop()()
        return {"sub": sub_of(request), **claims}

    people.answers(answer)


def test_who_is_made_inactive_while_a_refresh_is_asked_for_stays_inactive(app: Flask, people: People, now: Clock):
    ada = str(me(app, token()))
    meanwhile(people, lambda: run(app, "users", "deactivate", ada), name="Ada")
    now.now += 3601

    assert ask(app, token()).status_code in {200, 401}

    assert user_of(app)["inactive"] is True
    refused(ask(app, token()), "the user is inactive")


def test_who_is_deleted_while_a_refresh_is_asked_for_stays_deleted(app: Flask, people: People, now: Clock):
    ada = str(me(app, token()))
    meanwhile(people, lambda: operate(app, "DELETE", f"/fhir/User/{ada}"), name="Ada")
    now.now += 3601

    assert ask(app, token()).status_code in {200, 401}

    assert operate(app, "GET", f"/fhir/User/{ada}").status_code == 404
    assert me(app, token()) != ada
    assert counts(app) == (1, 1)


def test_what_the_operator_writes_while_a_refresh_is_asked_for_is_kept(app: Flask, people: People, now: Clock):
    me(app, token())
    before = user_of(app)
    meanwhile(people, lambda: put(app, {**before, "note": "kept", "inactive": True}), name="Ada")
    now.now += 3601

    assert ask(app, token()).status_code in {200, 401}

    after = user_of(app)
    assert (after["note"], after["inactive"]) == ("kept", True)
    assert after["meta"]["versionId"] != before["meta"]["versionId"]


def test_a_subject_that_is_linked_while_it_is_asked_about_is_the_user_that_it_was_linked_to(app: Flask, people: People):
    ada = str(me(app, token()))
    meanwhile(people, lambda: run(app, "users", "link", ada, "other|lovelace"))

    assert me(app, token("lovelace", iss=OTHER)) == ada

    assert counts(app) == (1, 2)


def test_a_subject_that_the_operator_makes_inactive_while_it_is_asked_about_is_refused(app: Flask, people: People):
    body = {"identifier": [{"system": "keycloak", "value": "ada"}], "inactive": True}
    meanwhile(people, lambda: operate(app, "PUT", "/fhir/User/ada", body))

    refused(ask(app, token()), "the user is inactive")

    assert counts(app) == (1, 1)


def test_a_match_that_is_made_inactive_while_its_newcomer_is_asked_about_lets_nobody_in(app: Flask, people: People):
    people.says(**VERIFIED)
    ada = str(me(app, token()))
    meanwhile(people, lambda: run(app, "users", "deactivate", ada), **VERIFIED)

    refused(ask(app, token("lovelace", iss=OTHER)), "the user is inactive")

    assert counts(app) == (1, 1)


def test_an_address_that_was_given_up_matches_nobody(app: Flask, people: People, now: Clock):
    people.says(**VERIFIED)
    ada = me(app, token())
    people.says(email="new@example.com", email_verified=True)
    now.now += 3601
    me(app, token())
    people.says(**VERIFIED)

    assert me(app, token("lovelace", iss=OTHER)) != ada


def test_an_address_that_is_no_longer_verified_matches_nobody(app: Flask, people: People, now: Clock):
    people.says(**VERIFIED)
    ada = me(app, token())
    people.says(email="ada@example.com", email_verified=False)
    now.now += 3601
    me(app, token())
    people.says(**VERIFIED)

    assert me(app, token("lovelace", iss=OTHER)) != ada


def test_an_address_that_a_refresh_verifies_matches(app: Flask, people: People, now: Clock):
    people.says(email="ada@example.com", email_verified=False)
    ada = me(app, token())
    people.says(**VERIFIED)
    now.now += 3601
    me(app, token())

    assert me(app, token("lovelace", iss=OTHER)) == ada


def test_many_newcomers_with_one_address_are_one_link_each_and_no_error(app: Flask, people: People):
    """Only one account of a provider can be the known user; the others are people of their own."""
    people.says(**VERIFIED)
    ada = me(app, token())

    answers = at_once(8, lambda number: ask(app, token(f"account {number}", iss=OTHER), "/me"))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert [answer.json["user"] for answer in answers].count(ada) == 1
    assert counts(app) == (8, 9)


def test_one_newcomer_in_many_threads_is_one_link(app: Flask, people: People):
    people.says(**VERIFIED)
    ada = me(app, token())

    answers = at_once(16, lambda number: ask(app, token("lovelace", iss=OTHER), "/me"))

    assert {answer.json["user"] for answer in answers} == {ada}
    assert counts(app) == (1, 2)


def test_a_pair_that_two_are_to_get_at_once_goes_to_one(app: Flask):
    owners = [str(me(app, token(f"person {number}"))) for number in range(8)]

    results = at_once(8, lambda number: run(app, "users", "link", owners[number], "other|x", status=None).exit_code)

    assert sorted(results) == [0] + [1] * 7
    assert sum({"system": "other", "value": "x"} in user["identifier"] for user in users(app)) == 1


def test_deleting_and_coming_at_once_is_no_error(app: Flask):
    ada, known = str(me(app, token())), token()

    def work(number: int) -> list[int]:
        if number == 0:
            return [operate(app, "DELETE", f"/fhir/User/{ada}").status_code]
        return [ask(app, known, "/me").status_code for _ in range(5)]

    results = at_once(8, work)

    assert results[0] == [204]
    assert {status for statuses in results[1:] for status in statuses} <= {200, 401}
    assert me(app, token()) != ada
    assert counts(app) == (1, 1)
