"""``flask foreign-token …``: what is trusted, changed from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import current_app
from flask.cli import AppGroup

from . import strict_json
from .errors import Issue, Refusal, Rejected

if TYPE_CHECKING:
    from .application import Application

commands = AppGroup("foreign-token", help="Change and check what the app trusts.")


@commands.command("apply")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def apply(files: tuple[Path, ...]) -> None:
    """Store the resources in FILES, one JSON object or an array each; all of them or none."""
    application = _application()
    if application.settings.registry != "database":
        raise click.ClickException(f"the registry is the file {application.settings.registry}; edit it instead")
    try:
        bodies = [body for file in files for body in _bodies(file)]
        application.runtime().apply(bodies)
    except Rejected as rejected:
        raise click.ClickException(f"nothing was stored.\n{rejected}") from None
    except Refusal as refusal:
        raise click.ClickException(str(refusal.hint or refusal.description)) from None
    for body in bodies:
        click.echo(f"stored {body['resourceType']}/{body['id']}")


def _application() -> Application:
    application: Application = current_app.extensions["foreign_token"]
    return application


def _bodies(file: Path) -> list[Any]:
    """The resources in `file`.

    :raises Rejected: it is not JSON.
    """
    try:
        found = strict_json.loads(file.read_bytes())
    except ValueError as reason:
        raise Rejected([Issue(str(file), "", f"the file is {reason}")]) from None
    return found if isinstance(found, list) else [found]
