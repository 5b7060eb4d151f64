"""``policy test``: what policies say of the requests in a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from flask.cli import AppGroup, with_appcontext

from ..documents import read_yaml
from ..errors import Issue, Rejected
from ..faults import Faults
from ..policies.decisions import Policies
from ..policies.engines import Engines
from ..policies.explain import Explanation, explain, place_of, shown_mismatch
from ..policies.policy import CompiledPolicy, compile_policy
from ..policies.redaction import Redaction
from ..policies.simulated import simulated
from ..printable import shown
from ..registry.resources import Resource, load, version_of
from .current import application, catalog
from .failures import Failure
from .output import in_json, json_option, print_json, print_lines
from .policy_table import Row, Table, read_table
from .reading import Documents, content

_POLICY = "AccessPolicy"
_NO_SECRETS = Redaction()
_NEAREST = 5
# Policies that are shown with a row that none allows.

policy = AppGroup("policy", help="Try policies before somebody relies on them.")


@dataclass(frozen=True, slots=True)
class _Tried:
    """One row, and what policies say of it."""

    file: str
    row: Row
    explanation: Explanation

    @property
    def wrong(self) -> str | None:
        """What is not as expected; none: all is."""
        decision, row = self.explanation.decision, self.row
        if decision.allowed is not row.allowed:
            return f"is allowed by {decision.policy}" if decision.allowed else "is not allowed"
        if row.policy is not None and row.policy not in self.allowing:
            return f"is allowed by {decision.policy}, and not by {row.policy}"
        return None

    @property
    def allowing(self) -> set[str]:
        """The policies that allow it, also those after the first one."""
        return {report.id for report in self.explanation.reports if report.candidate and report.allowed}


@policy.command("test", short_help="Compare what policies say with what a table expects.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--coverage", is_flag=True, help="Fail also when a policy allows no request of any table.")
@json_option
@with_appcontext
def test(files: tuple[str, ...], coverage: bool, as_json: bool) -> None:
    """Compare what policies say of requests with what is expected of them.

    Each FILE is a table in YAML or JSON: under "tests" requests as policies see them, with "allowed" true or false, and
    if it matters with the "policy" that must allow it; with "named", only policies of these ids are tried, as under
    @require_policy. Under "policies" stand resources, or files with such beside the table; without it, the stored ones
    are meant. Nothing is stored, and no view is run.

    Status 1 when a decision is another one.

    \b
    Example:
        flask foreign-token policy test --coverage policies/*.test.yaml
    """
    tried: list[_Tried] = []
    unused: list[str] = []
    faults = Faults()
    for file in files:
        with faults.gathered():
            of_file, of_no_row = _try(file)
            tried += of_file
            unused += of_no_row if coverage else ()
    if faults.issues:
        raise Failure("nothing was tried.", *map(str, faults.issues))
    if as_json:
        print_json({"tests": [_shown(one) for one in tried], **({"unused": unused} if coverage else {})})
    else:
        print_lines(list(_report(tried, unused)))
    if unused or any(one.wrong for one in tried):
        raise click.exceptions.Exit(1)


def _try(file: str) -> tuple[list[_Tried], list[str]]:
    """What becomes of each row of a table, and the policies that allow none.

    :raises Rejected: the table, or a policy that it is about, cannot be used.
    """
    try:
        table = read_table(read_yaml(content(file)))
    except ValueError as reason:
        raise Rejected([Issue(file, "", str(reason))]) from None
    except Rejected as rejected:
        raise rejected.within(file) from None
    bodies = _bodies(file, table)
    _refuse_unknown_names(file, table, bodies)
    engines = application().runtime().engines
    policies = Policies(_compiled(file, bodies, engines))
    tried = [
        _Tried(file, row, explain(policies, bodies, engines, simulated(row.request), row.named)) for row in table.rows
    ]
    allowing = {id_ for one in tried for id_ in one.allowing}
    return tried, [f"{file}: no test is allowed by {_POLICY}/{id_}" for id_ in bodies if id_ not in allowing]


def _refuse_unknown_names(file: str, table: Table, known: Collection[str]) -> None:
    """:raises Rejected: a row names a policy that the table is not about; a refusal would be expected in vain."""
    faults = Faults()
    for index, row in enumerate(table.rows):
        for name in {*row.named, row.policy} - {None, *known}:
            reason = "is none of the policies that this table is about; those in Python are not tried here"
            faults.add(file, f"tests.{index}", f"{shown(name)} {reason}")
    faults.raise_any()


def _bodies(file: str, table: Table) -> dict[str, Mapping[str, object]]:
    """The policies that a table is about, by id.

    :raises Rejected: one of them is none, or stands twice.
    """
    if table.policies is None:
        return {stored.key[1]: stored.body for stored in catalog().list(_POLICY)}
    beside = Path(file).parent
    documents = Documents([str(beside / item) for item in table.policies if isinstance(item, str)])
    for index, item in enumerate(table.policies):
        if not isinstance(item, str):
            documents.add(file, f"policies.{index}", item)
    return {id_: body for (type_, id_), body in documents.bodies.items() if type_ == _POLICY}


def _compiled(file: str, bodies: Mapping[str, Mapping[str, object]], engines: Engines) -> Iterator[CompiledPolicy]:
    """The active ones, ready to decide.

    :raises Rejected: one cannot be used; names every fault of it.
    """
    for id_, body in bodies.items():
        version = version_of(body)
        try:
            active = load(Resource(_POLICY, id_, version, body)).active
            compiled = compile_policy(id_, version, body, engines)
        except Rejected as rejected:
            raise rejected.within(f"{file} {_POLICY}/{id_}") from None
        if active:
            yield compiled


def _report(tried: Sequence[_Tried], unused: Sequence[str]) -> Iterator[str]:
    wrong = [one for one in tried if one.wrong]
    for one in wrong:
        yield f"failed  {one.file}: {one.row.name}: {one.wrong}"
        if not one.explanation.decision.allowed:
            yield from _reasons(one)
    yield from unused
    yield f"{len(tried) - len(wrong)} passed, {len(wrong)} failed"


def _reasons(tried: _Tried) -> Iterator[str]:
    """What the policies want that come nearest to allowing a row."""
    for report in tried.explanation.nearest(_NEAREST):
        if report.error is not None:
            yield f"        {report.id}: raises {report.error}"
        for mismatch in report.mismatches:
            told = shown_mismatch(mismatch, _NO_SECRETS)
            place = place_of(mismatch, _NO_SECRETS)
            yield f"        {report.id}: {place} is {in_json(told['but'])}, and should be {in_json(told['expected'])}"


def _shown(tried: _Tried) -> dict[str, object]:
    decision = tried.explanation.decision
    return {
        "file": tried.file,
        "name": tried.row.name,
        "passed": tried.wrong is None,
        "expected": tried.row.allowed,
        "allowed": decision.allowed,
        "policy": decision.policy,
        "policies": [report.shown(_NO_SECRETS) for report in tried.explanation.reports if report.candidate],
    }
