"""The numbers that are kept, their descriptions, and counters that lose nothing."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest

from flask_foreign_token.counting import MAX_SERIES, Counter, Histogram, Metrics, Told
from flask_foreign_token.errors import AccessDenied, InvalidToken, ProviderUnavailable, Refusal
from flask_foreign_token.metrics import METRICS, Distribution, Labels, Metric

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
THREADS, TIMES = 8, 5000


@pytest.fixture
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Ledger:
    """A mirror that writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Labels, float]] = []
        self.looks = 0

    def told(self, metric: Metric, labels: Labels) -> Told:
        return lambda value: self.said.append((metric.name, labels, value))

    def looked(self) -> None:
        self.looks += 1


def counted(metrics: Metrics) -> dict[tuple[str, Labels], float | Distribution]:
    return {(sample.metric.name, sample.labels): sample.value for sample in metrics.samples()}


# ---- counters


def test_a_counter_says_how_often_it_ticked_however_often_it_is_read() -> None:
    counter = Counter()

    seen = [counter.value()]
    for _ in range(3):
        counter.tick()
        seen += [counter.value(), counter.value()]

    assert seen == [0, 1, 1, 2, 2, 3, 3]


@pytest.mark.usefixtures("_switching_often")
def test_ticks_of_many_threads_are_counted_to_the_last_while_it_is_read() -> None:
    counter, together = Counter(), Barrier(THREADS)
    seen: list[int] = []

    def tick(number: int) -> None:
        together.wait()
        for _ in range(TIMES):
            counter.tick()
            if number == 0:
                seen.append(counter.value())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(tick, range(THREADS)))

    assert counter.value() == THREADS * TIMES
    assert seen == sorted(seen)


@pytest.mark.usefixtures("_switching_often")
def test_series_that_many_threads_begin_at_once_lose_nothing() -> None:
    metrics, together = Metrics(), Barrier(THREADS)

    def count(number: int) -> None:
        together.wait()
        for index in range(200):
            metrics.remembered(f"introspector-{index}").tick()
            metrics.refuse(InvalidToken())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(count, range(THREADS)))

    found = counted(metrics)
    assert {found["tokens_total", ("remembered", f"introspector-{index}")] for index in range(200)} == {THREADS}
    assert found["decisions_total", ("refused", "invalid_token", "401")] == THREADS * 200


# ---- histograms


def test_a_bucket_holds_its_bound_and_all_that_is_below() -> None:
    histogram = Histogram((0.1, 1.0))

    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(value)

    assert histogram.value() == Distribution(total=5, sum=pytest.approx(8.65), buckets=(2, 4, 5))


# ---- what is counted


def test_a_refusal_is_counted_as_the_one_of_ours_that_it_is() -> None:
    class Blocked(AccessDenied):
        error = "blocked-for-ann@example.org"
        code = 451

    class Own(Refusal):
        error = "own"

    metrics = Metrics()
    for refusal in (AccessDenied(), Blocked(), ProviderUnavailable(), Own()):
        metrics.refuse(refusal)

    assert counted(metrics) == {
        ("decisions_total", ("allowed", "none", "none")): 0,
        ("decisions_total", ("refused", "access_denied", "403")): 2,
        ("decisions_total", ("refused", "temporarily_unavailable", "503")): 1,
        ("decisions_total", ("refused", "other", "other")): 1,
    }


@pytest.mark.parametrize(
    ("error", "result"),
    [(InvalidToken(), "refused"), (ProviderUnavailable(), "unavailable"), (ZeroDivisionError(), "unavailable")],
    ids=["refused", "unavailable", "another error"],
)
def test_a_token_that_is_not_taken_is_counted_by_why(error: Exception, result: str) -> None:
    metrics = Metrics()

    metrics.met("i", time.perf_counter(), error)

    found = counted(metrics)
    assert found["tokens_total", (result, "i")] == 1
    assert found["token_seconds", (result,)].total == 1


def test_of_one_number_there_is_a_limited_number_of_series() -> None:
    metrics = Metrics()

    for index in range(MAX_SERIES + 5):
        metrics.remembered(f"introspector-{index}").tick()

    found = {labels: value for (name, labels), value in counted(metrics).items() if name == "tokens_total"}
    assert len(found) == MAX_SERIES + 1
    assert found["other", "other"] == 5


# ---- mirrors


class Failing(Ledger):
    """A mirror that raises, with a text that is nobody's business, where `fails` says so."""

    def __init__(self, fails: str) -> None:
        super().__init__()
        self.fails = fails

    def told(self, metric: Metric, labels: Labels) -> Told:
        self.fail("told")
        write_down = super().told(metric, labels)

        def tell(value: float) -> None:
            self.fail("tell")
            write_down(value)

        return tell

    def looked(self) -> None:
        self.fail("looked")
        super().looked()

    def fail(self, where: str) -> None:
        if where == self.fails:
            raise OSError("No space left on /telling/path")


