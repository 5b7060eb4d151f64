"""Why policies decide as they do: the same evaluation, with what each policy found amiss."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..errors import Rejected
from .condition import Alternatives, Mismatch
from .decisions import Decision, Policies
from .equality import OBJECT, equal
from .policy import LINKED_PARTS, CompiledPolicy, Link, PolicyTree, parse_policy
from .redaction import Redaction
from .request import RequestView, UnreadablePart

if TYPE_CHECKING:
    from .engines import Engines

LINK = "link"
"""What the path of a mismatch begins with that is one of a policy's links: ``("link", "user", "id")``."""

_PYTHON: Final = "python"
_UNTOLD = Mismatch((), "that the policy allows it", None)
"""Of what cannot say what it wants: a function, or an engine that goes by more than the request."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one policy.

    :param engine: as it is written; empty: not known.
    :param candidate: whether it was looked at; the others cannot allow the request.
    :param why: why so, a remark for people.
    :param allowed: what it says of the request, as it does when a request comes.
    :param error: the class of what its engine raised, which means no.
    :param mismatches: what it wants and the request has not; of its links, at ``link``. Empty where it allows.
    """

    id: str
    engine: str
    candidate: bool
    why: str
    allowed: bool
    error: str | None = None
    mismatches: tuple[Mismatch, ...] = ()

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


def shown_mismatch(mismatch: Mismatch, redaction: Redaction) -> dict[str, object]:
    """A mismatch as JSON, in the order of Aidbox's members."""
    path = mismatch.path
    return {
        "expected": redaction.expected(path, mismatch.expected),
        # The request as a whole is shown elsewhere, or not at all.
        "but": redaction.found(path, mismatch.but) if path else None,
        "path": redaction.path(path),
    }


def explain(
    policies: Policies,
    bodies: Mapping[str, Mapping[str, object]],
    engines: Engines,
    view: RequestView,
    names: Sequence[str] = (),
) -> Explanation:
    """Decide, and say why.

    What each policy says is asked of `policies`, in the way in which a request asks; where one does not allow, its body
    is read again to find what is missing.

    :param policies: those in force.
    :param bodies: the stored AccessPolicy resources by id, inactive ones and those that do not load too.
    :param engines: those that the bodies may name.
    :param names: see :meth:`.Policies.decide`.
    """
    decision = policies.decide(view, names)
    looked_at = set(names) if names else _candidates(policies, view)
    reports = [_of_body(policies, id_, body, engines, view, looked_at, names) for id_, body in bodies.items()]
    reports += [_of_name(policies, name, view) for name in dict.fromkeys(names) if name not in bodies]
    return Explanation(decision, tuple(reports))


def _candidates(policies: Policies, view: RequestView) -> set[str]:
    return {policy.id for policy in policies.candidates(view)}


def _of_body(
    policies: Policies,
    id_: str,
    body: Mapping[str, object],
    engines: Engines,
    view: RequestView,
    looked_at: Collection[str],
    names: Sequence[str],
) -> Report:
    compiled = policies.get(id_)
    if compiled is not None and compiled.engine == _PYTHON:
        return _of_function(compiled, view, "named by the guard, and asked in place of the stored one")
    engine = str(body.get("engine", ""))
    if body.get("active", True) is not True:
        return Report(id_, engine, False, "inactive", False)
    try:
        tree = parse_policy(id_, body, engines)
    except Rejected as rejected:
        return Report(id_, engine, False, f"out of service: {_reason(rejected)}", False)
    if compiled is None:
        return Report(id_, engine, False, "not in force", False)
    candidate = id_ in looked_at
    why = _named(candidate) if names else _filed(policies.filed_under(id_), candidate, view)
    allowed = policies.decide(view, (id_,)).allowed
    error, mismatches = (None, ()) if allowed else _amiss(tree, view)
    return Report(id_, engine, candidate, why, allowed, error, mismatches)


def _of_name(policies: Policies, name: str, view: RequestView) -> Report:
    """Of a policy that is named and not stored: one in Python, or none at all."""
    compiled = policies.get(name)
    if compiled is None:
        return Report(name, "", False, "named by the guard, but not there", False)
    return _of_function(compiled, view, _named(True))


def _of_function(policy: CompiledPolicy, view: RequestView, why: str) -> Report:
    """Of a policy that says nothing of itself but yes or no."""
    try:
        allowed = policy.allows(view) is True
    except Exception as error:  # noqa: BLE001 - whatever a function raises means deny, and is shown as such
        return Report(policy.id, policy.engine, True, why, False, type(error).__name__)
    return Report(policy.id, policy.engine, True, why, allowed, None, () if allowed else (_UNTOLD,))


def _amiss(tree: PolicyTree, view: RequestView) -> tuple[str | None, tuple[Mismatch, ...]]:
    """What a policy that does not allow wants: the class of what its engine raises, and its mismatches."""
    try:
        if tree.linked is not None and tree.linked.mismatches(view):
            return None, tuple(_of_links(tree.links, view))
        # What allows at the second look, and did not at the first, is of an engine that goes by more than the request.
        return None, tuple(tree.condition.mismatches(view)) or (_UNTOLD,)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in an engine means deny, and is shown as such
        return type(error).__name__, ()


def _of_links(links: Iterable[Link], view: RequestView) -> Iterator[Mismatch]:
    """What each of the links wants, which are alternatives."""
    for link in links:
        path = (LINKED_PARTS[link.kind], "id")
        yield Mismatch((LINK, *path), link.id, _at(view, path))


def _named(candidate: bool) -> str:
    return "named by the guard" if candidate else "not named by the guard"


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
    value: object = view
    for step in path:
        try:
            value = value[step] if isinstance(value, OBJECT) else None
        except (KeyError, UnreadablePart):
            return None
    return value


def _reason(rejected: Rejected) -> str:
    return "; ".join(map(str, rejected.issues))
