"""A real Keycloak for the demo and the tests: fetched once into a cache, started on a port of its own, and stopped."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

VERSION = "26.3.5"
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
# A minute without a byte is an outage; one waits half an hour by default. Maven 3.8 reads the first, 3.9 the others.
MAVEN_OPTIONS = (
    "-Dmaven.wagon.rto=60000",
    "-Daether.connector.connectTimeout=10000",
    "-Daether.connector.requestTimeout=60000",
    "-Dstyle.color=never",
)
OLDEST_JAVA = 17
START_TIMEOUT = 120.0
STOP_TIMEOUT = 30.0

Say = Callable[[str], None]

# Runs a command until whoever holds our standard input closes it or dies; then nothing of our process group is left.
# The signal is caught and not ignored, since what is ignored would be ignored by the command as well; and it is sent
# again, since the command may not have begun.
_SUPERVISE = """
trap : TERM
exec 3<&0 </dev/null
(trap : TERM; cat <&3 >/dev/null; while :; do kill -s TERM 0; sleep 1; done) &
"$@" 3<&-
kill -s KILL 0
"""
_PROGRESS = re.compile(rb"Progress \(1\): (\d+)/(\d\d\d+) MB")


class KeycloakUnavailable(Exception):
    """Keycloak cannot be fetched, started or reached; the text says why and, where a command helps, which."""


class KeycloakRefused(Exception):
    """The admin API answered with a status of 400 or above."""

    def __init__(self, method: str, path: str, status: int, text: str) -> None:
        super().__init__(f"{method} /admin{path}: {status} {text}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Keycloak:
    """A Keycloak that answers.

    It answers at two addresses: its tokens and its metadata name `hostname_url` as the issuer, while a caller that
    comes to `url` is told endpoints at `url`.
    """

    url: str
    hostname_url: str
    username: str = "admin"
    password: str = field(default="admin", repr=False)
    http: PoolManager = field(
        default_factory=lambda: PoolManager(timeout=Timeout(connect=5, read=60), retries=False), repr=False
    )

    def admin(self, method: str, path: str, body: object = None) -> object:
        """What the admin API answers, or ``None`` where that is nothing.

        :param path: below ``/admin``, for example ``/realms/myrealm/users?username=testuser``.
        :param body: sent as JSON unless it is ``None``.
        :raises KeycloakRefused: the status is 400 or above.
        """
        # A token for each call: it lives for a minute, and does not cover realms that are made after it.
        headers = {"Authorization": f"Bearer {self._token()}"}
        url = f"{self.url}/admin{path}"
        if body is None:
            response = self.http.request(method, url, headers=headers)
        else:
            response = self.http.request(method, url, headers=headers, json=body)
        if response.status >= 400:
            raise KeycloakRefused(method, path, response.status, response.data.decode(errors="replace"))
        return response.json() if response.data else None

    def create_realm(self, realm: Mapping[str, object]) -> None:
        """Create a realm from its representation, with the clients, users and roles in it.

        :raises KeycloakRefused: 409 where one of this name exists, 400 for a wrong representation.
        """
        self.admin("POST", "/realms", realm)

    def delete_realm(self, name: str) -> None:
        """Delete a realm with all that is in it.

        :raises KeycloakRefused: 404 where there is none of this name.
        """
        self.admin("DELETE", f"/realms/{name}")

    def _token(self) -> str:
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": self.username,
            "password": self.password,
        }
        path = "/realms/master/protocol/openid-connect/token"
        response = self.http.request("POST", self.url + path, fields=form, encode_multipart=False)
        if response.status != 200:
            raise KeycloakUnavailable(f"{self.url} does not let {self.username} in as its administrator")
        return str(response.json()["access_token"])


@contextmanager
def running(say: Say, port: int = 0) -> Iterator[Keycloak]:
    """A Keycloak that runs until the end of the block, with no realm but ``master``.

    Where the environment variable ``KEYCLOAK_URL`` names one, it is that one, and nothing is started or stopped;
    ``KEYCLOAK_ADMIN`` and ``KEYCLOAK_ADMIN_PASSWORD`` (both ``admin`` by default) open its admin API.

    :param say: is told, in whole sentences, what takes time.
    :param port: 0 for a free one.
    :raises KeycloakUnavailable: it cannot be fetched, started within two minutes, or reached.
    """
    if named := os.environ.get("KEYCLOAK_URL"):
        with _closing(_reached(named.rstrip("/"))) as keycloak:
            yield keycloak
        return
    distribution = fetch(say)
    java()
    port = port or free_port()
    with (
        tempfile.TemporaryDirectory(prefix="keycloak-") as folder,
        _started(_home(distribution, Path(folder)), port, say),
        _closing(Keycloak(f"http://127.0.0.1:{port}", f"http://localhost:{port}")) as keycloak,
    ):
        yield keycloak


def fetch(say: Say) -> Path:
    """The unpacked distribution, fetched with Maven unless it is in the cache.

    :param say: is told, in whole sentences, what takes time.
    :raises KeycloakUnavailable: Maven or Java is missing, or Maven fails.
    """
    return cached(distribution_folder(), _fetch_to, say)


def cached(folder: Path, fetch_to: Callable[[Path, Say], object], say: Say) -> Path:
    """`folder`, fetched unless it is there. Of several processes that want it one fetches, and the others wait.

    :param fetch_to: makes the folder, all of it or nothing.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f"{folder.name}.lock"), say):
        if not folder.is_dir():
            fetch_to(folder, say)
    return folder


