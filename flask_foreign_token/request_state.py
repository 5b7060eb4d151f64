"""What one request knows: its snapshot of the registry, its token, its user. It ends with the request."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask, Request, current_app, has_request_context
from flask import request as current_request
from flask.globals import request_ctx

from .audit import Why, is_heard, note_allowed, note_refused
from .credentials import digest
from .denials import reasons
from .errors import AccessDenied, AuthenticationRequired, InsufficientScope, Misconfigured, Refusal
from .introspection.token import Token
from .policies.decisions import DENIED
from .policies.request import RequestView
from .users.snapshot import UserSnapshot

if TYPE_CHECKING:
    from weakref import ref

    from .application import Application
    from .counting import Counter
    from .policies.decisions import Decision, Policies
    from .registry.snapshot import RegistrySnapshot
    from .runtime import Runtime
    from .users.known_users import Known

logger = logging.getLogger(__name__)

_ATTRIBUTE = "foreign_token_state"
_UNLOADED: Any = object()
_HOW_TO_FIND_OUT = "none of the policies allows the request; `flask foreign-token explain` shows why"


class Identity(NamedTuple):
    """Who a request is made by.

    :param token: verified; none when the request is anonymous.
    :param user: none also when the introspector has no provider, or users are not created and this one is unknown.
    :param token_digest: SHA-256 of the token as it was sent; none where no token was.
    """

    token: Token | None = None
    user: UserSnapshot | None = None
    token_digest: bytes | None = None


ANONYMOUS = Identity()
_ADDRESSES = 4
"""Addresses of which is remembered, for each token, that a policy allows them. Thousands of tokens are kept."""
_LONGEST_PATH = 128
"""Characters of such an address."""


@dataclass(slots=True, eq=False)
class Standing:
    """What was found out of a token at an earlier request; kept with the token. What it rests on is looked at whenever
    it is used.

    :param mark: of the snapshot of the registry.
    :param known: what is remembered of the user, as long as it is; none: the token has none.
    :param counter: counts such requests.
    :param policy: the id of the stored policy that allows whatever the token is brought for, once that was asked.
    """

    mark: object
    known: ref[Known] | None
    counter: Counter
    policy: str | None = None
    _by_address: dict[tuple[str, str], str] | None = None

    def remembered(self, request: Request) -> str | None:
        """The id of a policy that allows `request`, as one with the same address and method was allowed before."""
        known = self._by_address
        return None if known is None else known.get((request.path, request.method))

    def remember(self, decision: Decision, policies: Policies, request: Request) -> None:
        """Remember what allows `request`, as far as that can be told of others."""
        if decision.policy is None:
            return
        if policies.rests_on_token(decision):
            self.policy = decision.policy
        elif policies.rests_on_address(decision) and len(request.path) <= _LONGEST_PATH:
            known = self._by_address
            if known is None or len(known) >= _ADDRESSES:
                known = self._by_address = {}
            known[request.path, request.method] = decision.policy


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a guard asks for.

    :param policies: ids, one of which must allow the request; none: any stored policy may.
    :param scopes: all of which the token must have been granted, in the order in which a challenge names them.
    """

    policies: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


ANY_POLICY = Requirement()


