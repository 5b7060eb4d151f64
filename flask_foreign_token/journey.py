"""What would become of one request, stage by stage: from its header to the answer, without running the view."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flask import Request
from werkzeug.exceptions import HTTPException

from . import credentials
from .diagnosis.findings import Mark
from .errors import AccessDenied, AuthenticationRequired, InvalidToken, Misconfigured, Refusal
from .introspection.choosing import UnknownForm, UnknownIssuer
from .introspection.jwt import JwtIntrospector
from .introspection.opaque import OpaqueIntrospector
from .policies.explain import Explanation, explain
from .policies.request import RequestView
from .request_state import Requirement, check_scopes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .application import Application
    from .introspection.parse import CompactJws
    from .introspection.token import Checks, Credential, Introspector, Token
    from .registry.snapshot import RegistrySnapshot
    from .users.provisioning import Prospect

CHECKS: Final[Mapping[str, str]] = {
    "form": "it is made of the characters of a token",
    "answer": "its issuer says that it is active",
    "issuer": "iss is the one that the introspector names",
    "signature": "a key of the issuer made it",
    "kind": "it is an access token",
    "times": "it is valid now",
    "audience": "it is meant for this API",
    "client": "it was issued to a client that may have it",
    "subject": "it says whom it speaks of",
}
"""What it means that a check of a token passed."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a request on its way.

    :param found: one line.
    :param milliseconds: what it took.
    """

    name: str
    mark: Mark
    found: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a guard says of the request.

    :param refusal: what it answers; none: it lets the request pass.
    :param explanation: what the policies say that it may ask; none: scopes are missing, or it is not known who asks.
    """

    requirement: Requirement
    refusal: Refusal | None
    explanation: Explanation | None


@dataclass(slots=True)
class Journey:
    """What was found out about one request.

    :param operation: the endpoint; none: routing finds none.
    :param guards: in the order in which they are asked; empty where none stands before the view.
    :param allowed: whether the view runs, or the app answers as it would anybody.
    :param status: of the answer; none: the view's.
    """

    stages: list[Stage] = field(default_factory=list)
    operation: str | None = None
    guards: list[Guarded] = field(default_factory=list)
    allowed: bool = False
    status: int | None = None


def follow(application: Application, request: Request) -> Journey:
    """Find out what would become of `request`, which was routed and is at hand.

    Keys, introspection and userinfo are asked for as in a request. Nothing is stored, nobody is told, and no user is
    made.
    """
    return _Traveller(application, request).travel()


@dataclass(slots=True)
class _Note:
    """What a stage found, once it knows."""

    mark: Mark = "ok"
    text: str = ""


