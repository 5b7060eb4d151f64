from __future__ import annotations

import pytest

from flask_foreign_token.users.verified_email import MAX_EMAIL, verified_email

LONGEST = "a" * (MAX_EMAIL - len("@example.org")) + "@example.org"


@pytest.mark.parametrize(
    "email",
    ["ann@example.org", "Ann.O'Neil+tag@EXAMPLE.org", "ann@localhost", "änn@exämple.org", "\U0001f600@a", LONGEST],
)
def test_an_address_that_is_verified_counts_as_it_is(email: str) -> None:
    assert verified_email({"email": email, "email_verified": True}) == email


@pytest.mark.parametrize(
    "verified", [False, None, "true", "True", "yes", 1, 1.0, [True], {"ann@example.org": True}], ids=repr
)
def test_anything_but_a_plain_true_is_not_verified(verified: object) -> None:
    assert verified_email({"email": "ann@example.org", "email_verified": verified}) is None


@pytest.mark.parametrize(
    "userinfo",
    [
        {"email": "ann@example.org"},
        {"email_verified": True},
        {"email": "ann@example.org", "address": {"email_verified": True}},
        {"address": {"email": "ann@example.org"}, "email_verified": True},
        {"Email": "ann@example.org", "email_verified": True},
        {},
    ],
    ids=repr,
)
def test_both_must_be_said_by_name_in_one_document(userinfo: dict[str, object]) -> None:
    assert verified_email(userinfo) is None


@pytest.mark.parametrize(
    "email",
    [
        None, 7, True, ["ann@example.org"], {"value": "ann@example.org"}, "", "ann", "@", "ann@", "@example.org",
        "ann@example.org@evil.example", "ann@@example.org", "ann@example.org,bob@example.org", "ann @example.org",
        " ann@example.org", "ann@example.org ", "ann@example.org\n", "ann@exa\tmple.org", "ann\0@example.org",
        "ann@example.org\x7f", "ann@example.org\x85", "ann@example.org\u2028", "ann\u3000@example.org",
        "ann\ud800@example.org", "a" + LONGEST, "ann@" + "a" * 1_000_000,
    ],
    ids=lambda email: repr(email)[:40],
)  # fmt: skip
def test_what_is_not_one_address_counts_for_nothing(email: object) -> None:
    assert verified_email({"email": email, "email_verified": True}) is None
