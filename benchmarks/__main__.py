"""Measures and tells: every case, and what comes of it is written into ``docs/benchmarks``; or those that are named.

::

    python -m benchmarks                    # all of them, in under ten minutes
    python -m benchmarks requests steps     # these; nothing is written

The exit status is 1 where a limit is not kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from . import CASES
from .harness import Report
from .results import Circumstances, write

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what this package costs.")
    parser.add_argument("cases", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(CASES)}; default: all")
    named = parser.parse_args(arguments).cases
    if unknown := set(named).difference(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    circumstances = Circumstances.now()
    report = Report()
    for case in named or CASES:
        import_module(f".{case}", __package__).measure(report)
    if not named:
        from .charts import draw

        write(RESULTS, report, circumstances)
        draw(RESULTS, report.pictures)
    print(f"\n{report.missed or 'No'} limits missed.")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
