"""What benchmarks tell is what was measured, and a limit that is not kept is noticed."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from benchmarks import CASES
from benchmarks.__main__ import main
from benchmarks.harness import Figure, Report, Sample, in_turns, interleaved, table_row
from benchmarks.results import Circumstances, write

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    return Report()


def figure(value: float, limit: float | None = None, **attributes: object) -> Figure:
    return Figure("group", "name", value, "times", value - 0.1, value + 0.1, limit, **attributes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("measured", "missed"),
    [
        pytest.param(figure(1.21, 1.2), 1, id="more than is allowed"),
        pytest.param(figure(1.2, 1.2), 0, id="as much as is allowed"),
        pytest.param(figure(0.89, 0.9, at_least=True), 1, id="less than is asked for"),
        pytest.param(figure(0.9, 0.9, at_least=True), 0, id="as much as is asked for"),
        pytest.param(figure(99.0), 0, id="held to nothing"),
    ],
)
def test_a_limit_that_is_not_kept_is_counted_and_shown(report: Report, measured: Figure, missed: int) -> None:
    report.add(measured)

    assert report.missed == missed
    assert ("missed" in table_row(measured)) is bool(missed)


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    mine, theirs = Sample((2.0, 30.0, 4.0)), Sample((1.0, 10.0, 4.0))

    assert mine.ratio_to(theirs) == (2.0, 1.5, 2.5)


def test_every_work_is_called_as_often_as_asked_for() -> None:
    calls: Counter[str] = Counter()

    samples = interleaved(
        {name: lambda name=name: calls.update([name]) for name in ("often", "seldom")},  # type: ignore[misc]
        number=10,
        rounds=3,
        numbers={"seldom": 2},
    )

    assert calls == {"often": 40, "seldom": 8}
    assert [len(sample.seconds) for sample in samples.values()] == [3, 3]


def test_calls_that_begin_a_round_are_made_and_not_timed() -> None:
    calls: Counter[str] = Counter()
    now = [0.0]

    def work() -> None:
        now[0] += 1.0
        calls["work"] += 1

    samples = interleaved({"work": work}, number=2, rounds=3, clock=lambda: now[0], warm_up=5)

    assert calls["work"] == 2 + (5 + 2) * 3
    assert samples["work"].seconds == (1.0, 1.0, 1.0)


def test_what_a_call_takes_is_a_part_of_what_its_round_takes() -> None:
    samples = interleaved({"work": lambda: None}, number=4, rounds=2, clock=ticking(8.0))

    assert samples["work"].seconds == (2.0, 2.0)


def test_the_order_of_works_changes_and_is_the_same_in_every_run() -> None:
    orders = [tuple(order) for order in in_turns("abc", 30)]

    assert orders == [tuple(order) for order in in_turns("abc", 30)]
    assert len(set(orders)) == 6


def test_results_hold_every_figure_and_what_could_not_be_measured(report: Report, tmp_path: Path) -> None:
    report.add(figure(1.5, note="a note"))
    report.remark("group", "absent", "not installed")
    report.curve("curve", "A curve", "x", "y", {"one": [(1, 1), (2, 4)]})

    write(tmp_path, report, Circumstances.now())

    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    told = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert "| name | 1.50 times | 1.40 to 1.60 |  | a note |" in text
    assert "| absent | not measured | | | not installed |" in text
    assert "![A curve](curve.svg)" in text
    assert [row["value"] for row in told["figures"]] == [1.5]
    assert [row["name"] for row in told["not_measured"]] == ["absent"]
    assert told["circumstances"]["versions"]["Flask"]


def test_a_case_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["requests", "nothing"])

    assert "no such case: nothing" in capsys.readouterr().err


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_a_module_that_measures(case: str) -> None:
    # Not imported: some need what stands in requirements/bench.txt alone.
    module = ast.parse((BENCHMARKS / f"{case}.py").read_text(encoding="utf-8"))

    assert ast.get_docstring(module)
    assert "measure" in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so many seconds each time it is looked at."""
    ticks = count(0.0, seconds)
    return lambda: next(ticks)
