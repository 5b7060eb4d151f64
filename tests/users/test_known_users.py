from __future__ import annotations

import pytest

from flask_foreign_token.users.known_users import Known, KnownUsers

from ..loading import Clock

ANN, BOB = ("idp", "1", "ann"), ("idp", "1", "bob")
NOW, TTL = 1_000.0, 30.0


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def users(clock: Clock) -> KnownUsers:
    return KnownUsers(4, TTL, clock)


def known(key: str = "1") -> Known:
    return Known("https://idp.example", key, None)  # type: ignore[arg-type]  # nobody looks at the user


def test_who_is_remembered_holds_until_the_time_is_over(users: KnownUsers, clock: Clock) -> None:
    ann = known()
    users.put(ANN, ann)

    assert users.get(ANN) is ann
    assert ann.until == NOW + TTL
    clock.now = NOW + TTL
    assert users.get(ANN) is None


def test_who_was_never_remembered_does_not_hold() -> None:
    assert not known().until > 0


def test_who_is_forgotten_ends_for_those_who_keep_it(users: KnownUsers) -> None:
    ann, bob = known("1"), known("2")
    users.put(ANN, ann)
    users.put(BOB, bob)
    users.drop_where(lambda each: each is ann)

    assert users.get(ANN) is None
    assert ann.ended
    assert users.get(BOB) is bob
    assert not bob.ended


def test_so_does_who_is_dropped_by_place(users: KnownUsers) -> None:
    ann = known()
    users.put(ANN, ann)
    users.drop(ANN)
    users.drop(BOB)

    assert users.get(ANN) is None
    assert ann.ended


def test_so_does_who_is_replaced(users: KnownUsers) -> None:
    before, after = known(), known()
    users.put(ANN, before)
    users.put(ANN, after)

    assert before.ended
    assert users.get(ANN) is after
    assert not after.ended


def test_who_is_put_again_goes_on(users: KnownUsers, clock: Clock) -> None:
    ann = known()
    users.put(ANN, ann)
    clock.now += 10
    users.put(ANN, ann)

    assert ann.until == NOW + 10 + TTL
    assert not ann.ended
