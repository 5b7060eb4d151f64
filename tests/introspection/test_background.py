from __future__ import annotations

import sys
import threading
from queue import Queue
from types import SimpleNamespace

import pytest

from flask_foreign_token.introspection.background import in_background


def done(work: Queue[threading.Thread]) -> threading.Thread:
    """The thread that did it, after its end."""
    thread = work.get(timeout=10)
    thread.join(10)
    return thread


def test_a_thread_of_its_own_does_the_work_and_keeps_no_process_alive() -> None:
    work: Queue[threading.Thread] = Queue()

    in_background(lambda: work.put(threading.current_thread()))

    thread = done(work)
    assert thread is not threading.current_thread()
    assert thread.daemon


@pytest.mark.parametrize("uwsgi", [SimpleNamespace(has_threads=0), SimpleNamespace()])
def test_nothing_is_begun_in_uwsgi_without_threads(monkeypatch: pytest.MonkeyPatch, uwsgi: SimpleNamespace) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    begun: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", begun.append)

    in_background(lambda: None)

    assert begun == []


def test_the_work_is_done_in_uwsgi_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=1))
    work: Queue[threading.Thread] = Queue()

    in_background(lambda: work.put(threading.current_thread()))

    assert done(work) is not threading.current_thread()


def test_nothing_is_begun_where_no_more_threads_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    work: Queue[threading.Thread] = Queue()

    in_background(lambda: work.put(threading.current_thread()))

    assert work.empty()