class _Traveller:
    def __init__(self, application: Application, request: Request) -> None:
        self._application = application
        self._request = request
        self._journey = Journey()
        self._refusal: Refusal | None = None
        self._snapshot: RegistrySnapshot | None = None
        self._token: Token | None = None
        self._user: Mapping[str, object] | None = None

    def travel(self) -> Journey:
        try:
            self._identify()
        except Refusal as refusal:
            self._refusal = refusal
            self._token, self._user = None, None
        guards = self._route()
        self._answer(guards)
        return self._journey

    # ---- who asks

    def _identify(self) -> None:
        """:raises Refusal: the credential is not taken."""
        with self._stage("credential") as note:
            credential = credentials.read(self._request)
            note.text = self._told_of(credential)
        with self._stage("registry") as note:
            snapshot = self._snapshot = self._application.runtime().registry.current()
            out_of_service = len(snapshot.out_of_service)
            note.text = f"{len(snapshot.resources)} resources, {len(snapshot.policies)} policies in force"
            if out_of_service:
                note.mark, note.text = "warning", f"{note.text}; `doctor` says what is out of service"
        if credential is None:
            return
        self._token = self._verify(credential, snapshot)
        self._user = self._find_user(self._token, credential, snapshot)

    def _told_of(self, credential: Credential | None) -> str:
        if credential is not None:
            return f"a bearer token of {len(credential.token)} characters"
        if self._request.headers.get("Authorization"):
            return "none: the scheme in Authorization is not Bearer, so the request is anonymous"
        return "none: the request is anonymous"

    def _verify(self, credential: Credential, snapshot: RegistrySnapshot) -> Token:
        introspection = snapshot.introspection
        with self._stage("parse") as note:
            jws = introspection.read(credential)
            note.text = "a JWT, well formed" if jws is not None else "no JWT: it is opaque"
        with self._stage("introspector") as note:
            introspector: Introspector
            try:
                introspector = introspection.owner_of(credential) if jws is None else introspection.issuer_of(jws)
            except UnknownIssuer as unknown:
                raise UnknownIssuer(hint=self._application.hint_for_unknown_issuer()) from unknown
            except UnknownForm as unknown:
                raise UnknownForm(hint=self._application.hint_for_unknown_form()) from unknown
            note.text = _name_of(introspector)
        checks = _checks_of(introspector, jws, credential)
        if checks is not None:
            return self._check(checks)
        with self._stage("check") as note:
            token = introspector.introspect(credential)
            note.text = "the introspector vouches for it"
        return token

    def _check(self, checks: Checks) -> Token:
        """Make the checks that a request's token goes through, each as a stage."""
        step = next(checks)
        while isinstance(step, str):
            passed = CHECKS[step]
            with self._stage(f"check: {step}") as note:
                step = next(checks)
                note.text = passed
        return step

    def _find_user(
        self, token: Token, credential: Credential, snapshot: RegistrySnapshot
    ) -> Mapping[str, object] | None:
        users = self._application.runtime().users
        with self._stage("user") as note:
            provider = snapshot.provider_of(token.introspector)
            if provider is None or token.subject is None:
                note.text = "none: " + (
                    "the introspector is linked to no provider" if provider is None else "the token speaks of nobody"
                )
                return None
            user = users.find(token, provider)
            if user is not None:
                note.text = f"User/{user.key}"
                return user.resource
            if not users.creates(provider):
                note.text = "none is known by this subject, and none is made"
                return None
            prospect = users.prospect(token, provider, credential)
            note.text = f"none is known by this subject: {_told_of_prospect(prospect)}"
            return prospect.resource

    # ---- where to

    def _route(self) -> list[Requirement] | None:
        """What stands before the view; none: the request reaches none."""
        request, application = self._request, self._application
        self._journey.operation = request.endpoint
        with self._stage("routing") as note:
            guards = application.guards_of(request)
            error = request.routing_exception
            if error is not None:
                note.mark = "failed" if (error.code or 500) >= 400 else "ok"
                note.text = f"no view: {error.code} {error.name}"
            elif application.open_views:
                note.mark, note.text = "failed", f"registered without their guard: {', '.join(application.open_views)}"
            elif guards is None:
                note.text = f"Operation/{request.endpoint}: answers everybody"
            elif application.is_operators(request.endpoint):
                note.text = f"Operation/{request.endpoint}: the operator's, or whose policy links to it"
            elif guards:
                note.text = f"Operation/{request.endpoint}: {'; '.join(map(_told_of_guard, guards))}"
            else:
                note.mark, note.text = "warning", f"Operation/{request.endpoint}: unguarded, policies are not asked"
        return guards

    # ---- whether

    def _answer(self, guards: list[Requirement] | None) -> None:
        journey, application = self._journey, self._application
        routing: HTTPException | None = self._request.routing_exception
        if application.open_views:
            self._refused(Misconfigured())
        elif routing is not None:
            journey.status, journey.allowed = routing.code, (routing.code or 500) < 400
        elif guards is None:
            journey.allowed = True
        elif self._refusal is not None and (guards or not application.settings.optional):
            self._refused(self._refusal)
        elif application.is_operators(self._request.endpoint):
            self._operate()
        else:
            self._pass(guards)

    def _refused(self, refusal: Refusal) -> None:
        self._journey.status, self._journey.allowed = refusal.code, False

    def _pass(self, guards: list[Requirement]) -> None:
        """Ask guard by guard, and none behind the first that refuses."""
        self._journey.allowed = True
        for requirement in guards:
            with self._stage("policies") as note:
                guarded = self._ask(requirement)
                self._journey.guards.append(guarded)
                note.mark, note.text = _outcome(guarded)
            if guarded.refusal is not None:
                self._refused(guarded.refusal)
                return

    def _ask(self, requirement: Requirement) -> Guarded:
        try:
            check_scopes(self._token, requirement.scopes)
        except Refusal as refusal:
            return Guarded(requirement, refusal, None)
        explanation = self._explain(requirement)
        return Guarded(requirement, None if explanation.decision.allowed else self._denial(), explanation)

    def _explain(self, requirement: Requirement) -> Explanation:
        application, names = self._application, requirement.policies
        snapshot = self._current_snapshot()
        engines = application.runtime().engines
        return explain(snapshot.policies, snapshot.policy_bodies, engines, self._view(), names, application.policies)

    def _operate(self) -> None:
        with self._stage("policies") as note:
            policies = self._current_snapshot().policies
            decision = policies.decide_operation(self._view(), str(self._request.endpoint))
            self._journey.allowed = decision.allowed
            if decision.allowed:
                note.text = f"AccessPolicy/{decision.policy} opens the operation"
            else:
                note.mark = "failed"
                note.text = (
                    "no policy with a link to this operation allows it; the operator's password is not tried here"
                )
                self._refused(self._denial())

    def _denial(self) -> Refusal:
        return AuthenticationRequired() if self._token is None else AccessDenied()

    def _current_snapshot(self) -> RegistrySnapshot:
        """The one that the credential was looked at with, if it came to that."""
        return self._snapshot or self._application.runtime().registry.current()

    def _view(self) -> RequestView:
        return RequestView(self._request, self._token, self._user)

    @contextmanager
    def _stage(self, name: str) -> Iterator[_Note]:
        """Times a stage; a refusal that ends it is what it found."""
        note, started = _Note(), time.perf_counter()
        try:
            yield note
        except Refusal as refusal:
            note.mark, note.text = "failed", _told_of_refusal(refusal)
            raise
        finally:
            took = (time.perf_counter() - started) * 1000
            self._journey.stages.append(Stage(name, note.mark, note.text, took))


