"""A small FHIR server whose callers bring tokens that somebody else issued."""

from __future__ import annotations

import os
from collections.abc import Mapping

from flask import Flask

from flask_foreign_token import ForeignToken

from .fhir import fhir
from .models import db

foreign_token = ForeignToken(db=db)


def create_app(config: Mapping[str, object] | None = None) -> Flask:
    """The app; ``flask --app example_app run`` serves it.

    :param config: goes into ``app.config``. What it leaves out, ``SQLALCHEMY_DATABASE_URI`` and every
        ``FOREIGN_TOKEN_…`` setting, is taken from the environment.
    """
    app = Flask(__name__)
    app.json.sort_keys = False
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("SQLALCHEMY_DATABASE_URI", "sqlite:///example.sqlite")
    if "FOREIGN_TOKEN_REQUIRE_AUDIENCE" not in os.environ:
        # Keycloak as it comes names no API in its tokens, so the introspector of this example asks for no audience: it
        # takes tokens that were meant for any other API of the realm too. A real app does not want that. It has
        # Keycloak add an audience, gives it in FOREIGN_TOKEN_RESOURCE or in the introspector's jwt.aud, and leaves
        # this line out.
        app.config["FOREIGN_TOKEN_REQUIRE_AUDIENCE"] = False
    app.config.from_mapping(config or {})
    db.init_app(app)
    foreign_token.init_app(app)
    app.register_blueprint(fhir)
    return app