class RequestState:
    """What is known of one request; kept on the request object, so that nothing of it outlives the request."""

    identity = ANONYMOUS
    refusal: Refusal | None = None
    """Why the credential was not taken, where ``OPTIONAL`` lets the request go on."""
    allowed: Mapping[tuple[str, ...], str | None] = MappingProxyType({})
    """What guards asked for and were granted, and the id of the policy that granted it."""
    _runtime: Runtime | None = None
    _snapshot: RegistrySnapshot | None = None
    _standing: Standing | None = None
    """What the token was known by, where nobody had to be asked."""
    _digested: tuple[str, bytes] | None = None
    """What was not recognised, and its digest."""
    _user: Any = _UNLOADED

    def __init__(self, application: Application) -> None:
        self.application = application

    @property
    def request(self) -> Request:
        """The request at hand, which has this. Not kept here, or the collector of garbage alone could free the two."""
        return current_request._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001

    @property
    def runtime(self) -> Runtime:
        """What this process holds for the app; looked up once, since asking for the id of the process is not free."""
        runtime = self._runtime
        if runtime is None:
            runtime = self._runtime = self.application.runtime()
        return runtime

    @property
    def snapshot(self) -> RegistrySnapshot:
        """The one snapshot that this request reads, taken at its first use."""
        snapshot = self._snapshot
        if snapshot is None:
            snapshot = self._snapshot = self.runtime.registry.current()
        return snapshot

    def recognise(self, token: str) -> bool:
        """Whether that token is known here, and its user; then it is known who makes the request.

        :raises Unavailable: that cannot be told.
        """
        runtime = self._runtime = self.application.runtime()
        snapshot = self._snapshot = runtime.registry.current()
        digested = digest(token)
        recalled = runtime.recall(digested, snapshot)
        if recalled is None:
            self._digested = token, digested
            return False
        self._standing, self.identity = recalled
        return True

    def digest_of(self, token: str) -> bytes:
        """As :func:`.credentials.digest`, of the token of this request, which may have been digested before."""
        known, self._digested = self._digested, None
        return known[1] if known is not None and known[0] == token else digest(token)

    def authenticate(self) -> None:
        """Find out who makes the request.

        :raises Refusal: its credential is not taken, and ``OPTIONAL`` is off.
        """
        try:
            self.identity = self.application.authenticate(self)
        except Refusal as refusal:
            # First of all: whoever is told of it may ask for more.
            self.refusal = refusal
            self.application.refused(refusal)
            if not self.application.settings.optional:
                raise

    def enforce(self, requirement: Requirement) -> None:
        """Return when the request meets `requirement`.

        :raises Refusal: it does not, or that cannot be told.
        """
        if self.refusal is not None:
            raise self.refusal
        names = requirement.policies
        try:
            if requirement.scopes:
                check_scopes(self.identity.token, requirement.scopes)
            if names not in self.allowed:
                standing = self._standing
                policy = None if names or standing is None else standing.policy or standing.remembered(self.request)
                self._grant(names, self._allowing(names) if policy is None else policy)
        except Refusal as refusal:
            self.application.refused(refusal)
            raise

    def opens_operation(self, endpoint: str) -> bool:
        """Whether a policy opens one of the operator's endpoints to the caller.

        :raises Unavailable: that cannot be told.
        """
        if self.identity.token is None:
            return False
        decision = self.snapshot.policies.decide_operation(self.view(), endpoint)
        if decision.allowed:
            self.note_allowed(decision.policy)
        return decision.allowed

    def note_allowed(self, policy: str | None) -> None:
        """Count, and tell whoever listens, that the request is allowed.

        :param policy: as for :func:`.audit.note_allowed`.
        :raises Exception: likewise.
        """
        if is_heard():
            note_allowed(self.application.app, self.request, self.identity, policy)
        # Only now: what a receiver of the signal ends was not allowed.
        (self._runtime or self.runtime).metrics.allow()

    def user(self) -> Any:
        """The user's row, loaded on first touch; see :meth:`Application.load_user`.

        Once that was refused the request is anonymous, so that a page that tells of the refusal can look.

        :raises Refusal: the row is not to be had, at the first touch.
        """
        if self._user is not _UNLOADED:
            return self._user
        if self.identity.user is None:
            # Not for good: whoever asks while a user is being made can ask again.
            return None
        # Also what somebody sees who asks while the row is being loaded: a listener to the session's queries.
        self._user = None
        try:
            self._user = self.application.load_user(self.identity.user)
        except Refusal as refusal:
            self.refusal = refusal
            self.application.refused(refusal)
            self.identity = ANONYMOUS
            raise
        return self._user

    def _grant(self, names: tuple[str, ...], policy: str | None) -> None:
        allowed = self.allowed
        # Two guards that the same policy lets pass decide one thing.
        if not allowed or policy not in allowed.values():
            self.note_allowed(policy)
        # Only now: what could not be noted is not granted.
        self.allowed = {**allowed, names: policy} if allowed else {names: policy}

    def _allowing(self, names: tuple[str, ...]) -> str | None:
        """The id of the policy that allows the request.

        :raises Refusal: none does.
        """
        policies = self.snapshot.policies
        decision = DENIED if names else policies.decide_by_token(self.identity.token)
        if not decision.allowed:
            view = self.view()
            decision = self.application.policies.decide(policies, view, names)
            if not decision.allowed:
                raise self._denial(names, view)
        if self._standing is not None and not names:
            self._standing.remember(decision, policies, self.request)
        return decision.policy

    def _denial(self, names: tuple[str, ...], view: RequestView) -> Refusal:
        hint = self.application.hint_for_denial(self.request.endpoint, names, self.snapshot)
        denied = AuthenticationRequired(hint=hint) if self.identity.token is None else AccessDenied(hint=hint)
        if self.identity.token is not None:
            denied.advice = _HOW_TO_FIND_OUT
        return self.application.refused(denied, partial(reasons, self, names, view))

    def view(self) -> RequestView:
        """What policies see of the request."""
        identity = self.identity
        return RequestView(self.request, identity.token, None if identity.user is None else identity.user.resource)


