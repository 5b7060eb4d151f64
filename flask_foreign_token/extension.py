"""``ForeignToken``: wires the rest to an app."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from cachelib import BaseCache
from flask import Blueprint, Flask, current_app, has_app_context
from flask_sqlalchemy import SQLAlchemy
from werkzeug.local import LocalProxy

from . import login
from .application import Application
from .cli import commands
from .decorators import holding_to
from .errors import ConfigError, Refusal
from .introspection.remote_keys import KeySourceState
from .own_database import open_own
from .policies.python import CodePolicies, Function
from .redis_cache import opener_of
from .registry.registry_tables import tables_for
from .request_state import ANY_POLICY, globals_class, without_extension
from .runtime import Runtime
from .settings import Settings
from .stats import stats
from .users.models import models_for
from .users.new_user import NewUserFunction, NewUserHook
from .users.primary_keys import text_of

logger = logging.getLogger(__name__)

EXTENSION = "foreign_token"

Asked = TypeVar("Asked", bound=Function)
MakesUsers = TypeVar("MakesUsers", bound=NewUserFunction)


class ForeignToken:
    """Lets an app accept bearer tokens that foreign identity providers issued.

    :param app: initialised at once where given; else call :meth:`init_app`, for as many apps as there are.
    :param db: the app's database. Without it, the ``SQLAlchemy`` that the app already has, else a SQLite file in the
        instance folder.
    :param user_class: the app's own model of a user, with a primary key of one column; a model of ours if none.
    :param active_attribute: the attribute of `user_class` that is false when a user must not get in.
    :param user_attributes: columns of `user_class` that a provider's ``toScim`` may set; it can reach no others.
    :param cache: where workers share what they fetch, in place of ``FOREIGN_TOKEN_CACHE_URL``: a ``RedisCache`` or
        ``ValkeyCache`` of cachelib, whose server, credentials and key prefix are used, with connections and limits of
        our own.
    """

    def __init__(
        self,
        app: Flask | None = None,
        db: SQLAlchemy | None = None,
        *,
        user_class: type[Any] | None = None,
        active_attribute: str | None = None,
        user_attributes: Sequence[str] = (),
        cache: BaseCache | None = None,
    ) -> None:
        self._db = db
        self._user_class = user_class
        self._active_attribute = active_attribute
        self._user_attributes = user_attributes
        self._cache = cache
        self._new_user = NewUserHook()
        self._has_login = False
        self._policies = CodePolicies()
        self._apps: WeakSet[Flask] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the settings, build the models and put the hook in place. Opens no connection, file or thread.

        :raises ConfigError: a setting does not fit, the app has an extension of ours already, or `user_class` or
            `cache` cannot be used.
        """
        if EXTENSION in app.extensions:
            raise ConfigError("init_app was called twice for one app")
        settings = Settings.read(app.config, os.environ)
        open_cache = opener_of(settings, self._cache, app.name)
        db, file = self._database(app)
        models = models_for(db, self._user_class, self._active_attribute, self._user_attributes)
        application = Application(
            app, settings, db, models, tables_for(db.metadata), file, self._policies, self._new_user, open_cache
        )
        app.extensions[EXTENSION] = application
        app.app_ctx_globals_class = globals_class(application, app.app_ctx_globals_class)
        app.before_request_funcs.setdefault(None, []).insert(0, application.before_request)
        if self._has_login:
            login.watch(app, application.before_request)
        app.cli.add_command(commands)
        if settings.resource is not None:
            application.serve_metadata(settings.resource)
        if settings.admin_url_prefix is not None:
            application.serve_admin(settings.admin_url_prefix)
        self._apps.add(app)

    def protect(self, blueprint: Blueprint) -> None:
        """Let the views of `blueprint`, nested ones included, run only when a stored policy allows the request.

        Call it before the blueprint is registered. Static files and the ``OPTIONS`` that Flask answers by itself pass.
        """
        hooks = blueprint.before_request_funcs[None]
        if _hold_to_any_policy not in hooks:
            blueprint.before_request(_hold_to_any_policy)
            # Before those that are there already: one of them may answer.
            hooks.insert(0, hooks.pop())

    def policy(self, name: str) -> Callable[[Asked], Asked]:
        """Make a policy of a function, for the views that name it in :func:`.require_policy`, and for no others.

        The function gets what policies see of the request, as a dictionary of its own, and returns ``True`` to allow
        it. Whatever else it returns denies; so does what it raises, which is logged once. A stored policy of the same
        id has no part in what such a view decides.

        It can be used before :meth:`init_app` and after it, and holds for every app of this instance.

        :param name: 1 character or more, not blank.
        :raises ConfigError: `name` is taken, or what is decorated is no plain function.
        """

        def add(function: Asked) -> Asked:
            self._policies.add(name, function)
            return function

        self._policies.check_name(name)
        return add

    def new_user(self, function: MakesUsers) -> MakesUsers:
        """Let `function` make the users whom nobody has seen before.

        It gets a :class:`~flask_foreign_token.users.new_user.NewUser` and returns a new instance of the app's model,
        added to no session; or ``None``: then the token has no user, as where ``FOREIGN_TOKEN_CREATE_USER`` is off. To
        refuse the request it raises one of :mod:`~flask_foreign_token.errors`. What ``toScim`` says of
        `user_attributes` is set afterwards.

        It runs in the request, before and outside the transaction that stores the user, and also for one whom another
        process stores first. It holds for every app of this instance, and can be set before :meth:`init_app` and after.

        :raises ConfigError: there is one already.
        """
        self._new_user.set(function)
        return function

    def check(self, app: Flask | None = None) -> None:
        """Make our tables where that is ours to do, and load the registry; for a ``wsgi.py`` that must not start ill.

        :param app: the current app if none, else the only one.
        :raises Rejected: the registry does not load, a view asks for a policy that is not in force, a policy in
            Python has the id of a stored one, or the database of ``FOREIGN_TOKEN_SQL_URI`` does not answer or its role
            can do more than read; names every fault.
        :raises Unavailable: the database cannot be reached, or our tables are not there.
        :raises ConfigError: a view is registered without its guard.
        """
        application = self.application_of(app)
        with application.app.app_context():
            application.check()

    def key_sources(self, app: Flask | None = None) -> list[KeySourceState]:
        """How things stand in this process with the keys that are fetched from providers, for metrics and pages of
        one's own: when they came, when they are due, why the latest fetch failed, and each key by its id.

        Nothing is fetched for it, so that a source is empty until the first token asks for its keys.

        :param app: as for :meth:`check`.
        :return: one for each source, of the introspectors in force only.
        :raises Unavailable: the registry cannot be read.
        """
        application = self.application_of(app)
        with application.app.app_context(), _noting(application):
            return application.runtime().registry.current().key_sources

    def stats(self, app: Flask | None = None) -> dict[str, list[dict[str, Any]]]:
        """What the process that is asked has counted, and how things stand in it; plain values, for JSON.

        Nothing is fetched or looked at for it, and nothing in it names a user, a token, a client or an address. Other
        workers count for themselves.

        :param app: as for :meth:`check`.
        :return: by the name of each number, its series: ``labels`` and ``value``; of a histogram ``count``, ``sum``
            and ``buckets`` in place of the value.
        """
        application = self.application_of(app)
        with application.app.app_context():
            return stats(application)

    def deactivate(self, user: object, app: Flask | None = None) -> None:
        """Let a user in no more, whatever token they bring; nothing happens to one who is not let in anyway.

        It is in force here with the next request, and on every other worker as soon as that has looked for changes
        (``FOREIGN_TOKEN_REGISTRY_POLL``). Like :meth:`activate`, :meth:`link` and :meth:`unlink` it is a transaction
        of its own: ``db.session`` has no part in it, and rows that it has loaded show the change once they are
        refreshed. What the session has written should be committed before: it waits up to 15 seconds for a row of the
        user's that is changed and not committed (on MariaDB also for one that refers to the user), and on SQLite for
        any. In the same request that is in vain, and ends in :class:`~.errors.DatabaseUnavailable`.

        :param user: a row of the app's model that has been stored, or its primary key.
        :param app: as for :meth:`check`.
        :raises NotStored: there is no such user.
        :raises Rejected: `user` is nobody, or a row that has not been stored; or the app's model does not let its
            active attribute be set.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        with self._user(user, app) as (runtime, id_):
            runtime.accounts.set_active([id_], False)

    def activate(self, user: object, app: Flask | None = None) -> None:
        """Let a user in again; nothing happens to one who is let in already.

        Parameters and what is raised: as for :meth:`deactivate`.
        """
        with self._user(user, app) as (runtime, id_):
            runtime.accounts.set_active([id_], True)

    def link(self, user: object, system: str, value: str, app: Flask | None = None) -> None:
        """Let tokens of a second provider, or of another account, lead to a user; nothing happens if they do already.

        :param user: as for :meth:`deactivate`.
        :param system: the ``system`` of an IdentityProvider that an introspector in force names. That its tokens speak
            of this person is for the app to make sure, say by a token that they have shown.
        :param value: the subject (``sub``) of these tokens.
        :param app: as for :meth:`check`.
        :raises NotStored: there is no such user.
        :raises Rejected: the identifier is somebody else's, or cannot be one; nobody vouches for the system; or `user`
            is nobody, or a row that has not been stored.
        :raises RegistryUnavailable: who vouches for the system cannot be told.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        with self._user(user, app) as (runtime, id_):
            runtime.links.link(id_, (system, value))

    def unlink(self, user: object, system: str, value: str, app: Flask | None = None) -> None:
        """Take an identifier away from a user, the last one too. The next token of that subject makes a new user.

        Parameters: as for :meth:`link`.

        :raises NotStored: there is no such user.
        :raises Rejected: the identifier is not the user's; or `user` is nobody, or a row that has not been stored.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        with self._user(user, app) as (runtime, id_):
            runtime.links.unlink(id_, (system, value))

    def init_login(self, login_manager: Any) -> None:
        """Let Flask-Login's ``current_user`` be `g.user` where a request brings a bearer token.

        So it is also where a session says that it is somebody else's. It is loaded when it is first touched, and the
        ``anonymous_user`` of `login_manager` where `g.user` is ``None``. What the app assigns to `g.user` does not
        matter, and the session is neither asked nor changed. Without a token Flask-Login does as ever; an app with
        neither ``user_loader`` nor ``request_loader`` has nobody then.

        `login_manager` and this extension can be set up for their apps before it and after it.

        :param login_manager: a ``LoginManager`` of Flask-Login 0.6.
        :raises ConfigError: it is none.
        """
        login.init_login(login_manager)
        if not self._has_login:
            self._has_login = True
            for app in self._apps:
                login.watch(app, app.extensions[EXTENSION].before_request)

    def application_of(self, app: Flask | None = None) -> Application:
        """What the extension knows of `app`; for modules of this package.

        :param app: as for :meth:`check`.
        :raises ConfigError: it cannot be told which app is meant.
        """
        if app is None and has_app_context():
            app = current_app
        if app is None:
            if len(self._apps) != 1:
                raise ConfigError("it is not known which app is meant; pass it")
            (app,) = self._apps
        application: Application = app.extensions[EXTENSION]
        return application

    @contextmanager
    def _user(self, user: object, app: Flask | None) -> Iterator[tuple[Runtime, str]]:
        """What this process holds for the app, and the text of the primary key of `user`."""
        if isinstance(user, LocalProxy):
            user = user._get_current_object()  # noqa: SLF001
        application = self.application_of(app)
        # Not a context within its own: rows that a receiver of a signal loads are to stay in the session.
        is_within = has_app_context() and current_app == application.app
        with nullcontext() if is_within else application.app.app_context(), _noting(application):
            yield application.runtime(), text_of(application.models.user, user)

    def _database(self, app: Flask) -> tuple[SQLAlchemy, Path | None]:
        """The database, and its file where both are ours."""
        db = self._db or app.extensions.get("sqlalchemy")
        return open_own(app) if db is None else (db, None)


@contextmanager
def _noting(application: Application) -> Iterator[None]:
    """A block whose refusal is noted."""
    try:
        yield
    except Refusal as refusal:
        application.refused(refusal)
        raise


@holding_to(ANY_POLICY)
def _hold_to_any_policy() -> None:
    application: Application | None = current_app.extensions.get(EXTENSION)
    if application is None:
        logger.error("a blueprint is protected, but init_app was not called for its app")
        raise without_extension()
    application.hold_to_any_policy()
