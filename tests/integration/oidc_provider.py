"""npm's oidc-provider on Node.js: installed once into the cache with what else comes from npm, run, and stopped."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import requests

from example_app.keycloak_server import Say, cache_folder, cached

from .servers import missing

SOURCE = Path(__file__).parent / "oidc_provider"
OLDEST_NODE = 18
CLIENT = ("my-client", "the-secret-of-my-client")
"""Gets tokens for itself."""
FRONTEND = ("my-frontend", "the-secret-of-my-frontend")
"""Gets tokens for people."""
SIGNED_FRONTEND = ("my-signed-frontend", "the-secret-of-my-signed-frontend")
"""The same, and with its tokens userinfo is signed."""
API = ("my-api", "the secret: 100% of my+api")
"""Asks about tokens, with ``client_secret_basic``."""
POSTING_API = ("my-posting-api", "the secret: 100% of my+posting&api")
"""Asks about tokens, with ``client_secret_post``."""
LISTENING = re.compile(r"^Listening at (http://\S+)$", re.MULTILINE)


class OidcProviderUnavailable(Exception):
    """It cannot be installed or run; the text says why and, where a command helps, which."""


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An oidc-provider that answers. Each of its keys is called as the algorithm that it serves, unless it was given.

    :param url: where it listens.
    """

    issuer: str
    url: str
    process: subprocess.Popen[str] = field(repr=False)

    def token(self, algorithm: str = "ES256") -> str:
        """An access token of the client: a JWT for the resource ``https://api.example/<algorithm>``."""
        return self.token_for(resource(algorithm))

    def token_for(self, resource: str) -> str:
        """An access token of the client for any resource; see ``server.mjs`` for what its path says."""
        form = {"grant_type": "client_credentials", "resource": resource, "scope": "read"}
        return str(self.post("/token", CLIENT, **form)["access_token"])

    def tokens_of(self, username: str, client: tuple[str, str] = FRONTEND, **form: str) -> dict[str, str]:
        """All the tokens of a person: ``access_token``, ``id_token`` and ``refresh_token``.

        :param client: who gets them.
        :param form: ``resource``, for which the access token is; without it, it is an opaque one for userinfo.
        """
        grant = {"grant_type": "urn:example:person", "username": username}
        return dict(self.post("/token", client, **grant, **form))

    def revoke(self, token: str, client: tuple[str, str] = CLIENT) -> None:
        """Have an opaque token revoked by the client that it was issued to."""
        self.post("/token/revocation", client, token=token)

    def post(self, path: str, client: tuple[str, str], headers: Mapping[str, str] = {}, **form: str) -> Any:
        """What it answers to a client: JSON, or else a text."""
        # RFC 6749 section 2.3.1; requests leaves the encoding to its callers.
        halves = tuple(map(quote_plus, client))
        response = requests.post(self.url + path, data=form, auth=halves, headers=headers, timeout=30)
        assert response.ok, response.text
        return response.json() if "/json" in response.headers.get("Content-Type", "") else response.text

    def kill(self) -> None:
        """End it without letting it finish anything."""
        self.process.kill()
        self.process.wait(30)


def resource(how: str) -> str:
    """One for which access tokens are made as `how` says: ``"ES256"``, ``"opaque"``, ``"ES256/1"`` for a second."""
    return f"https://api.example/{how}"


def installed_folder() -> Path:
    """Where the packages of this very lock file are, or are to be."""
    digest = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
    return cache_folder() / f"oidc-provider-{digest[:16]}"


def install(say: Say) -> Path:
    """The folder with the packages, fetched with npm unless it is in the cache.

    :raises OidcProviderUnavailable: npm is missing, or fails.
    """
    return cached(installed_folder(), _install_to, say)


def node() -> str:
    """The Node.js that runs it.

    :raises OidcProviderUnavailable: there is none, or it is older than Node.js 18.
    """
    program = shutil.which("node")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout if program else ""
    version = re.match(r"v(\d+)", said)
    if program is None or version is None or int(version[1]) < OLDEST_NODE:
        raise OidcProviderUnavailable(
            f"oidc-provider needs Node.js {OLDEST_NODE} or newer, and there is none; `make test SERVERS=apt` brings it"
        )
    return program


@contextmanager
def of_the_run(**options: object) -> Iterator[OidcProvider]:
    """One that runs until the end of the block; nothing is fetched.

    :param options: ``issuer``, ``port`` and ``keys`` where they are not to be its own; see ``server.mjs``.
    :raises OidcProviderUnavailable: it does not start.
    """
    # Its warnings go the way of all it says: nowhere, unless it does not start.
    with subprocess.Popen(
        [*command("server.mjs"), json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            address = _address(process)
            yield OidcProvider(str(options.get("issuer", address)), address, process)
        finally:
            process.terminate()
            process.communicate(timeout=30)


def command(script: str) -> list[str]:
    """What runs a script of ours with what npm has brought; skips the test where that is absent."""
    try:
        program = node()
    except OidcProviderUnavailable as error:
        missing(str(error))
    if not installed_folder().is_dir():
        missing(f"oidc-provider is not in {installed_folder().parent}; `make test` fetches it")
    return [program, str(SOURCE / script), str(installed_folder() / "node_modules")]


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := LISTENING.match(line):
            return found[1]
    raise OidcProviderUnavailable("oidc-provider does not start:\n" + "".join(said))


def _install_to(folder: Path, say: Say) -> None:
    node()
    npm = shutil.which("npm")
    if npm is None:
        raise OidcProviderUnavailable("there is no npm to fetch oidc-provider with; `make test SERVERS=apt` brings it")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    part.mkdir()
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, part)
        say(f"Fetching oidc-provider and oauth4webapi with npm, once, to be kept in {folder.parent}.")
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=part, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or "it says nothing").splitlines()[0]
            raise OidcProviderUnavailable(f"npm cannot fetch oidc-provider: {reason}")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
