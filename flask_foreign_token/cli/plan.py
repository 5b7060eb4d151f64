"""What becomes of resources: printed, allowed by whoever types, and done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from ..errors import Conflict, NotStored, Rejected
from ..registry.edits import Outcome
from ..registry.fields import MASK
from ..registry.plan import MISSING, Change, Difference, Plan
from .asking import can_ask, confirmed
from .current import author, catalog
from .failures import NOTHING_CHANGED, Failure, reasons
from .output import beside, in_json, outcome_of, print_json, print_lines, print_marked, print_note
from .progress import progress

MOST: Final = 20
"""Resources that stay as they are and are named to people; of more the number is said."""

_MOST_ASKED_BY_NAME = 5
_COLOURS: Final[dict[Outcome, str]] = {
    "created": "green",
    "updated": "yellow",
    "deleted": "red",
    "unchanged": "bright_black",
}
_UNTIL_DONE: Final[dict[Outcome, str]] = {
    "created": "would create",
    "updated": "would update",
    "deleted": "would delete",
    "unchanged": "unchanged",
}
_INDENT = "  "
_NOT_DONE = "nothing was changed; this is what would be done"
_MEANWHILE = "somebody else changed it meanwhile; look at it, and repeat this"


def print_plan(plan: Plan, as_json: bool, *, applied: bool) -> None:
    """What becomes of each resource, and where those that are updated differ from what they were.

    :param applied: whether it is done. What is not must not read as if it were.
    """
    if as_json:
        print_json([for_programs(change, applied=applied) for change in plan.changes])
        return
    unchanged = sum(change.outcome == "unchanged" for change in plan.changes)
    for change in plan.changes:
        if change.outcome != "unchanged" or unchanged <= MOST:
            print_change(change, applied=applied)
    if unchanged > MOST:
        print_marked("unchanged", _COLOURS["unchanged"], f" {unchanged} resources")


def preview(plan: Plan, as_json: bool) -> None:
    """What :func:`print_plan` prints, and that it is not done."""
    print_plan(plan, as_json, applied=False)
    if as_json:
        print_note(_NOT_DONE)
    else:
        print_lines([_NOT_DONE])


def carry_out(plan: Plan, *, strict: bool, yes: bool, as_json: bool, question: str | None = None) -> None:
    """Do what `plan` says and no more, and print it. On a terminal it is asked about before anything is deleted.

    :param strict: see :meth:`.Catalog.apply`.
    :param yes: whether it is allowed already.
    :param question: what is asked before anything is changed; none: it is asked before anything is deleted.
    :raises Failure: it is not allowed, or something else is stored meanwhile; nothing was changed.
    """
    deleted = [change for change in plan.changes if change.outcome == "deleted"]
    is_asked = plan.changes_anything if question else bool(deleted)
    asks = is_asked and not yes and can_ask()
    if asks:
        if not as_json:
            print_plan(plan, as_json=False, applied=False)
        if not confirmed(question or f"Delete {_names(deleted, as_json)}?"):
            raise Failure(NOTHING_CHANGED)
    _apply(plan, strict)
    if asks and not as_json:
        print_lines([f"done: {_counts(plan)}"])
    else:
        print_plan(plan, as_json, applied=True)


def _apply(plan: Plan, strict: bool) -> None:
    if not plan.changes_anything:
        return
    try:
        with progress("storing"):
            catalog().apply(plan.edit, strict=strict, by=author())
    except Conflict as conflict:
        raise Failure(NOTHING_CHANGED, f"{'/'.join(conflict.key)}: {_MEANWHILE}") from None
    except NotStored as absent:
        raise Failure(NOTHING_CHANGED, *(f"{issue.resource}: {_MEANWHILE}" for issue in absent.issues)) from None
    except Rejected as rejected:
        raise Failure(NOTHING_CHANGED, *reasons(rejected)) from None


def _counts(plan: Plan) -> str:
    counts = Counter(change.outcome for change in plan.changes)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in _COLOURS if counts[outcome])


def _names(changes: list[Change], in_full: bool) -> str:
    if len(changes) > _MOST_ASKED_BY_NAME and not in_full:
        return f"{len(changes)} resources"
    return ", ".join("/".join(change.key) for change in changes)


def print_change(change: Change, *, applied: bool) -> None:
    """What becomes of one resource; see :func:`print_plan`."""
    outcome = change.outcome if applied else _UNTIL_DONE[change.outcome]
    print_marked(outcome, _COLOURS[change.outcome], f" {'/'.join(change.key)}")
    print_differences(change.differences)


def print_differences(differences: Iterable[Difference]) -> None:
    """Where a resource differs from what it was, a line each."""
    for difference in differences:
        sign, outcome, text = _described(difference)
        print_marked(f"{_INDENT}{sign}", _COLOURS[outcome], f" {text}")


def lines_of(differences: Iterable[Difference]) -> list[str]:
    """The same lines, to be printed beside others."""
    return [f"{_INDENT}{sign} {text}" for sign, _, text in map(_described, differences)]


def for_programs(change: Change, *, applied: bool) -> dict[str, object]:
    """The same as :func:`print_change` prints, as JSON."""
    outcome = outcome_of(change.key, change.outcome)
    return {**outcome, "applied": applied, "differences": differences_for_programs(change.differences)}


def differences_for_programs(differences: Iterable[Difference]) -> list[dict[str, object]]:
    """The same as JSON."""
    return list(map(_difference, differences))


def _described(difference: Difference) -> tuple[str, Outcome, str]:
    """The sign before it, the outcome whose colour that has, and the text behind."""
    path, before, after = difference.path, difference.before, difference.after
    if after is MISSING:
        return "-", "deleted", path
    if before is MISSING:
        return "+", "created", _behind(path, after)
    if before == MASK and after == MASK:
        return "~", "updated", f"{path}: another secret"
    return "~", "updated", _behind(path, before, after)


def _behind(path: str, *values: object) -> str:
    margin = " " * len(f"{_INDENT}~ ")
    return beside(f"{margin}{path}: ", [*map(in_json, values)], " -> ").removeprefix(margin)


def _difference(difference: Difference) -> dict[str, object]:
    sides = {"before": difference.before, "after": difference.after}
    return {"path": difference.path, **{name: value for name, value in sides.items() if value is not MISSING}}
