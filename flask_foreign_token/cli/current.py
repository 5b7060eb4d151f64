"""The app that a command is run for, and how a command is typed again for the same one."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import ScriptInfo

from ..printable import printable

if TYPE_CHECKING:
    from ..application import Application
    from ..registry.catalog import Catalog
    from ..users.accounts import Accounts
    from ..users.identifier_links import IdentifierLinks
    from ..users.personal_data import PersonalData


def application() -> Application:
    """The extension's part of the app."""
    found: Application = current_app.extensions["foreign_token"]
    return found


def catalog() -> Catalog:
    """The app's registry."""
    return application().runtime().catalog


def accounts() -> Accounts:
    """The app's users."""
    return application().runtime().accounts


def links() -> IdentifierLinks:
    """By which identifiers they are known."""
    return application().runtime().links


def personal_data() -> PersonalData:
    """What is kept of them."""
    return application().runtime().personal_data


def program() -> str:
    """``flask foreign-token``, with ``--app`` where the app was named on the command line."""
    context = click.get_current_context(silent=True)
    info = None if context is None else context.find_object(ScriptInfo)
    app = None if info is None else info.app_import_path
    if not app or app == os.environ.get("FLASK_APP"):
        return "flask foreign-token"
    return f"flask --app {shlex.quote(app)} foreign-token"


def author() -> str:
    """Who runs the command, for the history: ``cli:NAME@HOST``."""
    return printable(f"cli:{_user()}@{socket.gethostname()}")


def _user() -> str:
    """The name of who is logged in; in a container whose user has none, its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())
