from __future__ import annotations

import base64
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from urllib3 import PoolManager

from flask_foreign_token.testing import Issuer
from flask_foreign_token.testing.__main__ import main
from flask_foreign_token.testing.shell import token_command

from ..heeding import heeding_signals

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed; `apt-get install curl`")


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The issuer in a process of its own, and what it prints when it is ready."""
    command = [sys.executable, "-m", "flask_foreign_token.testing", *arguments]
    with heeding_signals():
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with started as running:
        try:
            yield running, [running.stdout.readline().rstrip("\n") for _ in range(8)]
        finally:
            running.kill()


def typed(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)


def test_a_process_serves_what_it_prints(http: PoolManager) -> None:
    with process("--issuer", "http://localhost:8180/realms/myrealm") as (_, lines):
        addresses = dict(line.split() for line in lines[:6])
        metadata = http.request("GET", addresses["discovery"]).json()

    assert metadata["issuer"] == addresses["issuer"] == "http://localhost:8180/realms/myrealm"
    assert metadata["jwks_uri"] == addresses["keys"]
    assert metadata["token_endpoint"] == addresses["token"]
    assert metadata["userinfo_endpoint"] == addresses["userinfo"]
    assert metadata["introspection_endpoint"] == addresses["introspection"]


@needs_curl
def test_the_line_that_a_process_prints_puts_a_token_into_a_name() -> None:
    with process() as (_, lines):
        claims = typed(f'{lines[7]}; echo "$TOKEN"').stdout.split(".")[1]

    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["preferred_username"] == "testuser"


@needs_curl
def test_the_line_shows_what_a_provider_says_instead(issuer: Issuer) -> None:
    done = typed(token_command(issuer.token_endpoint, {"grant_type": "password", "client_id": "it's nobody"}))

    assert done.returncode == 1
    assert done.stderr.startswith("{'error': 'invalid_client'")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_process_ends_quietly_when_it_is_told_to(ending: signal.Signals) -> None:
    with process() as (running, _):
        running.send_signal(ending)

        assert running.communicate(timeout=30) == ("", "")
        assert running.returncode == 0


def test_a_port_that_is_taken_is_named(issuer: Issuer) -> None:
    port = issuer.url.split(":")[2].partition("/")[0]

    result = CliRunner().invoke(main, ["--port", port])

    assert result.exit_code == 1
    assert re.search(rf"port {port} cannot be had: .+; choose another with --port$", result.output.strip())


def test_where_the_issuer_is_named_it_goes_with_another_port(issuer: Issuer) -> None:
    port = issuer.url.split(":")[2].partition("/")[0]

    result = CliRunner().invoke(main, ["--port", port, "--issuer", issuer.url])

    assert result.output.strip().endswith("; choose another with --port, and the same in --issuer")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_cannot_be_is_refused(port: str) -> None:
    assert CliRunner().invoke(main, ["--port", port]).exit_code == 2
