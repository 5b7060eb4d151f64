"""The way of a request, told step by step over real sockets: ``python -m example_app.demo``."""

from __future__ import annotations

import argparse
import base64
import json
import logging
import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text
from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.util import make_headers
from werkzeug.serving import make_server

from flask_foreign_token.testing.shell import token_command

from . import create_app, providers
from .keycloak_server import KeycloakRefused, KeycloakUnavailable
from .models import db
from .providers import Provider

CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "my-client",
    "client_secret": "my-client-secret",
    "scope": "openid profile email",
}
TOLD_CLAIMS = ("iss", "sub", "aud", "azp", "exp", "scope", "preferred_username")
OPERATOR = "operator"
PATIENTS = "/fhir/Patient"
USERS = "/fhir/User"


class NotAsPromised(Exception):
    """The app did something else than the demo says it does."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Who takes part, and where their words are printed.

    :param address: the app's.
    :param secret: the operator's, with whom the app compares it.
    """

    console: Console
    http: PoolManager
    provider: Provider
    address: str
    secret: str

    def ask(self, path: str, token: str | None = None) -> BaseHTTPResponse:
        """Ask the app, with `token` or without any, and print the exchange as far as the head of the answer."""
        self.say(f"> GET {self.address}{path}", "cyan")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if token is not None:
            self.say(f"> Authorization: Bearer {shortened(token)}", "cyan")
        response = self.http.request("GET", self.address + path, headers=headers)
        self.head(response)
        return response

    def ask_as_operator(self, method: str, path: str, body: str | None = None) -> BaseHTTPResponse:
        """The same with the operator's name and secret."""
        self.say(f"> {method} {self.address}{path}", "cyan")
        headers = make_headers(basic_auth=f"{OPERATOR}:{self.secret}")
        if body is not None:
            headers["Content-Type"] = "text/yaml"
        response = self.http.request(method, self.address + path, headers=headers, body=body)
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
    parser.add_argument(
        "--keycloak",
        action="store_true",
        help="with a real Keycloak: the one at KEYCLOAK_URL, or one that is fetched and started",
    )
    parser.add_argument("--serve", action="store_true", help="go on serving afterwards, until interrupted")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    provider = providers.keycloak(console.print) if options.keycloak else providers.embedded()
    try:
        with provider as issuing, stage(console, issuing) as ready:
            play(ready)
            if options.serve:
                serve(ready)
    except NotAsPromised as broken:
        console.print(Text(f"   NOT AS PROMISED: {broken}", "bold red"))
        return 1
    except (KeycloakUnavailable, KeycloakRefused) as reason:
        console.print(Text(str(reason), "bold red"))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def stage(console: Console, provider: Provider) -> Iterator[Stage]:
    """The app on a free port of this machine and an empty database, beside `provider`."""
    secret = secrets.token_urlsafe()
    with tempfile.TemporaryDirectory() as folder, PoolManager() as http:
        app = create_app(
            {
                "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/demo.sqlite",
                "FOREIGN_TOKEN_ADMIN_CLIENT_ID": OPERATOR,
                "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": secret,
            }
        )
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Stage(console, http, provider, f"http://127.0.0.1:{server.server_port}", secret)
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
    stage.say(f"the app       {stage.address} (trusts nobody yet)")
    stage.say(f"the provider  {stage.provider.url} ({issuing_as(stage.provider)})")
    trust_the_provider(stage)
    refuse_without_token(stage)
    token = fetch_token(stage)
    refuse_tampered(stage, token)
    let_in(stage, token)
    keep_from_token(stage, token)
    show_user(stage, claims_of(token)["sub"])


def issuing_as(provider: Provider) -> str:
    if provider.issuer == provider.url:
        return "issues under this name"
    return f"issues as {provider.issuer}, a name that nobody calls"


def trust_the_provider(stage: Stage) -> None:
    stage.title("1. The operator stores whom to trust, and what that allows (example_app/resources.yaml)")
    answers = [stage.ask_as_operator("PUT", path, body) for path, body in stage.provider.resources()]
    for answer in answers:
        if answer.status >= 400:
            stage.show(answer.json())
    stage.check("all three are stored", [answer.status for answer in answers] == [201, 201, 201])


