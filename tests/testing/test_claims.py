from __future__ import annotations

import pytest

from flask_foreign_token.testing import claims

PROFILE = {
    "sub": "alice",
    "preferred_username": "alice",
    "email": "alice@example.com",
    "email_verified": True,
    "department": "cardiology",
}


def access_token(scope: str = claims.SCOPE) -> dict[str, object]:
    return claims.of_access_token("https://idp.example", "app", PROFILE, scope, issued_at=1000, lifetime=300)


def test_an_access_token_says_what_keycloaks_say() -> None:
    assert (
        access_token().items()
        >= {
            "iss": "https://idp.example",
            "aud": "account",
            "sub": "alice",
            "azp": "app",
            "typ": "Bearer",
            "iat": 1000,
            "exp": 1300,
            "scope": "openid profile email",
            "preferred_username": "alice",
            "email_verified": True,
        }.items()
    )


def test_no_two_tokens_have_one_id() -> None:
    assert access_token()["jti"] != access_token()["jti"]


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ("", {"sub", "department"}),
        ("openid", {"sub", "department"}),
        ("profile", {"sub", "department", "preferred_username"}),
        ("email", {"sub", "department", "email", "email_verified"}),
        ("openid profile email", set(PROFILE)),
    ],
)
def test_a_profile_is_told_as_far_as_the_scope_covers_it(scope: str, told: set[str]) -> None:
    assert access_token(scope).keys() & PROFILE.keys() == told
    assert claims.of_userinfo({"scope": scope}, PROFILE).keys() == told


def test_userinfo_takes_the_tokens_word_for_its_user_and_leaves_out_the_rest() -> None:
    of_introspection = {"active": True, "token_type": "Bearer", "client_id": "app", "username": "somebody"}
    token = {**access_token(), **of_introspection, "email": "new@example.com", "ward": 7}

    assert claims.of_userinfo(token, PROFILE) == {**PROFILE, "email": "new@example.com", "ward": 7}


def test_introspection_says_what_the_token_says_and_in_the_words_of_the_standard_who_has_it() -> None:
    token = access_token()

    assert claims.of_introspection(token) == {
        **token,
        "token_type": "Bearer",
        "client_id": "app",
        "username": "alice",
    }


def test_introspection_takes_the_tokens_word() -> None:
    said = {"token_type": "DPoP", "client_id": "another", "username": "another", "azp": "app"}

    assert claims.of_introspection(said) == said