def check_scopes(token: Token | None, scopes: Collection[str]) -> None:
    """Check that `token` was granted every one of `scopes`; none: the request brought no token.

    :raises Refusal: it was not.
    """
    if not scopes:
        return
    if token is None:
        raise AuthenticationRequired
    if not token.scopes.issuperset(scopes):
        raise InsufficientScope(" ".join(scopes))


def begin(application: Application, request: Request) -> RequestState:
    """Start `request` with nothing known of it, whatever the context that it runs in knew before."""
    state = RequestState(application)
    setattr(request, _ATTRIBUTE, state)
    return state


def current_state() -> RequestState | None:
    """The state of the request at hand; none in an app without ``init_app``, or under the context of another app.

    A request that was pushed and never dispatched (``test_request_context``) is authenticated here.

    :raises Refusal: as :meth:`RequestState.authenticate`.
    """
    # Not by the proxies, which take 0.6 µs to find an attribute.
    context = request_ctx._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    request: Request = context.request
    state: RequestState | None = getattr(request, _ATTRIBUTE, None)
    if state is not None and state.application.app is app:
        return state
    application: Application | None = app.extensions.get("foreign_token")
    if application is None or app is not context.app:
        return None
    state = begin(application, request)
    state.authenticate()
    return state


def enforce(requirement: Requirement) -> None:
    """Hold the request at hand to `requirement`.

    :raises Refusal: as :meth:`RequestState.enforce`; :exc:`~.errors.Misconfigured` in an app without ``init_app``.
    """
    state = current_state()
    if state is None:
        logger.error("view %r is guarded, but init_app was not called for its app", current_request.endpoint)
        raise without_extension()
    state.enforce(requirement)


def note_refusal(application: Application, refusal: Refusal, why: Why | None) -> None:
    """Make `refusal` the decision about the request at hand, as far as it is known who makes it, and count it."""
    application.metrics().refuse(refusal)
    request: Request = request_ctx.request
    state: RequestState | None = getattr(request, _ATTRIBUTE, None)
    if state is None or state.application is not application:
        note_refused(request_ctx.app, request, ANONYMOUS, refusal)
    else:
        note_refused(application.app, request, state.identity, refusal, why)


def without_extension() -> Misconfigured:
    """The refusal of a request that is guarded by an extension of which its app knows nothing."""
    refusal = Misconfigured()
    note_refused(request_ctx.app, request_ctx.request, ANONYMOUS, refusal)
    return refusal


def globals_class(application: Application, base: type[Any]) -> type[Any]:
    """A class for ``g`` under which ``g.user`` and ``g.token`` are those of the request at hand.

    They are looked up only where the app has not assigned its own, and absent outside a request.
    """

    class ForeignTokenGlobals(base):  # type: ignore[misc]
        def __getattr__(self, name: str) -> Any:
            state = _visible(application, name)
            if state is None:
                return super().__getattr__(name)
            return state.user() if name == "user" else state.identity.token

        def get(self, name: str, default: Any = None) -> Any:
            if name in self.__dict__ or _visible(application, name) is None:
                return super().get(name, default)
            return getattr(self, name)

        def setdefault(self, name: str, default: Any = None) -> Any:
            if name in self.__dict__ or _visible(application, name) is None:
                return super().setdefault(name, default)
            return getattr(self, name)

        def __contains__(self, name: object) -> bool:
            return super().__contains__(name) or _visible(application, name) is not None

    return ForeignTokenGlobals


def _visible(application: Application, name: object) -> RequestState | None:
    if name not in ("user", "token") or not has_request_context():
        return None
    state = current_state()
    return state if state is not None and state.application is application else None
