from __future__ import annotations

import pytest

from flask_foreign_token.users.sameness import says_the_same

SAID: dict[str, object] = {"sub": "ann", "email": "ann@example.org", "roles": ["a", "b"], "exp": 1, "address": {"n": 1}}


@pytest.mark.parametrize(
    "change",
    [
        {}, {"exp": 2}, {"iat": 1, "nbf": 1, "auth_time": 1}, {"jti": "x", "sid": "y", "nonce": "z"},
        {"scope": "openid"}, {"azp": "client", "client_id": "client"},
        {"aud": ["api"]}, {"acr": "1", "amr": ["pwd"]}, {"cnf": {"jkt": "x"}},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_said_of_a_token_does_not_count(change: dict[str, object]) -> None:
    assert says_the_same(SAID, {**SAID, **change})
    assert says_the_same({**SAID, **change}, SAID)


@pytest.mark.parametrize(
    "change",
    [
        {"email": "ann@example.com"}, {"email": None}, {"roles": ["b", "a"]}, {"roles": ["a"]},
        {"address": {"n": True}},
        {"address": {"n": "1"}}, {"groups": []}, {"active": False}, {"email_verified": True}, {"sub": "bob"},
        {"address": {"n": 1, "exp": 2}},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_said_of_the_user_counts(change: dict[str, object]) -> None:
    assert not says_the_same(SAID, {**SAID, **change})
    assert not says_the_same({**SAID, **change}, SAID)


def test_the_order_of_names_does_not_count() -> None:
    assert says_the_same(SAID, dict(reversed(SAID.items())))
