"""npm's oidc-provider on Node.js: installed once into the cache, run on a free port, and stopped."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from example_app.keycloak_server import Say, cache_folder, cached

from .servers import missing

SOURCE = Path(__file__).parent / "oidc_provider"
OLDEST_NODE = 18
CLIENT = ("my-client", "the-secret-of-my-client")
LISTENING = re.compile(r"^Listening at (http://\S+)$", re.MULTILINE)


class OidcProviderUnavailable(Exception):
    """It cannot be installed or run; the text says why and, where a command helps, which."""


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An oidc-provider that answers, with an ES256 and an RS256 key and one client, :data:`CLIENT`."""

    issuer: str

    def token(self, algorithm: str = "ES256") -> str:
        """An access token of the client: a JWT for the resource ``https://api.example/<algorithm>``."""
        form = {"grant_type": "client_credentials", "resource": f"https://api.example/{algorithm}", "scope": "read"}
        response = requests.post(f"{self.issuer}/token", data=form, auth=CLIENT, timeout=30)
        response.raise_for_status()
        return str(response.json()["access_token"])


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
def of_the_run() -> Iterator[OidcProvider]:
    """One that runs until the end of the block; nothing is fetched.

    :raises OidcProviderUnavailable: it does not start.
    """
    try:
        program = node()
    except OidcProviderUnavailable as error:
        missing(str(error))
    if not installed_folder().is_dir():
        missing(f"oidc-provider is not in {installed_folder().parent}; `make test` fetches it")
    command = [program, str(SOURCE / "server.mjs"), str(installed_folder() / "node_modules")]
    # Its warnings go the way of all it says: nowhere, unless it does not start.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield OidcProvider(_address(process))
        finally:
            process.terminate()
            process.communicate(timeout=30)


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
        say(f"Fetching oidc-provider with npm, once, to be kept in {folder.parent}.")
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=part, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or "it says nothing").splitlines()[0]
            raise OidcProviderUnavailable(f"npm cannot fetch oidc-provider: {reason}")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