def _checks_of(introspector: Introspector, jws: CompactJws | None, credential: Credential) -> Checks | None:
    match introspector:
        case JwtIntrospector() if jws is not None:
            return introspector.checks(jws)
        case OpaqueIntrospector():
            return introspector.checks(credential) if jws is None else introspector.checks_of_jwt(jws, credential)
    return None


def _name_of(introspector: Introspector) -> str:
    resource = getattr(introspector, "introspector", None)
    kind = "opaque" if isinstance(introspector, OpaqueIntrospector) else "jwt"
    return f"TokenIntrospector/{getattr(resource, 'id', '')} ({kind})"


def _told_of_prospect(prospect: Prospect) -> str:
    if not prospect.is_new:
        return f"a request would link it to User/{prospect.resource['id']}, whose verified address is the same"
    made = "a request would make one; policies are shown it without an id"
    return f"{made}, and the app's function for new users was not asked" if prospect.by_app else made


def _told_of_refusal(refusal: Refusal) -> str:
    return "; ".join(part for part in (refusal.description, refusal.hint) if part) or refusal.error


def _told_of_guard(requirement: Requirement) -> str:
    policies = f"one of {', '.join(requirement.policies)}" if requirement.policies else "any policy"
    return f"{policies}, with the scopes {' '.join(requirement.scopes)}" if requirement.scopes else policies


def _outcome(guarded: Guarded) -> tuple[Mark, str]:
    explanation = guarded.explanation
    if explanation is None:
        return "failed", f"{_told_of_guard(guarded.requirement)}: {_told_of_refusal(guarded.refusal or InvalidToken())}"
    if explanation.decision.allowed:
        return "ok", f"AccessPolicy/{explanation.decision.policy} allows it"
    asked = sum(report.candidate for report in explanation.reports)
    return "failed", f"no policy allows it: {asked} of {len(explanation.reports)} could have"
