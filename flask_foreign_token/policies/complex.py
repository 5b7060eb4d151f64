"""The engine ``complex``: conditions of any engine, joined by ``and`` or ``or``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import Issue, Rejected
from .alternatives import of_any
from .condition import Alternatives, Condition, Decide, Mismatch
from .engine import EngineContext, refuse_unknown
from .limits import MAX_SIZE, size_of
from .request import RequestView

MAX_CONDITIONS: Final = 100
"""Conditions of one ``and`` or ``or``."""

_AND, _OR = "and", "or"


@dataclass(frozen=True, slots=True)
class AllOf(Condition):
    """Every one of `conditions`, asked in order until one does not allow.

    :param paths: where each is written, from the top of the policy.
    """

    conditions: tuple[Condition, ...]
    paths: tuple[str, ...]

    @property
    def reads(self) -> frozenset[str]:
        return _reads(self.conditions)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset[str]().union(*(condition.needs for condition in self.conditions))

    @property
    def deterministic(self) -> bool:
        return all(condition.deterministic for condition in self.conditions)

    def compile(self) -> Decide:
        deciders = tuple(condition.compile() for condition in self.conditions)
        return lambda view: all(allows(view) is True for allows in deciders)

    def equalities(self) -> Sequence[Alternatives]:
        return [alternatives for condition in self.conditions for alternatives in condition.equalities()]

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        for condition in self.conditions:
            if found := condition.mismatches(view):
                return found
        return []

    def warnings(self) -> Iterator[Issue]:
        return _warnings(self.conditions, self.paths)


@dataclass(frozen=True, slots=True)
class AnyOf(Condition):
    """One of `conditions`, asked in order until one allows.

    :param paths: where each is written, from the top of the policy.
    """

    conditions: tuple[Condition, ...]
    paths: tuple[str, ...]

    @property
    def reads(self) -> frozenset[str]:
        return _reads(self.conditions)

    @property
    def needs(self) -> frozenset[str]:
        first, *others = (condition.needs for condition in self.conditions)
        return first.intersection(*others)

    @property
    def deterministic(self) -> bool:
        return all(condition.deterministic for condition in self.conditions)

    def compile(self) -> Decide:
        deciders = tuple(condition.compile() for condition in self.conditions)
        return lambda view: any(allows(view) is True for allows in deciders)

    def equalities(self) -> Sequence[Alternatives]:
        return of_any([condition.equalities() for condition in self.conditions])

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        found: list[Mismatch] = []
        for condition in self.conditions:
            mismatches = condition.mismatches(view)
            if not mismatches:
                return []
            found += mismatches
        return found

    def warnings(self) -> Iterator[Issue]:
        return _warnings(self.conditions, self.paths)


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
    issues: list[Issue] = []
    for index, entry in enumerate(written):
        try:
            if not isinstance(entry, Mapping):
                raise Rejected.at("", 'a condition is an object such as {"engine": "matcho", "matcho": {…}}')
            conditions.append(context.parse(entry))
        except Rejected as rejected:
            issues.extend(rejected.within("", f"{name}.{index}").issues)
    if issues:
        raise Rejected(issues)
    return tuple(conditions)


def _reads(conditions: Sequence[Condition]) -> frozenset[str]:
    return frozenset[str]().union(*(condition.reads for condition in conditions))


def _warnings(conditions: Sequence[Condition], paths: Sequence[str]) -> Iterator[Issue]:
    for condition, path in zip(conditions, paths, strict=True):
        for issue in condition.warnings():
            yield issue._replace(path=".".join(part for part in (path, issue.path) if part))
