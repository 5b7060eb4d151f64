"""The engine ``complex``: conditions of any engine, joined by ``and`` or ``or``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ..errors import Issue, Rejected
from ..faults import Faults
from .alternatives import of_any
from .condition import MAX_MISMATCHES, Alternatives, Condition, Decide, Mismatch
from .engine import EngineContext, refuse_unknown
from .failures import FAILURES
from .limits import MAX_SIZE, size_of
from .request import RequestView

MAX_CONDITIONS: Final = 100
"""Conditions of one ``and`` or ``or``."""

_AND, _OR = "and", "or"


@dataclass(frozen=True, slots=True)
class _Joined(Condition):
    """What conditions have in common, however they are joined.

    :param conditions: at least one, asked in order as far as is needed.
    :param paths: where each is written, from the top of the policy.
    """

    conditions: tuple[Condition, ...]
    paths: tuple[str, ...]

    @property
    def reads(self) -> frozenset[str]:
        return frozenset[str]().union(*(condition.reads for condition in self.conditions))

    @property
    def deterministic(self) -> bool:
        return all(condition.deterministic for condition in self.conditions)

    def warnings(self) -> Iterator[Issue]:
        for condition, path in zip(self.conditions, self.paths, strict=True):
            yield from (issue.within("", path) for issue in condition.warnings())


@dataclass(frozen=True, slots=True)
class AllOf(_Joined):
    """Every one of `conditions`."""

    @property
    def needs(self) -> frozenset[str]:
        return frozenset[str]().union(*(condition.needs for condition in self.conditions))

    def compile(self) -> Decide:
        deciders = tuple(condition.compile() for condition in self.conditions)
        return lambda view: all(allows(view) is True for allows in deciders)

    def equalities(self) -> Sequence[Alternatives]:
        return [alternatives for condition in self.conditions for alternatives in condition.equalities()]

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        found: list[Mismatch] = []
        for condition in self.conditions:
            # The answer is known by then, and whoever else would have to be asked, a database for instance, is spared.
            if found and not condition.deterministic:
                continue
            try:
                found += _mismatches(condition, view)
            except FAILURES:
                if not found:
                    raise
                break
        return found


@dataclass(frozen=True, slots=True)
class AnyOf(_Joined):
    """One of `conditions`."""

    @property
    def needs(self) -> frozenset[str]:
        first, *others = (condition.needs for condition in self.conditions)
        return first.intersection(*others)

    def compile(self) -> Decide:
        deciders = tuple(condition.compile() for condition in self.conditions)
        return lambda view: any(allows(view) is True for allows in deciders)

    def equalities(self) -> Sequence[Alternatives]:
        return of_any([condition.equalities() for condition in self.conditions])

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        found: list[Mismatch] = []
        for condition in self.conditions:
            mismatches = _mismatches(condition, view)
            if not mismatches:
                return []
            found += mismatches
        return found[:MAX_MISMATCHES]


def _mismatches(condition: Condition, view: RequestView) -> list[Mismatch]:
    # Of an engine of another package they need neither be a list nor end.
    return list(islice(condition.mismatches(view), MAX_MISMATCHES))


class ComplexEngine:
    """``{"engine": "complex", "and": [{"engine": "matcho", …}, …]}``, or with ``or``; never both on one level."""

    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        refuse_unknown(policy, (_AND, _OR))
        size = size_of(policy)
        if size is not None and size > MAX_SIZE:
            raise Rejected.at("", f"the conditions of a policy have at most {MAX_SIZE} bytes; make it several policies")
        written = [name for name in (_AND, _OR) if name in policy]
        if len(written) != 1:
            reason = "say either and or or" if written else "the engine complex wants and, or or"
            raise Rejected.at(_AND, f"{reason}: a list of conditions, each with its engine; nest them to say both")
        name = written[0]
        conditions = _parse_each(name, policy[name], context)
        paths = tuple(f"{name}.{index}" for index in range(len(conditions)))
        return AllOf(conditions, paths) if name == _AND else AnyOf(conditions, paths)


def _parse_each(name: str, written: object, context: EngineContext) -> tuple[Condition, ...]:
    if not isinstance(written, list | tuple) or not written:
        raise Rejected.at(name, "say a list with at least one condition")
    if len(written) > MAX_CONDITIONS:
        raise Rejected.at(name, f"has at most {MAX_CONDITIONS} conditions; make it several policies")
    conditions: list[Condition] = []
    faults = Faults()
    for index, entry in enumerate(written):
        with faults.gathered("", f"{name}.{index}"):
            if not isinstance(entry, Mapping):
                raise Rejected.at("", 'a condition is an object such as {"engine": "matcho", "matcho": {…}}')
            conditions.append(context.parse(entry))
    faults.raise_any()
    return tuple(conditions)
