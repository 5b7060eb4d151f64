from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from flask_foreign_token.errors import REST, ProviderUnavailable
from flask_foreign_token.introspection import remote_document
from flask_foreign_token.introspection.background import Begin, in_background
from flask_foreign_token.introspection.kept_document import Fetched
from flask_foreign_token.introspection.remote_document import (
    REFRESH_AHEAD,
    REFRESH_SPREAD,
    RemoteDocument,
    Resting,
)
from flask_foreign_token.introspection.shared_document import SharedDocument
from flask_foreign_token.introspection.token_bucket import TokenBucket
from flask_foreign_token.shared_cache import ALONE

from .concurrency import Background, Clock, at_once
from .provider import GRACE, TTL
from .signing import NOW

AHEAD = REFRESH_AHEAD * TTL


class Source:
    """Hands out 1, 2, 3 and so on, until it is told otherwise."""

    def __init__(self) -> None:
        self.fetches = 0
        self.headers: dict[str, str] = {}
        self.error: Exception | None = None
        self.before: list[int | None] = []
        self.asked = threading.Semaphore(0)
        """Released once for each fetch that begins."""
        self.open = threading.Event()
        """Cleared: fetches wait."""
        self.open.set()

    def fetch(self, before: int | None) -> Fetched[int]:
        self.fetches += 1
        self.before.append(before)
        self.asked.release()
        self.open.wait(10)
        if self.error is not None:
            raise self.error
        return Fetched(self.fetches, self.headers)

    def go_down(self) -> None:
        self.error = ProviderUnavailable(hint="down")


def unread(value: object, before: int | None) -> int:
    raise AssertionError("nothing is shared")


@pytest.fixture
def source() -> Source:
    return Source()


Make = Callable[..., RemoteDocument[int]]


@pytest.fixture
def make(source: Source, clock: Clock, background: Background) -> Make:
    background.threads_run = True

    def make(
        begin: Begin = background,
        jitter: float = 0.0,
        on_change: Callable[[int | None, int], None] = lambda previous, current: None,
    ) -> RemoteDocument[int]:
        return RemoteDocument(
            "the document",
            source.fetch,
            shared=SharedDocument(ALONE, "keys", name=str, read=unread, ttl=TTL, grace=GRACE),
            on_change=on_change,
            ttl=TTL,
            grace=GRACE,
            clock=clock,
            begin=begin,
            jitter=lambda: jitter,
        )

    return make


@pytest.fixture
def document(make: Make) -> RemoteDocument[int]:
    return make()


def test_making_one_asks_nobody_and_begins_nothing(
    source: Source, document: RemoteDocument[int], background: Background
) -> None:
    assert (source.fetches, background.asked) == (0, 0)
    assert document.known is None
    assert document.state.fetched_at is None


def test_64_threads_fetch_what_is_not_there_once(source: Source, document: RemoteDocument[int]) -> None:
    source.open.clear()
    threading.Thread(target=lambda: source.asked.acquire() and source.open.set()).start()

    assert at_once(64, lambda _number: document.current()) == [1] * 64
    assert source.fetches == 1


def test_how_things_stand_is_shown(source: Source, document: RemoteDocument[int], clock: Clock) -> None:
    document.current()
    source.go_down()
    clock.pass_(TTL)
    document.current()

    state = document.state

    assert state.document == 1
    assert (state.fetched_at, state.refresh_at, state.expires_at) == (NOW, NOW + AHEAD, NOW + TTL)
    assert state.last_error == "down"
    assert not state.pending


def test_an_answer_may_shorten_the_life(source: Source, document: RemoteDocument[int], clock: Clock) -> None:
    source.headers = {"cache-control": "max-age=100"}
    document.current()

    assert document.state.expires_at == NOW + 100
    assert document.state.refresh_at == NOW + REFRESH_AHEAD * 100
    clock.pass_(100)
    assert document.current() == 2


def test_an_answer_does_not_prolong_the_life(source: Source, document: RemoteDocument[int]) -> None:
    source.headers = {"cache-control": "max-age=86400"}
    document.current()

    assert document.state.expires_at == NOW + TTL


