"""What it takes to start: the import, the set-up and the first answer, each time in a fresh interpreter.

The clock is the processor time of that process, so that what it waits for does not count: the provider, which is asked
for its keys, runs in another one. The database has its tables, as when a worker starts that is not the first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from flask_foreign_token.testing import Issuer

from .harness import Report, Sample, in_turns
from .registry import MANY, by_uri
from .starting import BARE, PROTECTED
from .subjects import Body, environ, keycloak_token, token_policy, trust_in, write_registry

GROUP = "Start-up, in a fresh interpreter"
ROUNDS = 7
BOTH = {
    "import": ("`import flask, flask_sqlalchemy`", "`import flask_foreign_token`"),
    "all": ("from the start of Python to the first answer, bare", "the same, protected"),
}
"""Steps of which both apps are told, and how."""
FILLED = f"protected, with {MANY:,} policies"
_ROOT = Path(__file__).parents[1]

Steps = Mapping[str, float]


def measure(report: Report) -> None:
    """The steps of a start, of an app with one policy, and of one with many."""
    with ExitStack() as stack:
        issuer = stack.enter_context(Issuer())
        folders = {name: stack.enter_context(tempfile.TemporaryDirectory()) for name in (BARE, PROTECTED, FILLED)}
        resources = [*trust_in(issuer), token_policy(issuer)]
        write_registry(folders[PROTECTED], resources)
        write_registry(folders[FILLED], [*resources, *(by_uri(number) for number in range(MANY))])
        request = environ(keycloak_token(issuer))
        bytecode = stack.enter_context(tempfile.TemporaryDirectory())

        def start(name: str) -> Steps:
            return started(BARE if name == BARE else PROTECTED, folders[name], request, bytecode)

        for name in folders:
            start(name)
        taken: dict[str, list[Steps]] = {name: [] for name in folders}
        for order in in_turns(folders, ROUNDS):
            for name in order:
                taken[name].append(start(name))
    tell(report, *taken.values())


def tell(report: Report, bare: Sequence[Steps], protected: Sequence[Steps], filled: Sequence[Steps]) -> None:
    """Tell what was measured of each app."""
    for step, (without, with_it) in BOTH.items():
        first, second = sample(bare, step), sample(protected, step)
        report.time(GROUP, without, first, "ms")
        report.time(GROUP, with_it, second, "ms")
        report.ratio(GROUP, f"{with_it}: ratio", second, to=first)
    report.time(GROUP, "`ForeignToken(app)`", sample(protected, "set-up"), "ms")
    report.time(GROUP, "the first answer alone, from the keys to the user", sample(protected, "answer"), "ms")
    name = f"the first answer alone, with {MANY:,} policies in a file"
    report.time(GROUP, name, sample(filled, "answer"), "ms", limit=3000)


def started(kind: str, folder: str, request: Body, bytecode: str) -> Steps:
    """What each step took of one start.

    :param bytecode: the folder for it, lest anybody be compiled anew each time.
    """
    told = {member: value for member, value in request.items() if isinstance(value, str | bool | tuple)}
    command = [sys.executable, "-m", "benchmarks.starting", kind, folder]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command,
        cwd=_ROOT,
        env={**variables, "PYTHONPYCACHEPREFIX": bytecode},
        input=json.dumps(told),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the app does not start:\n{done.stderr}")
    steps: Steps = json.loads(done.stdout)
    return steps


def sample(taken: Iterable[Steps], step: str) -> Sample:
    """What one step took in each round."""
    return Sample(tuple(steps[step] for steps in taken))
