"""What one request knows: its snapshot of the registry, its token, its user. It ends with the request."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask, Request, current_app, has_request_context
from flask import request as current_request
from flask.globals import request_ctx

from .audit import Why, is_heard, note_allowed, note_refused
from .credentials import digest, may_hold_second
from .denials import reasons
from .errors import AccessDenied, AuthenticationRequired, InsufficientScope, Misconfigured, Refusal
from .introspection.token import Evidence, Token
from .policies.request import RequestView
from .users.snapshot import UserSnapshot

if TYPE_CHECKING:
    from weakref import ref

    from .application import Application
    from .counting import Counter
    from .policies.decisions import Policies, Prospect
    from .registry.snapshot import RegistrySnapshot
    from .runtime import Runtime
    from .users.known_users import Known

logger = logging.getLogger(__name__)

_ATTRIBUTE = "foreign_token_state"
_UNLOADED: Any = object()
_HOW_TO_FIND_OUT = "none of the policies allows the request; `flask foreign-token explain` shows why"


class Identity(NamedTuple):
    """Who a request is made by.

    :param standing: what the token is known by; none when the request is anonymous.
    :param user: none also when the introspector has no provider, or users are not created and this one is unknown.
    :param token_digest: SHA-256 of the token as it was sent; none where no token was.
    """

    standing: Standing | None = None
    user: UserSnapshot | None = None
    token_digest: bytes | None = None

    @property
    def token(self) -> Token | None:
        """What was verified. Most requests do without it, and of thousands of tokens each object that is looked at is
        a wait for memory.
        """
        return None if self.standing is None else self.standing.token


ANONYMOUS = Identity()


@dataclass(slots=True, eq=False)
class Standing:
    """A token that this process remembers, and what was found out of it at earlier requests. What that rests on is
    looked at whenever it is used.

    :param evidence: the token's, here as well, so that a request need not look at the token itself.
    :param counter: counts its requests.
    :param mark: of the snapshot of the registry for which the rest holds.
    :param until: when somebody must be asked again, in seconds since the epoch; past, where the rest was not found out.
    :param known: what is remembered of the user, as long as it is; none: the token has none.
    :param prospect: what the policies come to for the token, once that was asked.
    """

    token: Token
    evidence: Evidence
    counter: Counter
    mark: object
    until: float = -math.inf
    known: ref[Known] | None = None
    prospect: Prospect | None = None


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

    application: Application
    identity = ANONYMOUS
    refusal: Refusal | None = None
    """Why the credential was not taken, where ``OPTIONAL`` lets the request go on."""
    allowed: Mapping[tuple[str, ...], str | None] = MappingProxyType({})
    """What guards asked for and were granted, and the id of the policy that granted it."""
    _runtime: Runtime | None = None
    _snapshot: RegistrySnapshot | None = None
    _digested: tuple[str, bytes] | None = None
    """What was not recognised, and its digest."""
    _user: Any = _UNLOADED

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

    def recognise(self, request: Request) -> bool:
        """Find out who makes a request whose token and user are known here; false: that must be done at full length.

        What it looks at was checked when the token was met. It takes 4 µs, where authenticating at full length takes 9.
        """
        environ = request.environ
        header: str | None = environ.get("HTTP_AUTHORIZATION")
        if header is None or header[:7] != "Bearer ":
            return False
        if (environ.get("QUERY_STRING") or "CONTENT_TYPE" in environ) and may_hold_second(environ):
            return False
        try:
            runtime = self._runtime = self.application.runtime.here()
            snapshot = self._snapshot = runtime.registry.current()
        except Refusal:
            return False  # It is raised again, and noted.
        token = header[7:]
        digested = digest(token)
        identity = runtime.recall(digested, snapshot)
        if identity is None:
            self._digested = token, digested
            return False
        self.identity = identity
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

    def allowing(self, request: Request, names: tuple[str, ...], prospect: Prospect | None) -> str | None:
        """The id of the policy that allows `request`, the one at hand.

        :param prospect: what the policies come to for its token, if that is known.
        :raises Refusal: none does.
        """
        policies = (self._snapshot or self.snapshot).policies
        if names:
            view = self.view(request)
            policy = self.application.policies.decide(policies, view, names).policy
        else:
            prospect = prospect or self._prospect(policies)
            policy = prospect.policy or policies.allowing_by_address(request.path, request.method, prospect)
            if policy is not None:
                return policy
            view = self.view(request)
            policy = policies.allowing(view, prospect)
        if policy is None:
            raise self._denial(names, view)
        return policy

    def _prospect(self, policies: Policies) -> Prospect:
        """What the policies come to for the token of the request; from now on that is known."""
        prospect = policies.prospect(self.identity.token)
        standing = self.identity.standing
        if standing is not None:
            standing.prospect = prospect
        return prospect

    def _denial(self, names: tuple[str, ...], view: RequestView) -> Refusal:
        hint = self.application.hint_for_denial(self.request.endpoint, names, self.snapshot)
        denied = AuthenticationRequired(hint=hint) if self.identity.token is None else AccessDenied(hint=hint)
        if self.identity.token is not None:
            denied.advice = _HOW_TO_FIND_OUT
        return self.application.refused(denied, partial(reasons, self, names, view))

    def view(self, request: Request | None = None) -> RequestView:
        """What policies see of the request at hand; `request` is that, where it is known already."""
        identity = self.identity
        user = identity.user
        return RequestView(request or self.request, identity.token, None if user is None else user.resource)


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
    state = RequestState()  # An __init__ takes 0.15 µs to be called.
    state.application = application
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

    :raises Refusal: it does not meet it, its credential was not taken, there was no ``init_app``, or nobody can tell.
    """
    request: Request = current_request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    state: RequestState | None = getattr(request, _ATTRIBUTE, None)
    # As in :func:`current_state`, since each call that a guard makes takes 0.15 µs.
    if state is None or state.application.app is not current_app._get_current_object():  # type: ignore[attr-defined]  # noqa: SLF001
        state = current_state()
    if state is None:
        logger.error("view %r is guarded, but init_app was not called for its app", request.endpoint)
        raise without_extension()
    if state.refusal is not None:
        raise state.refusal
    names, standing = requirement.policies, state.identity.standing
    try:
        if requirement.scopes:
            check_scopes(state.identity.token, requirement.scopes)
        allowed = state.allowed
        if allowed and names in allowed:
            return
        prospect = None if names or standing is None else standing.prospect
        policy = None if prospect is None else prospect.policy
        if policy is None:
            policy = state.allowing(request, names, prospect)
        # Two guards that the same policy lets pass decide one thing.
        if not allowed or policy not in allowed.values():
            state.note_allowed(policy)
        # Only now: what could not be noted is not granted.
        state.allowed = {**allowed, names: policy} if allowed else {names: policy}
    except Refusal as refusal:
        state.application.refused(refusal)
        raise


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
