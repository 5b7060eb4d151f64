"""A small FHIR server whose callers bring tokens that somebody else issued."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click
from flask import Flask

from flask_foreign_token import ForeignToken

from .fhir import fhir
from .models import db

DEFAULTS: Mapping[str, object] = {
    "FOREIGN_TOKEN_ADMIN_URL_PREFIX": "/fhir",
    "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS": ("localhost", "127.0.0.1", "keycloak"),
    # The tutorial's introspector names no audience, so it takes tokens that were meant for any other API of the realm
    # too. A real app leaves this line out and asks for one: `jwt.aud: account` in the introspector, which Keycloak
    # writes into every user's token; or better, there or in FOREIGN_TOKEN_RESOURCE, a name of its own that Keycloak
    # is told to add.
    "FOREIGN_TOKEN_REQUIRE_AUDIENCE": False,
}

NO_OPERATOR = (
    "nobody can sign in as the operator, so what is trusted cannot be changed over HTTP; set "
    "FOREIGN_TOKEN_ADMIN_CLIENT_ID and FOREIGN_TOKEN_ADMIN_CLIENT_SECRET (16 bytes or more), or change it with "
    "`flask --app example_app foreign-token`"
)

foreign_token = ForeignToken(db=db)


def create_app(config: Mapping[str, object] | None = None) -> Flask:
    """The app; ``flask --app example_app run`` serves it.

    :param config: goes into ``app.config``. What it leaves out, ``SQLALCHEMY_DATABASE_URI``, ``TRUSTED_HOSTS``
        (separated by commas) and every ``FOREIGN_TOKEN_…`` setting, is taken from the environment, and what is absent
        there from :data:`DEFAULTS`.
    """
    app = Flask(__name__)
    app.json.sort_keys = False
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("SQLALCHEMY_DATABASE_URI", "sqlite:///example.sqlite")
    app.config.from_mapping({name: value for name, value in DEFAULTS.items() if name not in os.environ})
    # A website that gives its own name the address of this machine (DNS rebinding) has browsers ask this app in that
    # name, and the operator's secret of the tutorial is known to everybody; Flask refuses what asks for another host.
    if hosts := os.environ.get("TRUSTED_HOSTS"):
        app.config["TRUSTED_HOSTS"] = [host.strip() for host in hosts.split(",")]
    app.config.from_mapping(config or {})
    db.init_app(app)
    foreign_token.init_app(app)
    app.register_blueprint(fhir)
    if app.extensions["foreign_token"].settings.admin_client_id is None and _is_to_serve():
        app.logger.warning(NO_OPERATOR)
    return app


def _is_to_serve() -> bool:
    """Whether this is no ``flask`` command but ``flask run``; the others need no operator."""
    command = click.get_current_context(silent=True)
    return command is None or command.info_name == "run"
