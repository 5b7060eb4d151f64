"""How Keycloak is fetched, started and stopped; a Maven, a Java and a Keycloak of a few lines stand in for the real."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import create_connection, create_server, socket

import pytest

from example_app import keycloak_server
from example_app.keycloak_server import (
    VERSION,
    Keycloak,
    KeycloakRefused,
    KeycloakUnavailable,
    fetch,
    free_port,
    running,
)

from ..heeding import heeding_signals

ROOT = Path(__file__).parents[2]
# Copies the archive to where the option says, as Maven's plugin does, and notes that it was called.
MAVEN = """#!/bin/sh
echo called >>{folder}/calls
echo '[INFO] Progress (1): 90/155 MB'
for option; do
    case $option in -DoutputDirectory=*) folder="${{option#*=}}";; esac
done
cp {folder}/archive.zip "$folder/keycloak-quarkus-dist-{version}.zip"
"""
FAILING_MAVEN = "#!/bin/sh\necho '[ERROR] Connection refused'\necho '[ERROR] Read the log'\nexit 1\n"
JAVA = "#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n"
KC = """#!/bin/sh
case $1 in
build) touch "$(dirname "$0")/../lib/built";;
*) exec "{python}" "$(dirname "$0")/../lib/server.py" "$@";;
esac
"""
SERVER = """
import http.server, json, os, sys
options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        variables = sorted(name for name in os.environ if name.startswith("K"))
        self.answer(404 if "absent" in self.path else 200, issuer=options["hostname"] + "/realms/master", of=variables)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, access_token="x")
    def answer(self, status, **body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def log_message(self, *arguments): pass
with http.server.ThreadingHTTPServer((options["http-host"], int(options["http-port"])), Handler) as server:
    print(f"Listening on: http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
"""
HOLD = """
import sys
from example_app.keycloak_server import running
with running(lambda text: None) as keycloak:
    print(keycloak.url, flush=True)
    sys.stdin.read()
"""


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)


def archive(file: Path, script: str) -> None:
    """What Maven brings, with `script` for the program that builds and starts Keycloak."""
    texts = {"bin/kc.sh": script, "lib/server.py": SERVER} | dict.fromkeys(("conf/x", "providers/x", "themes/x"), "")
    with zipfile.ZipFile(file, "w") as opened:
        for name, text in texts.items():
            entry = zipfile.ZipInfo(f"keycloak-{VERSION}/{name}")
            entry.external_attr = (stat.S_IFREG | (0o755 if name.endswith(".sh") else 0o644)) << 16
            opened.writestr(entry, text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs in front of the real ones, and an empty cache beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder, "mvn", MAVEN.format(folder=folder, version=VERSION))
    program(folder, "java", JAVA.format(version="17.0.15"))
    archive(folder / "archive.zip", KC.format(python=sys.executable))
    for name in ("JAVA", "JAVA_HOME", "KEYCLOAK_URL", "KEYCLOAK_ADMIN", "KEYCLOAK_ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def silent(_: str) -> None:
    pass


def in_the_cache(machine: Path) -> list[str]:
    return sorted(path.name for path in (machine.parent / "cache" / "flask-foreign-token").iterdir())


def refuses(url: str) -> bool:
    try:
        create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_is_fetched_is_prepared_and_can_be_run(machine: Path) -> None:
    folder = fetch(silent)

    assert folder == machine.parent / "cache" / "flask-foreign-token" / f"keycloak-{VERSION}"
    assert os.access(folder / "bin" / "kc.sh", os.X_OK)
    assert not os.access(folder / "conf" / "x", os.X_OK)
    assert (folder / "lib" / "built").exists()
    assert in_the_cache(machine) == [folder.name, f"{folder.name}.lock"]


def test_progress_is_told(machine: Path) -> None:
    said: list[str] = []

    fetch(said.append)

    assert said[0].startswith(f"Fetching Keycloak {VERSION} with Maven, once: 155 MB, to be kept in {machine.parent}")
    assert said[1:] == ["90 of 155 MB.", "Unpacking and preparing it, which takes some seconds."]


def test_those_who_come_at_once_fetch_it_once(machine: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: fetch(silent), range(4)))

    assert len(folders) == 1
    assert (machine / "calls").read_text().splitlines() == ["called"]


def test_what_a_killed_run_left_is_not_taken_for_keycloak(machine: Path) -> None:
    part = machine.parent / "cache" / "flask-foreign-token" / f"keycloak-{VERSION}.part"
    (part / f"keycloak-{VERSION}" / "bin" / "kc.sh").mkdir(parents=True)

    assert (fetch(silent) / "bin" / "kc.sh").is_file()


def test_where_maven_fails_its_reason_is_told_and_nothing_is_kept(machine: Path) -> None:
    program(machine, "mvn", FAILING_MAVEN)

    with pytest.raises(KeycloakUnavailable, match=r"Maven cannot fetch Keycloak: Connection refused$"):
        fetch(silent)

    assert in_the_cache(machine) == [f"keycloak-{VERSION}.lock"]


def test_a_missing_maven_is_named_with_what_brings_it(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "mvn").unlink()
    monkeypatch.setenv("PATH", str(machine))

    with pytest.raises(KeycloakUnavailable, match="there is no mvn; `apt-get install maven` brings it"):
        fetch(silent)


def test_a_missing_java_is_named_with_what_brings_it(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "java").unlink()
    monkeypatch.setenv("PATH", str(machine))

    with pytest.raises(
        KeycloakUnavailable, match="needs Java 17 or newer, and there is none; `apt-get install openjdk"
    ):
        fetch(silent)


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.21", "none"])
def test_an_old_java_is_refused(machine: Path, version: str) -> None:
    program(machine, "java", JAVA.format(version=version))

    with pytest.raises(KeycloakUnavailable, match=f"needs Java 17 or newer, and {machine}/java is not"):
        keycloak_server.java()


@pytest.mark.parametrize("version", ["17.0.15", "21", "25.0.1"])
def test_a_newer_java_is_taken(machine: Path, version: str) -> None:
    program(machine, "java", JAVA.format(version=version))

    assert keycloak_server.java() == f"{machine}/java"


def test_it_answers_at_two_addresses_until_the_end_of_the_block(machine: Path) -> None:
    with running(silent) as keycloak:
        answer = keycloak.admin("GET", "/realms")

    assert answer["issuer"] == f"{keycloak.hostname_url}/realms/master"
    assert keycloak.hostname_url == keycloak.url.replace("127.0.0.1", "localhost")
    assert refuses(keycloak.url)


def test_it_is_stopped_after_an_exception(machine: Path) -> None:
    with pytest.raises(KeyboardInterrupt), running(silent) as keycloak:
        raise KeyboardInterrupt

    assert refuses(keycloak.url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_it_does_not_outlive_who_started_it(
    machine: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("TMPDIR", str(machine.parent))  # where a killed one leaves its folder
    command = [sys.executable, "-c", HOLD]
    with heeding_signals():
        started = subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True)
    with started as holder:
        port = int(holder.stdout.readline().rpartition(":")[2])
        with create_connection(("127.0.0.1", port), timeout=30) as connection:
            holder.send_signal(number)

            assert closed_by_the_other_side(connection)


def closed_by_the_other_side(connection: socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_two_run_at_once(machine: Path) -> None:
    with running(silent) as one, running(silent) as other:
        assert one.url != other.url
        assert one.admin("GET", "/realms") != other.admin("GET", "/realms")


def test_what_would_configure_another_keycloak_does_not_configure_this_one(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KC_DB", "postgres")
    monkeypatch.setenv("KEYCLOAK_ADMIN", "somebody")

    with running(silent) as keycloak:
        answer = keycloak.admin("GET", "/realms")

    assert answer["of"] == ["KC_BOOTSTRAP_ADMIN_PASSWORD", "KC_BOOTSTRAP_ADMIN_USERNAME"]


def test_where_it_does_not_start_the_end_of_its_log_is_told(machine: Path) -> None:
    archive(machine / "archive.zip", "#!/bin/sh\n[ $1 = build ] && exit\necho Port already bound\nexit 1\n")

    with pytest.raises(KeycloakUnavailable, match=r"^Keycloak does not start:\nPort already bound$"), running(silent):
        pass


def test_where_it_takes_too_long_it_is_stopped(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(machine / "archive.zip", "#!/bin/sh\n[ $1 = build ] || sleep 600\n")
    monkeypatch.setattr(keycloak_server, "START_TIMEOUT", 0.0)

    with pytest.raises(KeycloakUnavailable, match=r"^Keycloak has not started after 0 seconds:"), running(silent):
        pass


def test_where_it_cannot_be_prepared_nothing_is_kept(machine: Path) -> None:
    archive(machine / "archive.zip", "#!/bin/sh\necho Out of memory\nexit 1\n")

    with pytest.raises(KeycloakUnavailable, match=r"kc\.sh build fails:\nOut of memory"):
        fetch(silent)

    assert in_the_cache(machine) == [f"keycloak-{VERSION}.lock"]


def test_one_that_runs_already_is_used_and_left_alone(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(silent) as first:
        monkeypatch.setenv("KEYCLOAK_URL", f"{first.url}/")
        monkeypatch.setenv("KEYCLOAK_ADMIN", "somebody")
        with running(silent) as second:
            pass
        still_there = not refuses(first.url)

    assert (second.url, second.hostname_url, second.username) == (first.url, first.hostname_url, "somebody")
    assert still_there


def test_where_none_runs_at_the_address_that_is_named_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("KEYCLOAK_URL", url)

    with (
        pytest.raises(KeycloakUnavailable, match=f"KEYCLOAK_URL is {url}, and no Keycloak answers there"),
        running(silent),
    ):
        pass


def test_what_the_admin_api_refuses_is_raised(machine: Path) -> None:
    with (
        running(silent) as keycloak,
        pytest.raises(KeycloakRefused, match=r"^GET /admin/realms/absent: 404 ") as caught,
    ):
        keycloak.admin("GET", "/realms/absent")

    assert caught.value.status == 404


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(Keycloak("http://127.0.0.1:1", "http://localhost:1", "admin", "the-secret"))


def test_a_free_port_can_be_taken() -> None:
    with create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[1] > 0