def distribution_folder() -> Path:
    """Where the unpacked distribution is, or is to be."""
    return cache_folder() / f"keycloak-{VERSION}"


def cache_folder() -> Path:
    """Where what is fetched is kept: ``flask-foreign-token`` below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flask-foreign-token"


@contextmanager
def _locked(file: Path, say: Say) -> Iterator[None]:
    """Hold a lock that one process of this machine has at a time."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another run that holds {file}.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def java() -> str:
    """The Java that Keycloak is run with.

    :raises KeycloakUnavailable: there is none, or it is older than Java 17.
    """
    remedy = f"`apt-get install openjdk-{OLDEST_JAVA}-jre-headless` (or a newer one) brings it"
    home = os.environ.get("JAVA_HOME")
    program = shutil.which(os.environ.get("JAVA") or (f"{home}/bin/java" if home else "java"))
    if program is None:
        raise KeycloakUnavailable(f"Keycloak needs Java {OLDEST_JAVA} or newer, and there is none; {remedy}")
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r'version "(\d+)', said.stderr)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise KeycloakUnavailable(f"Keycloak needs Java {OLDEST_JAVA} or newer, and {program} is not; {remedy}")
    return program


def free_port() -> int:
    """A port of 127.0.0.1 that is free now and is given to nobody for a minute who does not ask for it by number."""
    with socket.socket() as server, socket.socket() as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        port: int = server.getsockname()[1]
        client.connect(("127.0.0.1", port))
        # Whoever closes first keeps the address in TIME_WAIT: the kernel then chooses it for no one else.
        server.accept()[0].close()
        client.recv(1)
        return port


