"""How a command must be typed to be run for the same app as the one that is running."""

from __future__ import annotations

import os
import shlex

import click
from flask.cli import ScriptInfo


def program() -> str:
    """``flask foreign-token``, with ``--app`` where the app was named on the command line."""
    context = click.get_current_context(silent=True)
    info = None if context is None else context.find_object(ScriptInfo)
    app = None if info is None else info.app_import_path
    if not app or app == os.environ.get("FLASK_APP"):
        return "flask foreign-token"
    return f"flask --app {shlex.quote(app)} foreign-token"
