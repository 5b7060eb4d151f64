"""The endpoints at which an operator tries a pattern or a policy before it decides anything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flask import Response, request

from ..errors import Issue, Rejected
from ..policies import matcho
from ..policies.condition import Mismatch
from ..policies.decisions import Policies
from ..policies.explain import explain
from ..policies.matcho_explain import mismatches
from ..policies.policy import CompiledPolicy, compile_policy
from ..policies.redaction import Redaction
from ..policies.simulated import Simulation, simulate
from ..registry.resources import Resource, load, stored_form
from .answers import answer, media_type_for
from .bodies import object_in
from .refusals import Unprocessable

if TYPE_CHECKING:
    from ..application import Application
    from ..policies.engines import Engines

View = Callable[[], Response]

MATCHO: Final = "matcho"
TEST_POLICY: Final = "test_policy"

PATHS: Final[Mapping[str, str]] = {MATCHO: "/$matcho", TEST_POLICY: "/auth/test-policy"}
"""Where each endpoint is, by its name; all are asked with POST."""

_TYPE = "AccessPolicy"
_UNNAMED = "policy"


def views(application: Application) -> dict[str, View]:
    """The endpoints of one app by name. They store nothing."""
    return {MATCHO: _try_pattern, TEST_POLICY: _TestPolicy(application)}


def _try_pattern() -> Response:
    """Match a value against a pattern."""
    media_type = media_type_for(request)
    with _refusing():
        asked = _members(("matcho", "resource"), ("context",))
        try:
            pattern = matcho.parse(asked["matcho"])
        except Rejected as rejected:
            raise rejected.within("", "matcho") from None
        value = asked["resource"]
        found = mismatches(pattern, value, asked.get("context", value))
    told = {name: asked[name] for name in ("matcho", "resource")}
    return answer({**told, "result": list(map(_shown, found))}, media_type)


class _TestPolicy:
    """Evaluates a policy that is not stored for a request that nobody made."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self) -> Response:
        media_type = media_type_for(request)
        runtime = self._application.runtime()
        with _refusing():
            asked = _members(("request", "policy"))
            body, policy, issues = _policy(asked["policy"], runtime.engines)
            simulation = self._simulation(asked["request"], issues)
        explanation = explain(Policies([policy]), {policy.id: body}, runtime.engines, simulation.view)
        redaction = Redaction(self._application.settings.admin_client_secret)
        report = explanation.reports[0].shown(redaction)
        result = {"eval-result": report["allowed"], "mismatches": report["mismatches"]}
        if report["error"] is not None:
            result["error"] = report["error"]
        if simulation.with_unverified_token:
            result["token-verified"] = False
        told = {"request": redaction.request(simulation.view.complete()), "policy": asked["policy"]}
        return answer({**told, "result": result}, media_type)

    def _simulation(self, written: object, issues: list[Issue]) -> Simulation:
        """:raises Rejected: with `issues`, and whatever is wrong with the request."""
        try:
            if not isinstance(written, Mapping):
                raise Rejected.at("", "must be an object, the request as policies are to see it")
            simulation = simulate(written, self._user)
        except Rejected as rejected:
            raise Rejected([*rejected.within("", "request").issues, *issues]) from None
        if issues:
            raise Rejected(issues)
        return simulation

    def _user(self, id_: str) -> Mapping[str, object] | None:
        user = self._application.runtime().accounts.get(id_)
        return None if user is None else user.resource


def _policy(written: object, engines: Engines) -> tuple[Mapping[str, object], CompiledPolicy, list[Issue]]:
    """The body of a policy, what it is compiled to, and what is wrong with it; an inactive one is tried as well."""
    if not isinstance(written, Mapping):
        return {}, _NONE, [Issue("", "policy", 'must be an object, an AccessPolicy such as {"engine": "allow"}')]
    body = stored_form({"resourceType": _TYPE, "id": _UNNAMED, **written})
    if body["resourceType"] != _TYPE:
        return body, _NONE, [Issue("", "policy.resourceType", f"must be {_TYPE}, or left out")]
    id_ = str(body["id"])
    try:
        load(Resource(_TYPE, id_, "", body))
        return {**body, "active": True}, compile_policy(id_, "", body, engines), []
    except Rejected as rejected:
        return body, _NONE, [_in_policy(issue) for issue in rejected.issues]


_NONE: Final = CompiledPolicy("", "", "", (), None, lambda view: False, frozenset())


def _in_policy(issue: Issue) -> Issue:
    return Issue("", ".".join(part for part in ("policy", issue.path) if part), issue.message)


def _members(required: Collection[str], optional: Collection[str] = ()) -> Mapping[str, object]:
    """What the request holds.

    :raises Rejected: something is missing, or is none of these.
    """
    asked = object_in(request)
    known = (*required, *optional)
    issues = [Issue("", name, "is required") for name in required if name not in asked]
    issues += [Issue("", name, f"is none of {', '.join(known)}") for name in asked if name not in known]
    if issues:
        raise Rejected(issues)
    return asked


@contextmanager
def _refusing() -> Iterator[None]:
    """A block in which what is wrong with the request becomes the answer to it."""
    try:
        yield
    except Rejected as rejected:
        raise Unprocessable(rejected.issues) from None


def _shown(mismatch: Mismatch) -> dict[str, object]:
    return {"expected": mismatch.expected, "but": mismatch.but, "path": list(mismatch.path)}
