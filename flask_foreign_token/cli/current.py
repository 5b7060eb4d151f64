"""The app that a command is run for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

if TYPE_CHECKING:
    from ..application import Application
    from ..registry.catalog import Catalog
    from ..users.accounts import Accounts


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
