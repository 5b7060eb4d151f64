from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

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


def test_threads_that_use_it_at_once_have_one_made() -> None:
    made: list[object] = []
    together = Barrier(8)

    def make() -> object:
        made.append(object())
        os.sched_yield()
        return made[-1]

    one = PerProcess(make)

    def use(_: int) -> object:
        together.wait()
        return one()

    with ThreadPoolExecutor(8) as pool:
        used = list(pool.map(use, range(8)))

    assert used == made * 8


def test_whoever_is_told_while_it_is_made_can_ask_for_it() -> None:
    asked: list[object] = []

    def make() -> object:
        if not asked:
            asked.append(None)
            asked.append(one())
        return object()

    one: PerProcess[object] = PerProcess(make)

    assert one() is asked[1]
    assert one() is asked[1]


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


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_while_a_thread_makes_one_waits_for_nobody() -> None:
    parent, begun, may_end = os.getpid(), Event(), Event()

    def make() -> object:
        if os.getpid() == parent:
            begun.set()
            may_end.wait(10)
        return object()

    one = PerProcess(make)
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(one)
        begun.wait(10)
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            one()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        may_end.set()

    assert code == 0
    assert one() is making.result()


def test_where_forks_are_not_seen_the_ids_of_processes_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_process, "_FORKS_UNSEEN", True)
    one = PerProcess(object)
    before = one()
    assert one() is before

    monkeypatch.setattr(os, "getpid", lambda: 1)
    after = one()

    assert after is not before
    assert one() is after