def test_nothing_is_begun_early_in_the_life(
    document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    clock.pass_(AHEAD - 1)

    assert document.current() == 1
    assert background.asked == 0


def test_the_first_who_asks_late_in_the_life_begins_a_renewal_and_everybody_goes_on(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    clock.pass_(AHEAD)

    assert [document.current() for _ in range(10)] == [1] * 10
    assert (background.asked, source.fetches) == (1, 1)

    background.run()
    assert document.current() == 2
    assert document.state.fetched_at == NOW + AHEAD
    assert source.fetches == 2


def test_64_threads_begin_one_renewal(document: RemoteDocument[int], background: Background, clock: Clock) -> None:
    document.current()
    clock.pass_(AHEAD)

    assert at_once(64, lambda _number: [document.current() for _ in range(20)]) == [[1] * 20] * 64
    assert background.asked == 1


def test_64_threads_are_renewed_by_a_thread_that_none_of_them_waits_for(
    source: Source, make: Make, clock: Clock
) -> None:
    begun: list[Callable[[], None]] = []
    finished = threading.Event()

    def begin(work: Callable[[], None]) -> None:
        def work_to_the_end() -> None:
            work()
            finished.set()

        begun.append(work)
        in_background(work_to_the_end)

    document = make(begin)
    document.current()
    source.asked.acquire()
    clock.pass_(AHEAD)
    source.open.clear()

    found = at_once(64, lambda _number: document.current())
    source.asked.acquire()
    pending = document.state.pending
    source.open.set()

    assert finished.wait(10)
    assert (found, len(begun), pending) == ([1] * 64, 1, True)
    assert document.current() == 2
    assert source.fetches == 2


@pytest.mark.parametrize(("jitter", "part"), [(0.0, REFRESH_AHEAD), (1.0, REFRESH_AHEAD + REFRESH_SPREAD)])
def test_processes_spread_their_renewals(
    make: Make, background: Background, clock: Clock, jitter: float, part: float
) -> None:
    document = make(jitter=jitter)
    document.current()

    clock.pass_(part * TTL - 1)
    document.current()
    assert background.asked == 0

    clock.pass_(1)
    document.current()
    assert background.asked == 1


def test_a_renewal_always_begins_before_the_life_is_over() -> None:
    assert REFRESH_AHEAD + REFRESH_SPREAD < 1


def test_without_threads_who_asks_after_the_life_renews(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    background.threads_run = False
    document.current()
    clock.pass_(TTL - 1)

    assert [document.current() for _ in range(10)] == [1] * 10
    assert background.asked == 1

    clock.pass_(1)
    assert document.current() == 2
    assert source.fetches == 2


def test_so_it_is_in_uwsgi_without_threads(
    source: Source, make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=0))
    document = make(in_background)
    document.current()
    clock.pass_(TTL - 1)
    assert document.current() == 1

    clock.pass_(1)

    assert document.current() == 2
    assert source.fetches == 2


def test_who_asks_first_after_the_life_renews_although_nobody_asked_before(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    clock.pass_(TTL)

    assert document.current() == 2
    assert (background.asked, source.fetches) == (0, 2)


def test_a_renewal_that_was_begun_and_never_runs_blocks_none(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    clock.pass_(AHEAD)
    document.current()
    clock.pass_(TTL)

    assert document.current() == 2
    clock.pass_(AHEAD)
    assert document.current() == 2
    assert background.asked == 2

    background.run()
    assert document.current() == 3
    assert source.fetches == 3


def test_a_renewal_that_runs_late_fetches_nothing(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    clock.pass_(AHEAD)
    document.current()
    clock.pass_(TTL)
    document.current()

    background.run()

    assert source.fetches == 2


def test_a_renewal_in_the_background_waits_for_the_fetch_under_way(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    source.asked.acquire()
    clock.pass_(AHEAD)
    document.current()
    source.open.clear()
    with ThreadPoolExecutor(2) as pool:
        fetching = pool.submit(
            document.fetched_after, document.begun, unless=lambda _document: False, bucket=TokenBucket(1, 1)
        )
        source.asked.acquire()
        renewing = pool.submit(background.run)
        source.open.set()

    assert (fetching.result(), renewing.result()) == (2, None)
    assert source.fetches == 2


def test_others_go_on_after_the_life_while_the_background_renews(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    source.asked.acquire()
    clock.pass_(AHEAD)
    document.current()
    source.open.clear()
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(background.run)
        source.asked.acquire()
        clock.pass_(TTL)

        found = document.current()

        source.open.set()
    renewing.result()
    assert found == 1
    assert source.fetches == 2


def test_a_renewal_that_fails_rests_and_is_begun_anew_by_who_asks_after_the_rest(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    clock.pass_(AHEAD)
    source.go_down()
    document.current()
    background.run()
    assert document.state.last_error == "down"

    clock.pass_(REST - 1)
    assert document.current() == 1
    assert background.asked == 1

    clock.pass_(1)
    source.error = None
    assert document.current() == 1
    assert background.asked == 2
    background.run()
    assert document.current() == 3
    assert document.state.last_error is None


def test_what_is_over_is_renewed_by_the_first_who_asks_after_the_rest_however_many_asked_in_it(
    source: Source, document: RemoteDocument[int], clock: Clock
) -> None:
    document.current()
    clock.pass_(TTL)
    source.go_down()
    assert document.current() == 1
    source.error = None
    clock.pass_(REST - 0.5)
    assert document.current() == 1

    clock.pass_(0.5)

    assert document.current() == 3


def test_a_renewal_begun_before_another_fetch_failed_rests_as_well(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    clock.pass_(AHEAD)
    document.current()
    source.go_down()
    with pytest.raises(ProviderUnavailable):
        document.fetched_after(document.begun, unless=lambda _document: False, bucket=TokenBucket(1, 1))

    background.run()

    assert source.fetches == 2


def test_what_fails_in_an_unforeseen_way_blocks_no_renewal(
    source: Source, document: RemoteDocument[int], background: Background, clock: Clock
) -> None:
    document.current()
    clock.pass_(AHEAD)
    document.current()
    source.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        background.run()
    source.error = None
    assert not document.state.pending

    clock.pass_(TTL)

    assert document.current() == 3


def test_a_clock_that_is_set_back_prolongs_no_rest(source: Source, document: RemoteDocument[int], clock: Clock) -> None:
    source.go_down()
    with pytest.raises(ProviderUnavailable):
        document.current()
    source.error = None
    clock.pass_(-3600)

    assert document.current() == 2


def test_what_rests_below_a_document_does_not_make_it_rest_anew(
    source: Source, document: RemoteDocument[int], clock: Clock
) -> None:
    """Who was told to come back after five seconds must not be turned away for five more."""
    source.error = Resting(None, hint="down", at=NOW - 3)
    with pytest.raises(ProviderUnavailable):
        document.current()
    source.error = None

    clock.pass_(REST - 3)

    assert document.current() == 2


def test_a_fetch_gets_the_document_before_it_and_its_owner_is_told_of_both(source: Source, make: Make) -> None:
    told: list[tuple[int | None, int]] = []
    document = make(on_change=lambda previous, current: told.append((previous, current)))
    document.current()

    document.fetched_after(document.begun, unless=lambda _document: False, bucket=TokenBucket(1, 1))

    assert source.before == [None, 1]
    assert told == [(None, 1), (1, 2)]


def test_a_later_document_is_not_fetched_where_that_of_another_will_do(
    source: Source, document: RemoteDocument[int]
) -> None:
    begun = document.begun
    document.current()

    assert document.fetched_after(begun, unless=lambda _document: False, bucket=TokenBucket(1, 1)) == 1
    assert document.fetched_after(document.begun, unless=lambda found: found == 1, bucket=TokenBucket(1, 1)) == 1
    assert source.fetches == 1


def test_who_needs_a_later_document_does_not_wait_for_ever(
    source: Source, document: RemoteDocument[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_document, "PATIENCE", 0.05)
    source.open.clear()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(document.current)
        source.asked.acquire()

        with pytest.raises(ProviderUnavailable) as impatient:
            document.fetched_after(0, unless=lambda _document: False, bucket=TokenBucket(1, 1))

        source.open.set()
    assert impatient.value.hint == "the document: a fetch is under way and takes long"
    assert fetching.result() == 1


@pytest.mark.parametrize("back", [1, AHEAD, 86_400])
def test_a_clock_that_is_set_back_ends_the_life_rather_than_prolonging_it(
    source: Source, document: RemoteDocument[int], clock: Clock, back: float
) -> None:
    document.current()
    clock.pass_(-back)

    assert document.current() == document.current() == 2
    assert document.state.expires_at == NOW - back + TTL
    assert source.fetches == 2


def test_a_document_from_before_the_clock_was_set_back_serves_while_there_is_no_other(
    source: Source, document: RemoteDocument[int], clock: Clock
) -> None:
    document.current()
    source.go_down()
    clock.pass_(-86_400)
    assert document.current() == document.current() == 1
    assert source.fetches == 2

    source.error = None
    clock.pass_(REST)
    assert document.current() == 3


def test_it_serves_no_longer_for_that_than_the_grace(
    source: Source, document: RemoteDocument[int], clock: Clock
) -> None:
    document.current()
    source.go_down()
    clock.pass_(-86_400)
    document.current()

    clock.pass_(GRACE)

    with pytest.raises(ProviderUnavailable):
        document.current()


def test_when_a_document_serves_no_more_is_told(document: RemoteDocument[int], clock: Clock) -> None:
    assert document.serves_until < clock()

    document.current()
    assert document.serves_until == NOW + TTL + GRACE
