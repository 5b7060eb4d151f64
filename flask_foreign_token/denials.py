"""Why policies did not allow a request, for the log: which were asked, and where the request is not what they want."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .audit import quoted
from .credentials import readable_token
from .policies.decisions import Policies
from .policies.explain import Report, explain
from .policies.policy import Link
from .policies.redaction import Redaction

if TYPE_CHECKING:
    from .request_state import RequestState


def reasons(state: RequestState, names: Sequence[str]) -> Iterator[str]:
    """A line for each policy that could have let the request pass a guard; paths, and never what stands there.

    :param names: those that the guard asks for; none: any policy could have.
    """
    policies = state.application.policies.beside(state.snapshot.policies, names)
    asked = names or [policy.id for policy in policies.candidates(state.view())]
    return _lines(state, policies, asked)


def reasons_of_operation(state: RequestState, endpoint: str) -> Iterator[str]:
    """As :func:`reasons`, for one of the operator's endpoints."""
    policies = state.snapshot.policies
    link = Link("Operation", endpoint)
    return _lines(state, policies, [policy.id for policy in policies if link in policy.links])


def _lines(state: RequestState, policies: Policies, asked: Sequence[str]) -> Iterator[str]:
    if not asked:
        yield "no policy could allow it"
        return
    of_code, stored = state.application.policies, state.snapshot.policy_bodies
    bodies = {id_: stored[id_] for id_ in asked if id_ in stored and id_ not in of_code}
    explanation = explain(policies, bodies, state.application.runtime().engines, state.view(), asked)
    redaction = Redaction(readable_token(state.request))
    for report in explanation.reports:
        yield _line(report, redaction)


def _line(report: Report, redaction: Redaction) -> str:
    if report.error is not None:
        return f"policy={quoted(report.id)} raised={quoted(report.error)}"
    if not report.candidate:
        return f"policy={quoted(report.id)} absent={quoted(report.why)}"
    paths = dict.fromkeys(".".join(map(str, redaction.path(mismatch.path))) for mismatch in report.mismatches)
    return f"policy={quoted(report.id)} mismatched={quoted(','.join(paths))}"