def test_a_mirror_is_told_of_everything_that_comes_whenever_it_was_added() -> None:
    early, late = Ledger(), Ledger()
    metrics = Metrics([early])

    metrics.allow()
    metrics.look("changed", 0.5)
    metrics.mirror(late)
    metrics.allow()
    metrics.look("changed", 0.25)
    metrics.user("created")

    after = [
        ("decisions_total", ("allowed", "none", "none"), 1),
        ("registry_look_seconds", ("changed",), 0.25),
        ("users_total", ("created",), 1),
    ]
    assert late.said == after
    assert early.said == [
        ("decisions_total", ("allowed", "none", "none"), 1),
        ("registry_look_seconds", ("changed",), 0.5),
        *after,
    ]
    assert (early.looks, late.looks) == (2, 1)
    assert counted(metrics)["decisions_total", ("allowed", "none", "none")] == 2


def test_a_mirror_that_is_added_twice_is_told_once() -> None:
    ledger = Ledger()
    metrics = Metrics([ledger])

    metrics.mirror(ledger)
    metrics.mirror(ledger)
    metrics.allow()
    metrics.look("changed", 0.5)

    assert [value for _, _, value in ledger.said] == [1, 0.5]
    assert ledger.looks == 1


def test_a_series_that_begins_while_a_mirror_is_added_is_told_to_it_once() -> None:
    begins, has_begun = Event(), Event()

    class Slow(Ledger):
        """Is asked about a series, and lets another one begin meanwhile."""

        def told(self, metric: Metric, labels: Labels) -> Told:
            begins.set()
            assert has_begun.wait(10)
            return super().told(metric, labels)

    mirrors: list[Ledger] = []
    metrics, slow = Metrics(mirrors), Slow()

    def begin() -> None:
        assert begins.wait(10)
        has_begun.set()
        metrics.user("created")

    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(begin)
        mirrors.append(slow)
        metrics.mirror(slow)
        begun.result(10)
    slow.said.clear()
    metrics.user("created")

    assert slow.said == [("users_total", ("created",), 1)]


@pytest.mark.usefixtures("_switching_often")
def test_series_that_many_threads_begin_while_others_add_a_mirror_are_told_to_it_once() -> None:
    mirrors: list[Ledger] = []
    metrics, ledger, together = Metrics(mirrors), Ledger(), Barrier(THREADS)
    events = [f"{number} {index}" for number in range(THREADS) for index in range(20)]

    def work(number: int) -> None:
        together.wait()
        for event in events[number::THREADS]:
            metrics.user(event)
            if number < 2:
                mirrors.append(ledger)
                metrics.mirror(ledger)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    ledger.said.clear()
    for event in events:
        metrics.user(event)

    assert ledger.said == [("users_total", (event,), 1) for event in events]


@pytest.mark.parametrize("fails", ["told", "tell", "looked"])
def test_a_mirror_that_raises_is_dropped_and_said_once_and_disturbs_nobody(
    fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing, ledger = Failing(fails), Ledger()
    metrics = Metrics()
    metrics.mirror(failing)
    metrics.mirror(ledger)

    for _ in range(3):
        metrics.allow()
        metrics.user("created")
        metrics.look("changed", 0.5)
    failing.fails = ""
    failing.said.clear()
    metrics.allow()
    metrics.look("changed", 0.5)

    (record,) = caplog.records
    assert (record.levelname, record.name) == ("ERROR", "flask_foreign_token.counting")
    assert record.getMessage() == f"{__name__} gets the numbers of this process no more, since it raised OSError"
    assert (failing.said, failing.looks) == ([], 0)
    assert (len(ledger.said), ledger.looks) == (11, 4)
    assert counted(metrics)["decisions_total", ("allowed", "none", "none")] == 4
    assert counted(metrics)["registry_look_seconds", ("changed",)].total == 4


def test_mirrors_that_raise_one_after_the_other_are_all_dropped(caplog: pytest.LogCaptureFixture) -> None:
    failing = [Failing("told"), Failing("told"), Failing("tell")]
    metrics = Metrics(failing)

    metrics.allow()
    for each in failing:
        each.fails = ""
    metrics.allow()
    metrics.user("created")

    assert [each.said for each in failing] == [[], [], []]
    assert len(caplog.records) == 3


@pytest.mark.usefixtures("_switching_often")
def test_a_mirror_that_raises_in_many_threads_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics, together = Metrics([Failing("tell")]), Barrier(THREADS)

    def allow(number: int) -> None:
        together.wait()
        metrics.allow()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(allow, range(THREADS)))

    assert len(caplog.records) == 1
    assert counted(metrics)["decisions_total", ("allowed", "none", "none")] == THREADS


# ---- descriptions


def test_the_page_describes_every_number_as_the_code_does() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| (.*) \| (.*) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert rows == [
        (
            metric.name,
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.unit,
            metric.help,
        )
        for metric in METRICS
    ]


def test_names_are_as_prometheus_wants_them() -> None:
    names = [metric.name for metric in METRICS]

    assert len(set(names)) == len(names)
    assert {name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)} == set()
    assert {metric.name for metric in METRICS if metric.name.endswith("_total")} == {
        metric.name for metric in METRICS if metric.kind == "counter"
    }
    assert {metric.name for metric in METRICS if metric.name.endswith("_seconds")} == {
        metric.name for metric in METRICS if metric.unit.startswith("seconds")
    }
