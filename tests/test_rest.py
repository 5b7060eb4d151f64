from __future__ import annotations

import gc
import traceback
import weakref
from contextlib import suppress

import pytest

from flask_foreign_token.caching import Rest
from flask_foreign_token.errors import ProviderUnavailable

from .loading import Clock, Watched


def test_what_failed_rests_for_a_while() -> None:
    clock = Clock()
    rest = Rest(5, 10, clock)
    rest.note("a", ProviderUnavailable(hint="TimeoutError"))

    clock.now += 4.9
    with pytest.raises(ProviderUnavailable) as raised:
        rest.raise_if_resting("a")
    assert raised.value.hint == "TimeoutError"
    clock.now += 0.1
    rest.raise_if_resting("a")


def test_what_did_not_fail_does_not_rest() -> None:
    rest = Rest(5, 10)
    rest.note("a", ProviderUnavailable())
    tried: list[str] = []

    for key in ("a", "b"):
        with suppress(ProviderUnavailable):
            rest.raise_if_resting(key)
            tried.append(key)

    assert tried == ["b"]


def test_a_new_failure_begins_a_new_rest() -> None:
    clock = Clock()
    rest = Rest(5, 10, clock)
    rest.note("a", ProviderUnavailable(hint="first"))
    clock.now += 4
    rest.note("a", ProviderUnavailable(hint="second"))

    clock.now += 4
    with pytest.raises(ProviderUnavailable) as raised:
        rest.raise_if_resting("a")
    assert raised.value.hint == "second"


def test_whether_something_rests_can_be_asked() -> None:
    clock = Clock()
    rest = Rest(5, 10, clock)
    rest.note("a", ProviderUnavailable())

    assert [rest.is_resting(key) for key in ("a", "b")] == [True, False]
    clock.now += 5
    assert not rest.is_resting("a")


def test_a_clock_that_is_set_back_prolongs_no_rest() -> None:
    clock = Clock()
    rest = Rest(5, 10, clock)
    rest.note("a", ProviderUnavailable())

    clock.now -= 1

    assert not rest.is_resting("a")
    rest.raise_if_resting("a")


def test_what_fails_after_the_clock_was_set_back_rests_from_then_on() -> None:
    clock = Clock()
    rest = Rest(5, 10, clock)
    rest.note("a", ProviderUnavailable(hint="first"))
    clock.now -= 3600
    rest.note("a", ProviderUnavailable(hint="second"))

    clock.now += 4.9
    with pytest.raises(ProviderUnavailable) as raised:
        rest.raise_if_resting("a")
    assert raised.value.hint == "second"
    clock.now += 0.1
    rest.raise_if_resting("a")


def test_each_raise_is_a_new_error_that_holds_nothing_of_the_failure() -> None:
    rest = Rest(5, 10)
    with pytest.raises(ProviderUnavailable) as noted:
        raise ProviderUnavailable from KeyError("a")
    rest.note("a", noted.value)

    raised = []
    for _ in range(2):
        with pytest.raises(ProviderUnavailable) as caught:
            rest.raise_if_resting("a")
        raised.append(caught.value)

    assert len({id(error) for error in (noted.value, *raised)}) == 3
    assert [error.__cause__ or error.__context__ for error in raised] == [None, None]
    assert [len(list(traceback.walk_tb(error.__traceback__))) for error in raised] == [2, 2]


def test_a_failure_is_remembered_without_what_it_rested_on() -> None:
    rest = Rest(5, 10)
    seen: list[weakref.ref[Watched]] = []
    gc.disable()
    try:
        rest.note("a", Watched(seen))

        assert seen[0]() is None
    finally:
        gc.enable()
    with pytest.raises(Watched):
        rest.raise_if_resting("a")


def test_failures_are_bounded() -> None:
    rest = Rest(5, 10)

    for number in range(1_000):
        rest.note(number, ProviderUnavailable())

    assert len(rest._failures) <= 10
