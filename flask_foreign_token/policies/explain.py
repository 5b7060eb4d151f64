"""Why policies decide as they do: the same evaluation, with what each policy found amiss."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ..errors import Rejected
from .condition import MAX_MISMATCHES, Alternatives, Mismatch
from .decisions import Decision, Policies, allows
from .engines import Engines
from .equality import equal
from .failures import FAILURES
from .paths import standing_at
from .plain import UNTOLD, plain
from .policy import CompiledPolicy, PolicyTree, parse_policy
from .python import CodePolicies
from .redaction import Redaction
from .request import RequestView, UnreadablePart

_NAMED: Final = "named by the guard"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one policy.

    :param engine: as it is written; empty: not known.
    :param candidate: whether it was looked at; the others cannot allow the request.
    :param why: why so, a remark for people.
    :param allowed: what it says of the request, as it does when a request comes.
    :param error: the class of what its engine raised, which means no.
    :param mismatches: what it wants and the request has not. Empty where it allows.
    :param out_of_service: whether it is active and cannot be read, so that it allows nothing.
    """

    id: str
    engine: str
    candidate: bool
    why: str
    allowed: bool
    error: str | None = None
    mismatches: tuple[Mismatch, ...] = ()
    out_of_service: bool = False

    def shown(self, redaction: Redaction) -> dict[str, object]:
        """As JSON, without secrets."""
        return {
            "id": self.id,
            "engine": self.engine,
            "candidate": self.candidate,
            "why": redaction.text(self.why),
            "allowed": self.allowed,
            "error": self.error,
            "mismatches": [shown_mismatch(mismatch, redaction) for mismatch in self.mismatches],
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request is allowed or not.

    :param decision: what a request gets.
    :param reports: of every policy that there is, in the order of the registry; then of those that are only named.
    """

    decision: Decision
    reports: tuple[Report, ...]

    def nearest(self, most: int) -> list[Report]:
        """The policies that come nearest to allowing the request, `most` at most; of those that can be asked at all."""
        denying = [report for report in self.reports if report.mismatches or report.error]
        return sorted(denying, key=lambda report: len(report.mismatches))[:most]


def shown_mismatch(mismatch: Mismatch, redaction: Redaction) -> dict[str, object]:
    """A mismatch as JSON, in the order of Aidbox's members."""
    path = mismatch.path
    return {
        "expected": redaction.expected(path, mismatch.expected),
        # The request as a whole is shown elsewhere, or not at all.
        "but": redaction.found(path, mismatch.but) if path else None,
        "path": redaction.path(path),
    }


def place_of(mismatch: Mismatch, redaction: Redaction) -> str:
    """Where in the request a mismatch is, for people: ``jwt.iss``."""
    return ".".join(map(str, redaction.path(mismatch.path))) or "the request"


def explain(
    policies: Policies,
    bodies: Mapping[str, Mapping[str, object]],
    engines: Engines,
    view: RequestView,
    names: Sequence[str] = (),
    functions: CodePolicies | None = None,
    *,
    refused: bool = False,
) -> Explanation:
    """Decide, and say why.

    Each policy is asked once, in the way in which a request asks it, and the decision follows from what they said;
    where one does not allow, its body is read again to find what is missing.

    :param policies: those in force.
    :param bodies: the stored AccessPolicy resources by id, inactive ones and those that do not load too; with `names`,
        others than these may be missing.
    :param engines: those that the bodies may name.
    :param names: see :meth:`.Policies.decide`.
    :param functions: policies in Python, each meant by its name in place of the one that is stored.
    :param refused: whether it is known of this very `view` that none of the policies allows it; they are not asked
        again then.
    """
    asked = list(dict.fromkeys(names)) if names else [policy.id for policy in policies.candidates(view)]
    inquiry = _Inquiry(policies, engines, view, frozenset(asked), bool(names), functions or CodePolicies(), refused)
    reports = [inquiry.of_body(id_, body) for id_, body in bodies.items()]
    reports += [inquiry.of_name(name) for name in dict.fromkeys(names) if name not in bodies]
    allowing = {report.id for report in reports if report.allowed}
    first = next((id_ for id_ in asked if id_ in allowing), None)
    return Explanation(Decision(first is not None, first), tuple(reports))


@dataclass(frozen=True, slots=True)
class _Inquiry:
    """Asks policies one by one; see :func:`explain`.

    :param asked: those that may allow the request.
    :param by_name: whether a guard named these.
    """

    policies: Policies
    engines: Engines
    view: RequestView
    asked: Collection[str]
    by_name: bool
    functions: CodePolicies
    refused: bool

    def of_body(self, id_: str, body: Mapping[str, object]) -> Report:
        function = self._function(id_)
        if function is not None:
            return self._of_function(function, "named by the guard, and asked in place of the stored one")
        engine = str(body.get("engine", ""))
        if body.get("active", True) is False:
            return Report(id_, engine, False, "inactive", False)
        try:
            tree = parse_policy(id_, body, self.engines)
        except Rejected as rejected:
            return Report(id_, engine, False, f"out of service: {_reason(rejected)}", False, out_of_service=True)
        compiled = self.policies.get(id_)
        if compiled is None:
            # Its engine reads it; what every policy can say is wrong, or its engine fails later.
            why = "out of service; `flask foreign-token doctor` says why"
            return Report(id_, engine, False, why, False, out_of_service=True)
        candidate = id_ in self.asked
        if self.by_name:
            why = _NAMED if candidate else "not named by the guard"
        else:
            why = _filed(self.policies.filed_under(id_), candidate, self.view)
        allowed = not self.refused and self.policies.decide(self.view, (id_,)).allowed
        error, mismatches = (None, ()) if allowed else self._amiss(tree, compiled)
        return Report(id_, engine, candidate, why, allowed, error, mismatches)

    def of_name(self, name: str) -> Report:
        """Of a policy that is asked and not stored: one in Python, or none at all."""
        function = self._function(name)
        if function is None:
            return Report(name, "", False, "named by the guard, but not there", False)
        return self._of_function(function, _NAMED)

    def _function(self, name: str) -> CompiledPolicy | None:
        return self.functions.get(name) if self.by_name and name in self.asked else None

    def _of_function(self, function: CompiledPolicy, why: str) -> Report:
        """Of a policy that says nothing of itself but yes or no."""
        allowed = not self.refused and allows(function, self.view)
        error = None if allowed else self.view.raised.get(function)
        return Report(
            function.id, function.engine, True, why, allowed, error, () if allowed or error is not None else (UNTOLD,)
        )

    def _amiss(self, tree: PolicyTree, compiled: CompiledPolicy) -> tuple[str | None, tuple[Mismatch, ...]]:
        """What a policy that does not allow wants: the class of what its engine raises, and its mismatches."""
        if compiled in self.view.raised:
            return self.view.raised[compiled], ()
        try:
            # What allows at the second look, and did not at the first, is of an engine that goes by more than the
            # request.
            found = islice(tree.mismatches(self.view), MAX_MISMATCHES)
            return None, tuple(map(plain, found)) or (UNTOLD,)
        except FAILURES as error:
            return type(error).__name__, ()


def _filed(filed_under: Alternatives, candidate: bool, view: RequestView) -> str:
    if not filed_under:
        return "always looked at"
    # What a policy asks of a claim can be a secret by its name.
    hidden = Redaction()
    written = " or ".join(f"{'.'.join(path)} = {_quoted(hidden.expected(path, value))}" for path, value in filed_under)
    if candidate:
        return f"filed under {written}, as the request has it"
    found = [(_at(view, path), value) for path, value in filed_under]
    if any(equal(has, value) for has, value in found):
        return f"filed under {written}, and then under something that the request has not"
    has_another = any(has is not None for has, _ in found)
    return f"filed under {written}; the request has {'another' if has_another else 'none'}"


def _quoted(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _at(view: RequestView, path: Sequence[str]) -> object:
    """What stands at `path` of the request; none also where it cannot be told."""
    try:
        return standing_at(view, path)
    except UnreadablePart:
        return None


def _reason(rejected: Rejected) -> str:
    return "; ".join(map(str, rejected.issues))
