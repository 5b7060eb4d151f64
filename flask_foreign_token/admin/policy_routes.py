"""The endpoints at which an operator tries a pattern or a policy before it decides anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flask import Response, request

from ..errors import AccessDenied, Issue, Rejected
from ..faults import Faults
from ..policies.condition import Mismatch
from ..policies.decisions import Policies
from ..policies.explain import explain
from ..policies.matcho.mismatches import mismatches
from ..policies.matcho.parse import parse
from ..policies.plain import plain
from ..policies.policy import compile_policy
from ..policies.redaction import Redaction
from ..policies.simulated import Simulation, simulate
from ..registry.resources import Resource, load, stored_form
from .answers import answer, media_type_for
from .bodies import object_in
from .guard import Elsewhere, could_ask
from .refusals import Unprocessable
from .route import Route

if TYPE_CHECKING:
    from ..application import Application

MATCHO: Final = "matcho"
TEST_POLICY: Final = "test_policy"

NAMES: Final = frozenset({MATCHO, TEST_POLICY})

READ_USER: Final = "foreign_token.read_user"
UPDATE_POLICY: Final = "foreign_token.update_access_policy"
"""Who comes with a token must be let in there too, to try a policy on a stored user, or one that goes by more than the
request."""

_TEST_POLICY_PATH = "/auth/test-policy"
_TYPE = "AccessPolicy"
_UNNAMED = "policy"


def routes(application: Application) -> list[Route]:
    """The endpoints of one app. They store nothing."""
    return [
        Route(MATCHO, "POST", "/$matcho", _try_pattern),
        Route(TEST_POLICY, "POST", _TEST_POLICY_PATH, _TestPolicy(application)),
    ]


def _try_pattern() -> Response:
    """Match a value against a pattern."""
    media_type = media_type_for(request)
    with _refusing():
        asked = _members(("matcho", "resource"), ("context",))
        try:
            pattern = parse(asked["matcho"])
        except Rejected as rejected:
            raise rejected.within("", "matcho") from None
        value = asked["resource"]
        found = mismatches(pattern, value, asked.get("context", value))
    told = {name: asked[name] for name in ("matcho", "resource")}
    return answer({**told, "result": list(map(_shown, found))}, media_type)


class _TestPolicy:
    """Evaluates a policy that is not stored for a request that nobody made.

    :raises AccessDenied: a policy opens it to the caller, and nothing else that it takes.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self) -> Response:
        media_type = media_type_for(request)
        runtime = self._application.runtime()
        with _refusing():
            faults = Faults()
            asked = _members(("request", "policy"))
            with faults.gathered("", "request"):
                simulation = self._simulation(asked["request"])
            with faults.gathered("", "policy"):
                body = _policy(asked["policy"])
                policy = compile_policy(str(body["id"]), "", body, runtime.engines)
            faults.raise_any()
        if not policy.deterministic:
            _check_may_store(policy.id, body)
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

    def _simulation(self, written: object) -> Simulation:
        if not isinstance(written, Mapping):
            raise Rejected.at("", "must be an object, the request as policies are to see it")
        return simulate(written, self._user)

    def _user(self, id_: str) -> Mapping[str, object] | None:
        # Before it is told whether there is one.
        _check_may_read(id_)
        user = self._application.runtime().accounts.get(id_)
        return None if user is None else user.resource


def _check_may_read(user_id: str) -> None:
    """:raises AccessDenied: the caller could not read the user."""
    if not could_ask(Elsewhere(READ_USER, "get", f"{_prefix()}/User/{user_id}", user_id)):
        raise AccessDenied(
            f"user-id takes a policy with a link to Operation/{READ_USER} that allows reading this very user; "
            "say user, with what policies are to see of one"
        )


def _check_may_store(policy_id: str, body: Mapping[str, object]) -> None:
    """:raises AccessDenied: the caller could not store the policy, by which it would find out what only the database
    knows, or whatever else an engine looks at beside the request."""
    if not could_ask(Elsewhere(UPDATE_POLICY, "put", f"{_prefix()}/{_TYPE}/{policy_id}", policy_id, body)):
        raise AccessDenied(
            "a policy that goes by more than the request, as one with the engine sql, takes a policy with a link to "
            f"Operation/{UPDATE_POLICY} that allows storing it"
        )


def _prefix() -> str:
    return request.path.removesuffix(_TEST_POLICY_PATH)


def _policy(written: object) -> Mapping[str, object]:
    """The body of a policy; an inactive one is tried as well.

    :raises Rejected: it is none, apart from what its engine may find.
    """
    if not isinstance(written, Mapping):
        raise Rejected.at("", 'must be an object, an AccessPolicy such as {"engine": "allow"}')
    body = stored_form({"resourceType": _TYPE, "id": _UNNAMED, **written})
    if body["resourceType"] != _TYPE:
        raise Rejected.at("resourceType", f"must be {_TYPE}, or left out")
    try:
        load(Resource(_TYPE, str(body["id"]), "", body))
    except Rejected as rejected:
        # It may have its name from here, which says nothing to whoever wrote it.
        raise Rejected([issue._replace(resource="") for issue in rejected.issues]) from None
    return {**body, "active": True}


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
    shown = plain(mismatch)
    return {"expected": shown.expected, "but": shown.but, "path": list(shown.path)}
