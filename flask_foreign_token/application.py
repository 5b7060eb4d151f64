"""What the extension knows of one app: its settings, its models, and a runtime for each process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, g, has_request_context
from flask import request as current_request
from sqlalchemy import Engine, inspect

from . import credentials, metadata
from .admin.routes import blueprint
from .app_views import METADATA, Views
from .audit import Why
from .counting import Metrics, Mirror
from .debugging import debug, warn
from .decorators import open_views, policies_of, requirements_of
from .errors import (
    CHALLENGE_CHARACTERS,
    ConfigError,
    DatabaseUnavailable,
    InvalidToken,
    Issue,
    Misconfigured,
    ProviderUnavailable,
    Refusal,
    RegistryUnavailable,
    Rejected,
)
from .per_process import PerProcess
from .request_state import ANONYMOUS, ANY_POLICY, Identity, RequestState, Requirement, begin, enforce, note_refusal
from .runtime import Runtime
from .settings import Settings
from .telling import tell
from .transactions import unavailable_as_refusal
from .users.snapshot import UserSnapshot

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy

    from .policies.python import CodePolicies
    from .redis_cache import OpenCache
    from .registry.registry_tables import RegistryTables
    from .registry.snapshot import RegistrySnapshot
    from .users.models import Models
    from .users.new_user import NewUserHook

logger = logging.getLogger(__name__)

_REMEMBERED_HINTS = 1000
_HOW_TO_ADD = "`flask foreign-token apply FILE` stores what a file holds"


class Application:
    """One app's part of the extension; stands in ``app.extensions["foreign_token"]``.

    :param file: the database's, where both are the extension's own; its folder is made before the first connection.
    :param policies: those in Python.
    :param new_user: the app's word about new users.
    :param open_cache: makes the cache that each process shares with others; none: nothing is shared.
    """

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        db: SQLAlchemy,
        models: Models,
        tables: RegistryTables,
        file: Path | None,
        policies: CodePolicies,
        new_user: NewUserHook,
        open_cache: OpenCache | None = None,
    ) -> None:
        self.app = app
        self.settings = settings
        self.db = db
        self.models = models
        self.tables = tables
        self.file = file
        self.policies = policies
        self.new_user = new_user
        self.open_cache = open_cache
        self._identify: Callable[[RequestState], Identity] = self.identify
        self.authenticate = self._identify
        """Who makes a request; replaced for a while by :func:`~flask_foreign_token.testing.acting_as`."""
        self._realm = settings.realm or _realm_of(app.name)
        self._metadata_address = None if settings.resource is None else metadata.address_of(settings.resource)
        self.runtime = PerProcess(lambda: Runtime(self))
        """What this process holds for the app; made at its first use, so that a fork shares no pool, lock or thread."""
        self.mirrors: list[Mirror] = []
        self.metrics = PerProcess(lambda: Metrics(self.mirrors))
        """What this process has counted; apart from the runtime, which cannot always be made."""
        self._pid = os.getpid()
        self._views: Views | None = None
        self._hints: set[str] = set()
        warn(self)

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one in which the app was set up."""
        return os.getpid() != self._pid

    def engine(self, bind_key: str | None) -> Engine:
        """The app's engine for a bind.

        :raises Misconfigured: `db` was never initialised for the app, or has no such bind.
        """
        with self.app.app_context():
            try:
                return self.db.engines[bind_key]
            except (RuntimeError, KeyError) as error:
                text = "db= is not initialised for app %r, or lacks the bind %r"
                tell(logger, logging.ERROR, text, self.app.name, bind_key)
                raise self.refused(Misconfigured()) from error

    @property
    def registry_file(self) -> Path | None:
        """Where resources are kept; none: in the database."""
        registry = self.settings.registry
        return None if registry == "database" else Path(self.app.root_path, registry)

    @property
    def creates_tables(self) -> bool:
        """Whether absent tables are ours to create: where there are migrations, those do it."""
        return "migrate" not in self.app.extensions

    def before_request(self) -> Response | None:
        """Start a request with nothing known of it, then find out who makes it.

        :return: what is answered in place of the view; none: the request goes on.
        :raises Refusal: the credential is not taken, or ``PROTECT`` is on and no policy allows the request.
        """
        # Not by the proxies, which take 0.6 µs to find an attribute.
        request: Request = current_request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        kept = g._get_current_object()  # noqa: SLF001
        if kept.__dict__:
            # Of whoever pushed the app context, which may serve several requests.
            kept.pop("user", None)
            kept.pop("token", None)
        state = begin(self, request)
        views = self._views or self._read_views()
        rule = request.url_rule
        if rule is None or rule.endpoint not in views.plain or request.method == "OPTIONS":
            return self._admit(state, request, views)
        if self.authenticate is not self._identify or not state.recognise(request):
            state.authenticate()
        return None

    def _admit(self, state: RequestState, request: Request, views: Views) -> Response | None:
        """As :meth:`before_request`, once the request has begun; at full length."""
        settings = self.settings
        if views.open and request.endpoint not in views.public:
            raise self.refused(Misconfigured())
        if views.lets_pass(request):
            return None
        state.authenticate()
        if request.endpoint in views.operator:
            return None
        if settings.dev_mode and (debugged := debug(state)) is not None:
            return debugged
        if settings.protect == "all":
            enforce(ANY_POLICY)
        return None

    def guards_of(self, request: Request) -> list[Requirement] | None:
        """What `request` must meet to reach its view, in the order in which that is asked; none: it reaches no view of
        the app. The operator's endpoints have a guard of their own, see :meth:`is_operators`."""
        views = self._views or self._read_views()
        if views.lets_pass(request):
            return None
        found = [ANY_POLICY] if self.settings.protect == "all" and request.endpoint not in views.operator else []
        for name in request.blueprints:
            for hook in self.app.before_request_funcs.get(name, ()):
                found += requirements_of(hook, request.method)
        found += requirements_of(self.app.view_functions[str(request.endpoint)], request.method)
        return list(dict.fromkeys(found))

    def is_operators(self, endpoint: str | None) -> bool:
        """Whether it is one of the operator's endpoints."""
        return endpoint in (self._views or self._read_views()).operator

    @property
    def open_views(self) -> tuple[str, ...]:
        """Endpoints whose guard does not hold, for which every request is refused."""
        return (self._views or self._read_views()).open

    def serve_metadata(self, resource: str) -> None:
        """Add a route for the metadata of `resource` (:rfc:`9728#section-3`).

        :raises ConfigError: `resource` cannot be the identifier of an API.
        """
        metadata.check(resource, self.settings.allow_http_hosts)

        def view() -> dict[str, object]:
            try:
                issuers = self.runtime().registry.current().issuers
            except Refusal as refusal:
                self.refused(refusal)
                raise
            views = self._views or self._read_views()
            return metadata.document(resource, issuers, views.scopes)

        # Without redirects: those that routing makes of slashes go to the host that the request names.
        rule = metadata.rule_of(resource)
        self.app.add_url_rule(rule, METADATA, view, strict_slashes=False, merge_slashes=False)

    def serve_admin(self, url_prefix: str) -> None:
        """Mount the operator's REST API."""
        self.app.register_blueprint(blueprint(self), url_prefix=url_prefix)

    def hold_to_any_policy(self) -> None:
        """Hold a request of a protected blueprint to any policy.

        :raises Refusal: no policy allows the request.
        """
        if not (self._views or self._read_views()).lets_pass(current_request):
            enforce(ANY_POLICY)

    def check(self) -> None:
        """Raise unless the app could serve: see :meth:`.ForeignToken.check`."""
        # Read anew at the first request: until then, routes can be added.
        if found := open_views(self.app.view_functions):
            raise ConfigError(f"registered without their guard: {', '.join(found)}")
        runtime = self.runtime()
        try:
            runtime.prepare_tables()
            self._check_registry(runtime)
        finally:
            runtime.release()

    def faults_of_guards(self, snapshot: RegistrySnapshot) -> list[Issue]:
        """The policies that guards ask for by name and that allow nothing, and those in Python that stand before
        stored ones."""
        # Read anew: until the first request, routes can be added.
        absent = [
            Issue(f"view {view!r}", "", f"asks for AccessPolicy/{name}, which {reason}")
            for view, names in policies_of(self.app.view_functions).items()
            for name, reason in self._absent(names, snapshot)
        ]
        hidden = [name for name in self.policies if ("AccessPolicy", name) in snapshot.resources]
        reason = "is also a policy in Python, which alone is asked where a view names it; give one of them another name"
        return [*absent, *(Issue(f"AccessPolicy/{name}", "id", reason) for name in hidden)]

    def _check_registry(self, runtime: Runtime) -> None:
        issues: tuple[Issue, ...] = ()
        try:
            snapshot = runtime.registry.load()
        except Rejected as rejected:
            issues = rejected.issues
            try:
                snapshot = runtime.registry.current()
            except Refusal:
                raise rejected from None
        issues = (*issues, *self.faults_of_guards(snapshot), *runtime.faults_of_sql())
        if issues:
            raise Rejected(issues)

    def identify(self, state: RequestState) -> Identity:
        """Who makes a request, by the credential that it brought.

        :raises Refusal: the credential is not taken.
        """
        credential = credentials.read(state.request)
        if credential is None:
            return ANONYMOUS
        return state.runtime.identify(credential, state.snapshot, state.digest_of(credential.token))

    def load_user(self, snapshot: UserSnapshot) -> Any:
        """The row behind `snapshot`: one query, without flushing the app's session.

        The row must be there, active, and still that of the identifier: a key can be given again.

        :raises InvalidToken: it is not.
        :raises DatabaseUnavailable: the database cannot be read.
        """
        users = self.runtime().users
        with unavailable_as_refusal():
            row = users.load(self.db.session, snapshot)
        if row is None:
            users.forget(snapshot.key)
            raise InvalidToken("the user is inactive")
        return row

    def snapshot_of(self, user: Any) -> UserSnapshot:
        """What policies see of `user`, a row of the app's model that has been stored."""
        return self.runtime().users.snapshot_of(inspect(user).identity[0])

    def refused(self, refusal: Refusal, why: Why | None = None) -> Refusal:
        """`refusal` with what only the app knows, noted in the log where an operator can do something about it.

        In a request it becomes a decision, once, of which the log and the signal tell.

        :param why: see :func:`.audit.note_refused`.
        """
        if refusal.decision_id is not None:
            return refusal
        refusal.realm = self._realm
        refusal.resource_metadata = self._metadata_address
        refusal.show_hint = self.app.debug
        # Whoever cannot reach a provider or load the registry says so itself, once for all the requests that suffer.
        if not isinstance(refusal, ProviderUnavailable | RegistryUnavailable):
            self._log_once(refusal)
        if isinstance(refusal, DatabaseUnavailable) and refusal.__cause__ is not None:
            tell(logger, logging.ERROR, "the database cannot be used: %s", type(refusal.__cause__).__name__)
        if has_request_context():
            note_refusal(self, refusal, why)
        return refusal

    def _log_once(self, refusal: Refusal) -> None:
        if refusal.hint and refusal.hint not in self._hints and len(self._hints) < _REMEMBERED_HINTS:
            self._hints.add(refusal.hint)
            tell(logger, logging.WARNING, "%s: %s", type(refusal).__name__, refusal.hint)

    def hint_for_denial(self, endpoint: str | None, names: Sequence[str], snapshot: RegistrySnapshot) -> str | None:
        """What an operator should know about a denial that configuration causes.

        :param names: the policies that the guard asks for by name.
        """
        if absent := self._absent(names, snapshot):
            named = ", and for ".join(f"AccessPolicy/{name}, which {reason}" for name, reason in absent)
            return f"view {endpoint!r} asks for {named}; {_HOW_TO_ADD}"
        if names or snapshot.policies:
            return None
        if any(issue.resource.startswith("AccessPolicy/") for issue in snapshot.out_of_service):
            return "no AccessPolicy is in force, since some are out of service; `flask foreign-token doctor` says why"
        return f"the registry holds no AccessPolicy, so every guarded request is denied; {_HOW_TO_ADD}"

    def _absent(self, names: Sequence[str], snapshot: RegistrySnapshot) -> list[tuple[str, str]]:
        """Those of `names` that allow nothing, each with the reason."""
        stored = ((name, snapshot.absence_of_policy(name)) for name in names if name not in self.policies)
        return [(name, reason) for name, reason in stored if reason is not None]

    def hint_for_unknown_issuer(self) -> str:
        """What an operator should know when a token of a foreign issuer comes."""
        return (
            "no TokenIntrospector names the issuer of a token in jwt.iss; "
            "`flask foreign-token provider add ID --issuer URL --audience A` registers a provider"
        )

    def hint_for_unknown_form(self) -> str:
        """What an operator should know when a token comes that is no JWT, and begins as none should."""
        return (
            "a token that is no JWT begins with the token_prefix of no TokenIntrospector of type opaque; "
            f"correct that, or add one that takes such tokens: {_HOW_TO_ADD}"
        )

    def _read_views(self) -> Views:
        views = self._views = Views.of(self.app, self.settings)
        return views


def _realm_of(name: str) -> str:
    """The app's name where a challenge can carry it."""
    return name if name and CHALLENGE_CHARACTERS.issuperset(name) else Refusal.realm
