from __future__ import annotations

from uuid import UUID

import pytest

from flask_foreign_token.testing import Client, Person

CLIENT = Client("app", "app-secret", scopes=("openid", "profile", "patient.read"))


def test_a_subject_is_a_uuid_that_stays_the_same() -> None:
    person = Person("alice", "secret")

    assert UUID(person.subject)
    assert person.subject == Person("alice", "another").subject != Person("bob", "secret").subject


def test_a_subject_may_be_given() -> None:
    person = Person("alice", "secret", {"sub": "a-1"})

    assert person.subject == person.profile["sub"] == "a-1"


def test_a_profile_says_what_is_known_of_a_person() -> None:
    person = Person("alice", "secret", {"email": "alice@example.com", "email_verified": True})

    assert person.profile == {
        "sub": person.subject,
        "email": "alice@example.com",
        "email_verified": True,
        "preferred_username": "alice",
    }


def test_a_service_account_is_named_after_its_client() -> None:
    assert CLIENT.service_account.profile["preferred_username"] == "service-account-app"


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, "profile patient.read"),
        ("", "profile patient.read"),
        ("openid", "openid"),
        ("patient.read openid", "patient.read openid"),
        ("openid patient.write", None),
    ],
)
def test_a_client_is_granted_what_it_asks_for_if_it_may_have_it(asked: str | None, granted: str | None) -> None:
    assert CLIENT.get_allowed_scope(asked) == granted


@pytest.mark.parametrize(
    ("secret", "right"), [("app-secret", True), ("app-secre", False), ("", False), ("geheim§", False)]
)
def test_a_client_is_known_by_its_secret(secret: str, right: bool) -> None:
    assert CLIENT.check_client_secret(secret) is right


def test_passwords_and_secrets_are_not_shown() -> None:
    assert "app-secret" not in repr(CLIENT)
    assert "hunter2" not in repr(Person("alice", "hunter2"))
