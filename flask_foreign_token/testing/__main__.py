"""The issuer as a process: ``python -m flask_foreign_token.testing``."""

from __future__ import annotations

import contextlib
import signal
import threading

import click

from .accounts import TUTORIAL_CLIENT, TUTORIAL_PERSON
from .claims import SCOPE
from .issuer import Issuer
from .shell import token_command


@click.command
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port to serve at; a free one by default.")
@click.option("--issuer", "name", metavar="URL", help="What its tokens name as `iss`; by default where it is served.")
def main(port: int, name: str | None) -> None:
    """Run an OpenID provider for tests on 127.0.0.1, until interrupted or terminated."""
    issuer = Issuer(name, port=port)
    try:
        issuer.start()
    except OSError as error:
        other = "another with --port" if name is None else "another with --port, and the same in --issuer"
        raise click.ClickException(f"port {port} cannot be had: {error.strerror}; choose {other}") from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        click.echo(_description(issuer))
        threading.Event().wait()
    issuer.stop()


def _description(issuer: Issuer) -> str:
    form = {
        "grant_type": "password",
        "client_id": TUTORIAL_CLIENT.id,
        "client_secret": TUTORIAL_CLIENT.secret,
        "username": TUTORIAL_PERSON.username,
        "password": TUTORIAL_PERSON.password,
        "scope": SCOPE,
    }
    return "\n".join(
        (
            f"issuer         {issuer.issuer}",
            f"discovery      {issuer.discovery_url}",
            f"keys           {issuer.jwks_uri}",
            f"token          {issuer.token_endpoint}",
            f"userinfo       {issuer.userinfo_endpoint}",
            f"introspection  {issuer.introspection_endpoint}",
            "",
            token_command(issuer.token_endpoint, form),
        )
    )


if __name__ == "__main__":
    main(prog_name="python -m flask_foreign_token.testing")
