"""How things are measured beside each other, and how what was measured is told and held to its limits.

What is compared runs in turns, in one process and one thread: a round of each, again and again, and each time in
another order. Of each pair of rounds the ratio counts, so that a machine that is slow for a while is slow for all; what
is told is the median of these ratios, with their quartiles as the spread. The clock is the processor time of the
thread, which stands still while others have the processor; garbage is collected between rounds, not within. A round can
begin with calls that are not timed, since a server does one thing all the time, and does not come to it from another
app that has just pushed all its code and data out of the processor's caches.

::

    samples = interleaved({"bare": bare, "this package": protected}, number=20, rounds=200)
    report.ratio("per request", "this package", samples["this package"], to=samples["bare"], limit=1.20)
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import NamedTuple

WARM_UP = 5
"""Calls that begin a round of requests."""

Work = Callable[[], object]
Clock = Callable[[], float]
Points = Sequence[tuple[float, float]]


class Spread(NamedTuple):
    """The middle of what was measured, and its quartiles."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The median and the quartiles of `values`; of a single one, itself."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratios(values: Sequence[float], others: Sequence[float]) -> Spread:
    """How many times the other, round by round."""
    return spread([value / other for value, other in zip(values, others, strict=True)])


@dataclass(frozen=True)
class Sample:
    """What one work took.

    :param seconds: for one call, in each round.
    """

    seconds: tuple[float, ...]

    @property
    def typical(self) -> Spread:
        """Seconds of one call."""
        return spread(self.seconds)

    def ratio_to(self, other: Sample) -> Spread:
        """How many times what `other` took in the same round."""
        return ratios(self.seconds, other.seconds)


def interleaved(
    works: Mapping[str, Work],
    *,
    number: int,
    rounds: int,
    clock: Clock = time.thread_time,
    numbers: Mapping[str, int] | None = None,
    warm_up: int = 0,
) -> Mapping[str, Sample]:
    """What each of `works` takes, all of them in turns.

    :param works: by name. Each is called `number` times before the first round as well.
    :param number: calls in a round; enough for about a millisecond.
    :param rounds: of each work.
    :param clock: in seconds; another one where the work is not that of one thread: ``time.perf_counter``.
    :param numbers: for works that are so slow, or use up so much, that they are called less often in a round.
    :param warm_up: calls that begin each round, untimed.
    """
    calls = {name: (numbers or {}).get(name, number) for name in works}
    taken: dict[str, list[float]] = {name: [] for name in works}
    for name, work in works.items():
        seconds_of(work, calls[name], clock)
    # What is there already need not be looked through between rounds.
    gc.freeze()
    for order in in_turns(works, rounds):
        gc.collect()
        for name in order:
            for _ in range(warm_up):
                works[name]()
            taken[name].append(seconds_of(works[name], calls[name], clock))
    gc.unfreeze()
    return {name: Sample(tuple(seconds)) for name, seconds in taken.items()}


def in_turns(names: Iterable[str], rounds: int) -> Iterator[list[str]]:
    """The order of each round: each time another one, so that nobody always comes after the same; but in every run the
    same ones."""
    order = list(names)
    shuffle = random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        yield order.copy()


def seconds_of(work: Work, number: int = 1, clock: Clock = time.thread_time) -> float:
    """Seconds of one call of `work`, the mean of `number` calls; no garbage is collected meanwhile."""
    with _no_collector():
        begun = clock()
        for _ in repeat(None, number):
            work()
        return (clock() - begun) / number


@contextmanager
def _no_collector() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True)
class Figure:
    """One thing that was measured.

    :param group: the table in which it stands.
    :param name: what was measured, the row of that table.
    :param value: the median.
    :param unit: ``times``, ``µs``, ``ms``, ``s``, ``B``, ``1/s``; empty for a mere number.
    :param low: the lower quartile; `value` itself where it was measured once.
    :param high: the upper quartile.
    :param limit: what `value` must keep to; none: it is told, and held to nothing.
    :param at_least: whether the limit is the least, rather than the most, that is good.
    :param note: what a reader must know to read it rightly, in Markdown.
    """

    group: str
    name: str
    value: float
    unit: str
    low: float
    high: float
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def is_missed(self) -> bool:
        """Whether the limit is not kept."""
        if self.limit is None:
            return False
        return self.value < self.limit if self.at_least else self.value > self.limit


