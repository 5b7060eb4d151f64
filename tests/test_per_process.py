from __future__ import annotations

import os

import pytest

from flask_foreign_token import per_process
from flask_foreign_token.per_process import PerProcess


def test_one_is_made_at_the_first_use_and_kept() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    one = PerProcess(make)
    assert made == []
    assert one() is one() is made[0]
    assert len(made) == 1


def test_another_can_be_put_in_its_place() -> None:
    one = PerProcess(object)
    other = object()
    one()
    one.put(other)

    assert one() is other


def test_a_child_has_one_of_its_own() -> None:
    one = PerProcess(object)
    parents = one()
    child = os.fork()
    if child == 0:
        os._exit(0 if one() is not parents else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert one() is parents


def test_where_forks_are_not_seen_the_ids_of_processes_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_process, "_FORKS_UNSEEN", True)
    one = PerProcess(object)
    before = one()
    assert one() is before

    monkeypatch.setattr(os, "getpid", lambda: 1)
    after = one()

    assert after is not before
    assert one() is after
