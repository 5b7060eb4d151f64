"""Why policies did not allow a request, for the log: which were asked, and where the request is not what they want."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from .audit import quoted
from .credentials import readable_token
from .policies.explain import Report, explain
from .policies.redaction import Redaction
from .policies.request import RequestView
from .policies.whom import Link
from .printable import in_ascii

if TYPE_CHECKING:
    from .policies.python import CodePolicies
    from .request_state import RequestState

_MAX_PATHS: Final = 20
"""Places that one line names."""


def reasons(state: RequestState, names: Sequence[str], view: RequestView) -> Iterator[str]:
    """A line for each policy that could have let the request pass a guard; paths, and never what stands there.

    :param names: those that the guard asks for; none: any policy could have.
    :param view: the very one that the policies said no to, so that none has to say it again.
    """
    if names:
        return _lines(state, names, view, state.application.policies)
    return _lines(state, [policy.id for policy in state.snapshot.policies.candidates(view)], view)


def reasons_of_operation(state: RequestState, endpoint: str) -> Iterator[str]:
    """As :func:`reasons`, for one of the operator's endpoints."""
    link = Link("Operation", endpoint)
    return _lines(state, [policy.id for policy in state.snapshot.policies if link in policy.links], state.view())


def _lines(
    state: RequestState, asked: Sequence[str], view: RequestView, functions: CodePolicies | None = None
) -> Iterator[str]:
    if not asked:
        yield "no policy could allow it"
        return
    snapshot, engines = state.snapshot, state.application.runtime().engines
    bodies = {id_: snapshot.policy_bodies[id_] for id_ in asked if id_ in snapshot.policy_bodies}
    explanation = explain(snapshot.policies, bodies, engines, view, asked, functions, refused=True)
    redaction = Redaction(readable_token(state.request))
    for report in explanation.reports:
        yield _line(report, redaction)


def _line(report: Report, redaction: Redaction) -> str:
    if report.error is not None:
        return f"policy={quoted(report.id)} raised={quoted(report.error)}"
    if not report.candidate:
        return f"policy={quoted(report.id)} absent={quoted(report.why)}"
    shown = (".".join(map(str, redaction.path(mismatch.path))) for mismatch in report.mismatches)
    paths = list(dict.fromkeys(map(in_ascii, shown)))
    more = f" and {len(paths) - _MAX_PATHS} more" if len(paths) > _MAX_PATHS else ""
    return f"policy={quoted(report.id)} mismatched={quoted(','.join(paths[:_MAX_PATHS]) + more)}"
