"""The way of a request, told step by step over real sockets: ``python -m example_app.demo``."""

from __future__ import annotations

import argparse
import base64
import json
import logging
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

from flask import Flask
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text
from sqlalchemy import select
from urllib3 import BaseHTTPResponse, PoolManager
from werkzeug.serving import make_server

from flask_foreign_token.testing import Issuer

from . import create_app
from .models import db

ISSUER = "http://localhost:8180/realms/myrealm"
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "my-client",
    "client_secret": "my-client-secret",
    "scope": "openid profile email",
}
TOLD_CLAIMS = ("iss", "sub", "aud", "azp", "exp", "scope", "preferred_username")
PATH = "/fhir/Patient"


class NotAsPromised(Exception):
    """The app did something else than the demo says it does."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Who takes part, and where their words are printed."""

    console: Console
    http: PoolManager
    issuer: Issuer
    app: Flask
    address: str

    def get(self, authorization: str | None = None) -> BaseHTTPResponse:
        """Ask the app for its patients, and print the exchange as far as the head of the answer."""
        self.say(f"> GET {self.address}{PATH}", "cyan")
        if authorization is None:
            response = self.http.request("GET", self.address + PATH)
        else:
            self.say(f"> Authorization: {shortened(authorization)}", "cyan")
            response = self.http.request("GET", self.address + PATH, headers={"Authorization": authorization})
        self.head(response)
        return response

    def head(self, response: BaseHTTPResponse) -> None:
        self.say(
            f"< {response.status} {HTTPStatus(response.status).phrase}", "green" if response.status < 400 else "red"
        )
        if challenge := response.headers.get("WWW-Authenticate"):
            self.say(f"< WWW-Authenticate: {challenge}", "red")

    def title(self, text: str) -> None:
        self.console.print()
        self.console.print(Text(text, "bold"))

    def say(self, text: str, style: str = "") -> None:
        self.console.print(Text(f"   {text}", style))

    def show(self, value: object) -> None:
        """Print JSON, indented to stand under what was said."""
        lines = json.dumps(value, indent=2).splitlines()
        self.console.print(JSONHighlighter()("\n".join(f"     {line}" for line in lines)))

    def check(self, promise: str, kept: bool) -> None:
        """Say what was seen.

        :raises NotAsPromised: it was not.
        """
        if not kept:
            raise NotAsPromised(promise)
        self.say(f"ok: {promise}", "green")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    :return: the exit status, 0 when everything was as promised.
    """
    parser = argparse.ArgumentParser(prog="python -m example_app.demo", description=__doc__)
    parser.add_argument("--serve", action="store_true", help="go on serving afterwards, until interrupted")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with stage(console) as ready:
        try:
            play(ready)
        except NotAsPromised as broken:
            console.print(Text(f"   NOT AS PROMISED: {broken}", "bold red"))
            return 1
        if options.serve:
            serve(ready)
    return 0


@contextmanager
def stage(console: Console) -> Iterator[Stage]:
    """An identity provider and the app, each on a free port of this machine."""
    with tempfile.TemporaryDirectory() as folder, Issuer(ISSUER) as issuer, PoolManager() as http:
        os.environ["PROVIDER_URL"] = issuer.url
        app = create_app(
            {
                "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/demo.sqlite",
                "FOREIGN_TOKEN_REGISTRY": "resources.json",
            }
        )
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Stage(console, http, issuer, app, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            with app.app_context():
                db.engine.dispose()


def play(stage: Stage) -> None:
    """Tell the whole story.

    :raises NotAsPromised: something else happened.
    """
    stage.console.print(Text("A Flask app that takes tokens somebody else issued", "bold"))
    stage.say(f"the app       {stage.address} (trusts what example_app/resources.json names)")
    stage.say(f"the provider  {stage.issuer.url} (issues as {ISSUER})")
    refuse_without_token(stage)
    token = fetch_token(stage)
    refuse_tampered(stage, token)
    let_in(stage, token)
    show_user(stage, claims_of(token)["sub"])


def refuse_without_token(stage: Stage) -> None:
    stage.title("1. Without a token")
    response = stage.get()
    stage.show(response.json())
    stage.check(
        "refused, and the challenge asks for a Bearer token",
        response.status == 401 and response.headers.get("WWW-Authenticate", "").startswith("Bearer realm="),
    )


def fetch_token(stage: Stage) -> str:
    stage.title("2. The provider issues a token to a program (client credentials)")
    stage.say(f"> POST {stage.issuer.token_endpoint}", "cyan")
    stage.say("> " + "&".join(f"{name}={value}" for name, value in CREDENTIALS.items()), "cyan")
    response = stage.http.request("POST", stage.issuer.token_endpoint, fields=CREDENTIALS, encode_multipart=False)
    stage.head(response)
    token = str(response.json().get("access_token", ""))
    stage.check(f"access_token {shortened(token)} in which the provider says:", token.count(".") == 2)
    claims = claims_of(token)
    stage.show({name: claims[name] for name in TOLD_CLAIMS})
    return token


def refuse_tampered(stage: Stage, token: str) -> None:
    stage.title("3. With that token, in which somebody wrote another sub")
    header, _, signature = token.split(".")
    claims = json.dumps({**claims_of(token), "sub": "somebody-else"})
    forged = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
    response = stage.get(f"Bearer {header}.{forged}.{signature}")
    stage.check(
        "refused, for the reason that the challenge names",
        response.status == 401 and 'error="invalid_token"' in response.headers.get("WWW-Authenticate", ""),
    )


def let_in(stage: Stage, token: str) -> None:
    stage.title("4. With that token as it was issued")
    response = stage.get(f"Bearer {token}")
    bundle = response.json()
    names = [entry["resource"]["name"][0] for entry in bundle.get("entry", ())]
    people = ", ".join(f"{name['given'][0]} {name['family']}" for name in names)
    stage.check(
        f"let in; a Bundle of {len(names)} patients: {people}",
        response.status == 200 and bundle["type"] == "searchset" and bundle["total"] == len(names) == 3,
    )
    asked = stage.issuer.requests
    stage.check("so far the app asked for keys once and for userinfo once", asked["jwks"] == asked["userinfo"] == 1)


def show_user(stage: Stage, subject: object) -> None:
    stage.title("5. The user that exists since then")
    user = only_user(stage.app)
    stage.show(user)
    stage.check(
        "the only one, and found from now on by system and sub",
        user["identifier"] == [{"system": "keycloak", "value": subject}],
    )


def only_user(app: Flask) -> dict[str, object]:
    """The one user there is, as the extension shows users.

    :raises sqlalchemy.exc.MultipleResultsFound: there is more than one.
    """
    extension = app.extensions["foreign_token"]
    with app.app_context():
        user = db.session.scalars(select(extension.models.user)).unique().one()
        return dict(extension.snapshot_of(user).resource)


def claims_of(token: str) -> dict[str, object]:
    """What the token says, not verified; an app never reads one like this."""
    claims = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))))


def shortened(text: str) -> str:
    return text if len(text) < 40 else f"{text[:28]}..."


def serve(stage: Stage) -> None:
    """Print what to type, and log what is asked until somebody interrupts."""
    form = " ".join(f"-d '{name}={value}'" for name, value in CREDENTIALS.items())
    read = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"
    stage.title("Both go on serving; Ctrl-C ends them. In another terminal:")
    for line in (
        f"TOKEN=$(curl -s {form} {stage.issuer.token_endpoint} | {read})",
        f'curl -i -H "Authorization: Bearer $TOKEN" {stage.address}{PATH}',
        f'curl -i -H "Authorization: Bearer $TOKEN" {stage.address}{PATH}/ada',
        f"curl -i {stage.address}{PATH}",
    ):
        stage.console.print(Text(line, "cyan"))
    stage.console.print()
    logging.getLogger("werkzeug").setLevel(logging.INFO)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


if __name__ == "__main__":
    raise SystemExit(main())
