"""Whether views have a guard that holds, and guards have policies to ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import Issue
from . import remedies
from .findings import Finding
from .routes import Routes


def check_guards(faults: Iterable[Issue]) -> Iterator[Finding]:
    """Name the policies that guards ask for in vain; nothing where there are none.

    :param faults: see :meth:`.Application.faults_of_guards`.
    """
    for fault in faults:
        yield Finding("policy", "failed", str(fault), remedies.GUARD if fault.resource.startswith("view ") else ())


def check_views(routes: Routes) -> Iterator[Finding]:
    """Name the views whose guard is not passed, and those that have none; one line where all is well."""
    if routes.open:
        reason = f"registered without their guard, so that every request is refused with 500: {', '.join(routes.open)}"
        yield Finding("views", "failed", reason, remedies.MISPLACED)
    if routes.unguarded:
        reason = f"can be reached without a policy: {', '.join(routes.unguarded)}"
        yield Finding("views", "warning", reason, remedies.UNGUARDED)
    elif not routes.open:
        yield Finding("views", "ok", "none can be reached without a policy")