@dataclass(frozen=True)
class Remark:
    """What is said in a table in place of a figure: that something could not be measured, and why."""

    group: str
    name: str
    note: str


@dataclass(frozen=True)
class Curve:
    """How something grows: a picture of a line for each series, drawn by :mod:`.charts`."""

    group: str
    name: str
    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Points]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Bars:
    """Figures beside each other: a picture of a bar for each."""

    group: str
    name: str
    title: str
    x_label: str
    figures: Sequence[Figure]


@dataclass
class Report:
    """Everything that was measured. Each figure is printed as it comes, as the row of a table in Markdown."""

    rows: list[Figure | Remark] = field(default_factory=list)
    pictures: list[Curve | Bars] = field(default_factory=list)
    missed: int = 0
    """How many figures do not keep to their limit."""

    def add(self, figure: Figure) -> None:
        """Tell `figure`."""
        self.missed += figure.is_missed
        self._tell(figure)

    def ratio(
        self,
        group: str,
        name: str,
        sample: Sample,
        *,
        to: Sample,
        limit: float | None = None,
        note: str = "",
    ) -> Figure:
        """Tell how many times what `to` took `sample` took, in the same rounds."""
        median, low, high = sample.ratio_to(to)
        figure = Figure(group, name, median, "times", low, high, limit, note=note)
        self.add(figure)
        return figure

    def time(
        self,
        group: str,
        name: str,
        sample: Sample,
        unit: str = "µs",
        *,
        limit: float | None = None,
        note: str = "",
    ) -> Figure:
        """Tell what a call of `sample` took, in `unit`: ``µs``, ``ms`` or ``s``."""
        scale = {"µs": 1e6, "ms": 1e3, "s": 1.0}[unit]
        median, low, high = (value * scale for value in sample.typical)
        figure = Figure(group, name, median, unit, low, high, limit, note=note)
        self.add(figure)
        return figure

    def remark(self, group: str, name: str, note: str) -> None:
        """Tell that `name` could not be measured, and why."""
        self._tell(Remark(group, name, note))

    def curve(
        self,
        name: str,
        title: str,
        x_label: str,
        y_label: str,
        series: Mapping[str, Points],
        *,
        log_x: bool = False,
        log_y: bool = False,
    ) -> None:
        """Have a curve drawn for each of `series`, to be shown below the table that was added to last.

        :param name: of its file, without the ending.
        """
        self.pictures.append(Curve(self._group, name, title, x_label, y_label, series, log_x, log_y))

    def bars(self, name: str, title: str, x_label: str, figures: Sequence[Figure]) -> None:
        """Have a bar drawn for each of `figures`, to be shown below the table that was added to last.

        :param name: of its file, without the ending.
        """
        self.pictures.append(Bars(self._group, name, title, x_label, figures))

    @property
    def _group(self) -> str:
        return self.rows[-1].group

    def _tell(self, row: Figure | Remark) -> None:
        if not self.rows or self.rows[-1].group != row.group:
            print("\n" + table_head(row.group), flush=True)
        self.rows.append(row)
        print(table_row(row), flush=True)


def table_head(group: str) -> str:
    """The heading of a group, and the first two lines of its table."""
    return f"## {group}\n\n| | median | quartiles | limit | |\n| --- | ---: | ---: | ---: | --- |"


def table_row(row: Figure | Remark) -> str:
    """The line of a table for one figure, in Markdown."""
    if isinstance(row, Remark):
        return f"| {row.name} | not measured | | | {row.note} |"
    span = "" if row.low == row.high else f"{_digits(row.low)} to {_digits(row.high)}"
    value = f"{_digits(row.value)} {row.unit}".rstrip()
    return f"| {row.name} | {value} | {span} | {_limit(row)} | {row.note} |"


def _limit(figure: Figure) -> str:
    if figure.limit is None:
        return ""
    kind = "at least" if figure.at_least else "at most"
    return f"{kind} {figure.limit:g}" + (", **missed**" if figure.is_missed else "")


def _digits(value: float) -> str:
    """Three digits that say something, and no more."""
    if value == 0:
        return "0"
    size = abs(value)
    places = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 4
    return f"{value:,.{places}f}"
