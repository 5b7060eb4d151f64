"""What a fleet of a thousand workers costs its provider, and how soon all of them know of a new key.

Run it as ``python -m benchmarks.fleet``, which takes less than a minute on two processors; with ``--write`` the table
goes to ``docs/benchmarks/fleet.md`` as well. The key source and the shared cache are the real ones; simulated are the
clock, the provider, Redis and the traffic, so that nothing depends on the machine: the same seed brings the same.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .fleet_stories import NO_ANSWER, REDIS_LIMIT, STORIES, Outcome, Tell, played
from .fleet_workers import GRACE, KEYS_TTL, PROVIDER_LATENCY, REDIS_LATENCY, SEED

SIZE = 1000

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "fleet.md"

_INTRODUCTION = f"""\
# A fleet of workers

What {{size:,}} workers cost their provider, and how soon all of them know of a new key, each for itself and with the
shared cache. `python -m benchmarks.fleet --write` makes this page: the key source and the cache are those of the
package, while the clock, the provider, Redis and the traffic are simulated, so that the figures depend on no machine.

A worker serves one request at a time, as they come at random (seed {{seed}}), 2 tokens in a second unless the story
takes long, and renews keys in a thread beside. Keys live {KEYS_TTL:.0f} s, and serve for {GRACE:.0f} s more while the
provider is down. The provider takes {PROVIDER_LATENCY * 1000:.0f} ms to answer and Redis {REDIS_LATENCY * 1000:.1f} ms;
a worker gives up the one after {NO_ANSWER:.0f} s and the other after {REDIS_LIMIT:.2f} s.

- *Fetches*: of the key set, by all workers; beside it, those in the second in which there were most.
- *New key known*: from the first token that is signed with it until every worker accepts such tokens. A worker learns
  of it from its first token, and to the last of them that comes after some seconds.
- *Old key gone*: from its withdrawal until no worker accepts tokens signed with it; {KEYS_TTL:.0f} s at most.
- *Refused*: tokens that are signed with a key that the provider publishes, and should have been let in.
- *Longest*: what one of these waited at most, what came before it to the same worker included.
- *Held up*: for how long tokens kept their workers from the next one, all workers together.
- *Commands*: to Redis, by all workers; beside it, those in the second in which there were most.

| | | fetches | in a second | new key known | old key gone | refused | longest | held up | commands | in a second |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def main() -> int:
    """Print the page, and write it where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description="Simulate a fleet of workers.")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(PAGE.parents[2])} as well")
    parser.add_argument("--size", type=int, default=SIZE, help="how many workers")
    parser.add_argument("--seed", type=int, default=SEED, help="of what is random")
    options = parser.parse_args()
    begun, lines = time.perf_counter(), []
    for line in page(options.size, options.seed):
        print(line, end="", flush=True)
        lines.append(line)
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)
    if options.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text("".join(lines), encoding="utf-8")
    return 0


def page(size: int, seed: int) -> Iterator[str]:
    """The page, piece by piece. The stories are independent of each other, and each processor tells some."""
    yield _INTRODUCTION.format(size=size, seed=seed)
    cases = [(tell, is_sharing) for tell in STORIES for is_sharing in (False, True)]
    with ProcessPoolExecutor(os.cpu_count(), initializer=_log_nothing) as pool:
        outcomes = [pool.submit(played, tell, size, is_sharing=is_sharing, seed=seed) for tell, is_sharing in cases]
        for (tell, is_sharing), outcome in zip(cases, outcomes, strict=True):
            yield _row(tell, outcome.result(), is_sharing=is_sharing)


def _log_nothing() -> None:
    """A thousand workers would tell each outage a thousand times."""
    logging.getLogger("flask_foreign_token").setLevel(logging.CRITICAL)


def _row(tell: Tell, outcome: Outcome, *, is_sharing: bool) -> str:
    name = "" if is_sharing else str(tell.__doc__)
    commands = (f"{outcome.commands:,}", f"{outcome.commands_peak:,}") if is_sharing else ("", "")
    cells = (
        name,
        "shared" if is_sharing else "each for itself",
        f"{outcome.fetches:,}",
        f"{outcome.peak:,}",
        _seconds(outcome.known_after),
        _seconds(outcome.gone_after),
        f"{outcome.refused:,} of {outcome.good:,}",
        f"{outcome.longest * 1000:,.0f} ms",
        f"{outcome.waited:,.0f} s",
        *commands,
    )
    return "| " + " | ".join(cells) + " |\n"


def _seconds(duration: float | None) -> str:
    return "" if duration is None else f"{duration:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
