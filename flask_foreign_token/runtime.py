"""What one process holds for one app: its way out, its caches, its view of the registry."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING
from weakref import ref

from .admin.operator import Operator
from .caching import Cache
from .errors import Issue
from .http import Http
from .introspection.background import at_once, in_background
from .introspection.choosing import UnknownForm, UnknownIssuer
from .introspection.token import Credential, Token, Versioned
from .metrics import NONE
from .policies.engines import Engines, installed
from .policies.lint import lint
from .policies.sql.database import Database
from .policies.sql.server import SETTING
from .registry.catalog import Catalog
from .registry.database import DatabaseRegistry
from .registry.feed import ChangeFeed
from .registry.file import FileRegistry
from .registry.live import LiveRegistry
from .registry.resources import Key, Resource
from .registry.secret_sources import SecretSources, secret_warnings
from .registry.snapshot import RegistrySnapshot, SnapshotBuilder
from .request_state import Identity, Standing
from .shared_cache import ALONE
from .signals import USER_SIGNALS
from .tables import create_missing, require_tables
from .telling import tell
from .transactions import Transactions
from .upgrading import add_missing, require_columns
from .users.account_access import AccountAccess
from .users.accounts import Accounts
from .users.announced_writes import AnnouncedWrites
from .users.identifier_links import IdentifierLinks
from .users.personal_data import PersonalData
from .users.provider import Provider
from .users.provisioning import Users
from .users.snapshot import Event, UserSnapshot

if TYPE_CHECKING:
    from .application import Application

logger = logging.getLogger(__name__)

_SECRETS_OF_FLASK = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SQLALCHEMY_DATABASE_URI",
    "SQLALCHEMY_BINDS",
    "SQLALCHEMY_ENGINE_OPTIONS",
)
# Of these the options hold a password in connect_args at most.


class Runtime:
    """What an app needs beyond its set-up, put together anew in each process. Making one does no I/O.

    :param clock: seconds since the epoch.
    """

    def __init__(self, application: Application, clock: Callable[[], float] = time.time) -> None:
        settings = application.settings
        self.metrics = metrics = application.metrics()
        transactions = Transactions(application.engine(None))
        feed = ChangeFeed(transactions, application.tables)
        self._application = application
        self._clock = clock
        self._has_columns = False
        self._transactions = transactions
        self._user_transactions = Transactions(application.engine(application.models.bind_key))
        if application.forked:
            self._transactions.leave_parents_connections()
            self._user_transactions.leave_parents_connections()
        self._tokens: Cache[Standing] = Cache(settings.token_cache_size, clock)
        self.operator = Operator(settings.admin_client_id, settings.admin_client_secret)
        self.http = Http(
            timeout=settings.http_timeout, allow_http_hosts=settings.allow_http_hosts, on_fetch=metrics.fetch
        )
        self._database = None if settings.sql_uri is None else Database(settings.sql_uri, clock)
        self.engines = Engines(database=self._database, others=installed())
        self._secrets = SecretSources(settings.secret_dirs, settings.secret_env, os.environ, self._own_secrets)
        open_cache = application.open_cache
        self.shared_cache = None if open_cache is None else open_cache(clock, metrics.ask_shared)
        self._builder = SnapshotBuilder(
            self.http,
            require_audience=settings.require_audience,
            default_audience=settings.resource,
            key_grace=settings.key_grace,
            cache_size=settings.token_cache_size,
            engines=self.engines,
            targets=application.models.targets,
            sources=self._secrets,
            sharing=self.shared_cache or ALONE,
            clock=clock,
        )
        self.users = Users(
            application.models,
            self._user_transactions,
            create_user=settings.create_user,
            ttl=settings.user_ttl,
            size=settings.token_cache_size,
            clock=clock,
            hook=application.new_user,
            announce=self._announce,
        )
        file = application.registry_file
        store: DatabaseRegistry | FileRegistry
        if file is None:
            store = DatabaseRegistry(transactions, application.tables, feed)
        else:
            store = FileRegistry(file, os.environ)
        self.registry = LiveRegistry(
            store,
            feed,
            self._builder,
            prepare=self.prepare_tables,
            on_user_change=self._forget_users,
            poll=settings.registry_poll,
            tolerant=file is None,
            on_look=lambda look: metrics.look(look.result, look.seconds),
            begin=at_once if transactions.share_a_connection else in_background,
        )
        self.catalog = Catalog(
            store,
            # A file can be read and edited while there is no database.
            prepare=self.prepare_tables if file is None else _nothing,
            faults=self._faults_of,
            refresh=self.registry.refresh,
            lint=self._warnings_of,
        )
        apart = None if application.models.bind_key is None else self._user_transactions
        access = AccountAccess(
            application.models,
            self._user_transactions,
            AnnouncedWrites(feed, apart, forget=self._forget_users, announce=self._announce),
            prepare=self.prepare_tables,
            clock=clock,
        )
        self.accounts = Accounts(access, self._issuer_of)
        self.links = IdentifierLinks(access, self._issuer_of)
        self.personal_data = PersonalData(access)

    def recall(self, digest: bytes, snapshot: RegistrySnapshot) -> Identity | None:
        """Who presents the token with that digest, as far as nobody needs to be asked; none: that must be found out.

        This is all that a request with a token and a user that are known needs: one look-up, and what was found at an
        earlier request, as long as it holds. To look the user up as well takes 2 µs more where there are thousands.

        :param digest: of the token: see :func:`.credentials.digest`.
        :param snapshot: the one that the request reads.
        """
        standing = self._tokens.peek(digest)
        if standing is None or standing.mark is not snapshot.mark or standing.evidence.withdrawn:
            return None
        if not self._clock() < standing.until:
            return None
        user = None
        if standing.known is not None:
            known = standing.known()
            if known is None or known.ended:
                return None
            user = known.user
        standing.counter.tick()
        return Identity(standing, user, digest)

    def identify(self, credential: Credential, snapshot: RegistrySnapshot, key: bytes) -> Identity:
        """Who presents `credential`.

        :param snapshot: the one that the request reads.
        :param key: the digest of the token: see :func:`.credentials.digest`.
        :raises Refusal: the token is not taken, or that cannot be told.
        """
        standing = self._tokens.get(key)
        if standing is None or standing.evidence.withdrawn or not snapshot.vouches(standing.token.introspector):
            return self._meet(credential, snapshot, key)
        token = standing.token
        self.metrics.remembered(token.introspector.id).tick()
        provider = snapshot.provider_of(token.introspector)
        user = None if provider is None else self.users.find_or_create(token, provider, credential)
        return self._remembered(key, token, snapshot, user, provider)

    def _remembered(
        self, key: bytes, token: Token, snapshot: RegistrySnapshot, user: UserSnapshot | None, provider: Provider | None
    ) -> Identity:
        """Who presents `token`, which :meth:`recall` knows from now on; and its user, as long as that is remembered."""
        counter = self.metrics.remembered(token.introspector.id)
        standing = Standing(token, token.evidence, counter, snapshot.mark)
        if provider is None or token.subject is None:
            standing.until = token.usable_until
        else:
            known = self.users.recall(token, provider)
            if known is not None and known.user is user:
                standing.known, standing.until = ref(known), min(token.usable_until, known.until)
        self._tokens.put(key, standing, token.usable_until)
        return Identity(standing, user, key)

    def _meet(self, credential: Credential, snapshot: RegistrySnapshot, key: bytes) -> Identity:
        """Who presents a credential that is new here."""
        begun, introspector = time.perf_counter(), NONE
        try:
            resource, introspect = self._chosen(credential, snapshot)
            introspector = resource.id
            token = introspect()
            provider = snapshot.provider_of(token.introspector)
            user = None if provider is None else self.users.meet(token, provider, credential)
            # Only now: a token that userinfo refuses is as new the next time.
            identity = self._remembered(key, token, snapshot, user, provider)
        except BaseException as error:
            self.metrics.met(introspector, begun, error)
            raise
        self.metrics.met(introspector, begun)
        return identity

    def prepare_tables(self) -> None:
        """Make our tables, and add what those of an earlier version lack, where that is ours to do.

        :raises DatabaseUnavailable: they are not there, or lack a column.
        """
        application = self._application
        if application.file is not None and not application.file.exists():
            application.file.parent.mkdir(parents=True, exist_ok=True)
            text = "users and resources are kept in %s; pass db= to keep them elsewhere"
            tell(logger, logging.WARNING, text, application.file)
        make, complete = (
            (create_missing, add_missing) if application.creates_tables else (require_tables, require_columns)
        )
        for transactions, tables in (
            (self._transactions, application.tables.all),
            (self._user_transactions, application.models.tables),
        ):
            make(transactions, tables)
            # Whether the tables are there is asked each time, since a database can be put in another's place. What is
            # in them takes many statements, and is asked until it is all there.
            if not self._has_columns:
                complete(transactions, tables)
        self._has_columns = True

    def cached(self) -> dict[str, int]:
        """How many tokens and users this process remembers."""
        return {"tokens": len(self._tokens), "users": self.users.remembered}

    def faults_of_sql(self) -> list[Issue]:
        """What is wrong at this moment with the database that the engine ``sql`` asks; nothing where none is set."""
        fault = None if self._database is None else self._database.fault()
        return [] if fault is None else [Issue(SETTING, "", fault)]

    def release(self) -> None:
        """Close idle connections to the database, so that a process that is forked from here inherits none."""
        self._transactions.release()
        self._user_transactions.release()
        if self._database is not None:
            self._database.release()

    def _chosen(self, credential: Credential, snapshot: RegistrySnapshot) -> tuple[Versioned, Callable[[], Token]]:
        try:
            return snapshot.introspection.chosen(credential)
        except UnknownIssuer as unknown:
            raise UnknownIssuer(hint=self._application.hint_for_unknown_issuer()) from unknown
        except UnknownForm as unknown:
            raise UnknownForm(hint=self._application.hint_for_unknown_form()) from unknown

    def _own_secrets(self) -> Iterator[object]:
        """The settings that hold secrets of the app's own, as they are now: the app may still set some."""
        settings, config = self._application.settings, self._application.app.config
        # A setting that must not be shown is a secret.
        yield from (getattr(settings, item.name) for item in fields(settings) if not item.repr)
        yield from (config.get(name) for name in _SECRETS_OF_FLASK)
        # Wherever they come from: a setting may have been changed since, or never been one.
        yield from (self._application.engine(bind).url for bind in {None, self._application.models.bind_key})

    def _faults_of(
        self, resources: Iterable[Resource], unreadable: Iterable[Key], deleted: Collection[Key]
    ) -> Iterable[Issue]:
        """Everything that is wrong with resources as a whole; see :class:`.Catalog`."""
        return self._builder.faults(resources, unreadable, deleted, known=self.registry.in_force)

    def _warnings_of(self, key: Key, body: Mapping[str, object]) -> Iterable[Issue]:
        """What is probably not meant in a resource."""
        type_, id_ = key
        if type_ == "AccessPolicy":
            return lint(id_, body, engines=self.engines)
        is_kept = self._application.registry_file is None
        return secret_warnings("/".join(key), body, self._secrets, is_kept=is_kept)

    def _forget_users(self, keys: Collection[str] | None) -> None:
        if keys is None:
            self.users.forget_all()
        else:
            self.users.forget(*keys)

    def _issuer_of(self, system: str) -> str | None:
        issuer = self.registry.current().issuer_of(system)
        if issuer is not None:
            return issuer
        # Its provider may have been registered a moment ago, at another worker.
        self.registry.refresh()
        return self.registry.current().issuer_of(system)

    def _announce(self, event: Event, user: UserSnapshot) -> None:
        """Count what became of a user, and send the signal for it."""
        self.metrics.user(event)
        app = self._application.app
        USER_SIGNALS[event].send(app, _async_wrapper=app.ensure_sync, user=user)


def _nothing() -> None:
    """What there is to prepare for a file."""