def _fetch_to(distribution: Path, say: Say) -> None:
    java()
    maven = shutil.which("mvn")
    if maven is None:
        raise KeycloakUnavailable(
            "Keycloak is fetched with Maven, and there is no mvn; `apt-get install maven` brings it"
        )
    part = distribution.with_name(f"{distribution.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    part.mkdir()
    try:
        say(f"Fetching Keycloak {VERSION} with Maven, once: 155 MB, to be kept in {distribution.parent}.")
        archive = _download(maven, part, say)
        say("Unpacking and preparing it, which takes some seconds.")
        unpacked = _unpack(archive, part)
        # Done once here, so that a start needs not do it, and never writes into what all runs share.
        _run([str(unpacked / "bin" / "kc.sh"), "build", "--db=dev-mem"], part / "build.log")
        unpacked.rename(distribution)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _download(maven: str, folder: Path, say: Say) -> Path:
    # Not --batch-mode, which tells no progress; --strict-checksums refuses what was damaged on the way.
    command = [
        maven,
        "--strict-checksums",
        *MAVEN_OPTIONS,
        COPY,
        f"-Dartifact={ARTIFACT}",
        f"-DoutputDirectory={folder}",
    ]
    lines, said = [], 0
    with subprocess.Popen(  # noqa: S603
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None  # noqa: S101
        while chunk := os.read(process.stdout.fileno(), 8192):
            lines.append(chunk)
            if (found := _PROGRESS.findall(chunk)) and int(found[-1][0]) >= said + 40:
                said = int(found[-1][0])
                say(f"{said} of {int(found[-1][1])} MB.")
    if process.returncode:
        errors = re.findall(r"^\[ERROR\] (.+)", b"".join(lines).decode(errors="replace"), re.MULTILINE)
        raise KeycloakUnavailable(f"Maven cannot fetch Keycloak: {errors[0] if errors else 'it says nothing'}")
    return folder / f"keycloak-quarkus-dist-{VERSION}.zip"


def _unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            path = Path(opened.extract(entry, folder))
            # Which zipfile leaves out, and without which no program in it runs.
            if mode := entry.external_attr >> 16 & 0o777:
                path.chmod(mode | 0o200)
    return folder / f"keycloak-{VERSION}"


def _run(command: list[str], log: Path) -> None:
    with log.open("wb") as output:
        done = subprocess.run(  # noqa: S603
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
    if done.returncode:
        raise KeycloakUnavailable(f"{command[0]} {command[1]} fails:\n{_tail(log)}")


def _home(distribution: Path, folder: Path) -> Path:
    """A home whose ``data`` is its own, and all the rest the distribution's."""
    (folder / "data").mkdir()
    (folder / "bin").mkdir()
    # A copy, since the script takes the folder that it is really in for its home.
    shutil.copy(distribution / "bin" / "kc.sh", folder / "bin")
    for name in ("lib", "conf", "providers", "themes"):
        (folder / name).symlink_to(distribution / name)
    return folder


@contextmanager
def _started(home: Path, port: int, say: Say) -> Iterator[None]:
    command = [
        str(home / "bin" / "kc.sh"),
        "start",
        "--optimized",
        "--cache=local",
        "--http-enabled=true",
        "--http-host=127.0.0.1",
        f"--http-port={port}",
        f"--hostname=http://localhost:{port}",
        "--hostname-backchannel-dynamic=true",
    ]
    say(f"Starting Keycloak {VERSION} on port {port}, which takes some 10 seconds.")
    log = home / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _SUPERVISE, "sh", *command],
            cwd=home,
            env=_environment(KC_BOOTSTRAP_ADMIN_USERNAME="admin", KC_BOOTSTRAP_ADMIN_PASSWORD="admin"),  # noqa: S106
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_it_listens(process, log)
        yield
    finally:
        _stop(process)


def _wait_until_it_listens(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    # Its own word, and not an answer at the port, which may be somebody else's.
    while b"Listening on: http" not in log.read_bytes():
        if process.poll() is not None:
            raise KeycloakUnavailable(f"Keycloak does not start:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise KeycloakUnavailable(f"Keycloak has not started after {START_TIMEOUT:.0f} seconds:\n{_tail(log)}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101
    process.stdin.close()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(**variables: str) -> dict[str, str]:
    """This process's, without what would configure Keycloak."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KC_", "KEYCLOAK_"))}
    # Half the time to start: what runs for minutes gains nothing from the compiler that needs hours.
    inherited["JAVA_OPTS_APPEND"] = f"{inherited.get('JAVA_OPTS_APPEND', '')} -XX:TieredStopAtLevel=1".lstrip()
    return inherited | variables


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _reached(url: str) -> Keycloak:
    keycloak = Keycloak(
        url, url, os.environ.get("KEYCLOAK_ADMIN", "admin"), os.environ.get("KEYCLOAK_ADMIN_PASSWORD", "admin")
    )
    try:
        issuer = keycloak.http.request("GET", f"{url}/realms/master/.well-known/openid-configuration").json()["issuer"]
    except (HTTPError, ValueError, LookupError, TypeError) as error:
        raise KeycloakUnavailable(f"KEYCLOAK_URL is {url}, and no Keycloak answers there") from error
    return Keycloak(
        url, str(issuer).removesuffix("/realms/master"), keycloak.username, keycloak.password, keycloak.http
    )


@contextmanager
def _closing(keycloak: Keycloak) -> Iterator[Keycloak]:
    try:
        yield keycloak
    finally:
        keycloak.http.clear()