def refuse_without_token(stage: Stage) -> None:
    stage.title("2. Without a token")
    response = stage.ask(PATIENTS)
    stage.check(
        "refused, and the challenge asks for a Bearer token",
        response.status == 401 and response.headers.get("WWW-Authenticate", "").startswith("Bearer realm="),
    )


def fetch_token(stage: Stage) -> str:
    stage.title("3. The provider issues a token to a program (client credentials)")
    endpoint = stage.provider.token_endpoint
    stage.say(f"> POST {endpoint}", "cyan")
    stage.say("> " + "&".join(f"{name}={value}" for name, value in CREDENTIALS.items()), "cyan")
    response = stage.http.request("POST", endpoint, fields=CREDENTIALS, encode_multipart=False)
    stage.head(response)
    token = str(response.json().get("access_token", ""))
    stage.check(f"access_token {shortened(token)} in which the provider says:", token.count(".") == 2)
    claims = claims_of(token)
    stage.show({name: claims.get(name) for name in TOLD_CLAIMS})
    return token


def refuse_tampered(stage: Stage, token: str) -> None:
    stage.title("4. With that token, in which somebody wrote another sub")
    header, _, signature = token.split(".")
    claims = json.dumps({**claims_of(token), "sub": "somebody-else"})
    forged = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
    response = stage.ask(PATIENTS, f"{header}.{forged}.{signature}")
    stage.check(
        "refused, for the reason that the challenge names",
        response.status == 401 and 'error="invalid_token"' in response.headers.get("WWW-Authenticate", ""),
    )


def let_in(stage: Stage, token: str) -> None:
    stage.title("5. With that token as it was issued")
    response = stage.ask(PATIENTS, token)
    bundle = response.json()
    names = [entry["resource"]["name"][0] for entry in bundle.get("entry", ())]
    people = ", ".join(f"{name['given'][0]} {name['family']}" for name in names)
    stage.check(
        f"let in; a Bundle of {len(names)} patients: {people}",
        response.status == 200 and bundle["type"] == "searchset" and bundle["total"] == len(names) == 3,
    )
    if (asked := stage.provider.requests) is not None:
        stage.check("so far the app asked for keys once and for userinfo once", asked["jwks"] == asked["userinfo"] == 1)


def keep_from_token(stage: Stage, token: str) -> None:
    stage.title("6. With that token, where only the operator may look")
    response = stage.ask(USERS, token)
    stage.check("refused: what lets a token see patients opens nothing of the operator's", response.status == 403)


def show_user(stage: Stage, subject: object) -> None:
    stage.title("7. The operator looks, and finds the user that the token became")
    response = stage.ask_as_operator("GET", USERS)
    users = [entry["resource"] for entry in response.json().get("entry", ())]
    for user in users:
        stage.show(user)
    stage.check(
        "the only one, and found from now on by system and sub",
        [user["identifier"] for user in users] == [[{"system": "keycloak", "value": subject}]],
    )


def claims_of(token: str) -> dict[str, object]:
    """What the token says, not verified; an app never reads one like this."""
    claims = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))))


def shortened(text: str) -> str:
    return text if len(text) < 30 else f"{text[:21]}..."


def serve(stage: Stage) -> None:
    """Print what to type, and log what is asked until somebody interrupts."""
    with suppress(KeyboardInterrupt):
        stage.title("Both go on serving; Ctrl-C ends them. In another terminal:")
        for line in (
            token_command(stage.provider.token_endpoint, CREDENTIALS),
            f'curl -i -H "Authorization: Bearer $TOKEN" {stage.address}{PATIENTS}',
            f'curl -i -H "Authorization: Bearer $TOKEN" {stage.address}{PATIENTS}/ada',
            f"curl -i {stage.address}{PATIENTS}",
            f"curl -i -u {OPERATOR}:{stage.secret} {stage.address}{USERS}",
        ):
            stage.console.print(Text(line, "cyan"))
        stage.console.print()
        logging.getLogger("werkzeug").setLevel(logging.INFO)
        threading.Event().wait()


if __name__ == "__main__":
    raise SystemExit(main())
