from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

import pytest
from click.testing import CliRunner
from urllib3 import PoolManager

from flask_foreign_token.testing import Issuer
from flask_foreign_token.testing.__main__ import main

from ..heeding import heeding_signals


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


def fields(curl: str) -> tuple[dict[str, str], str]:
    """The form that a curl line posts, and where to."""
    program, *options, url = shlex.split(curl)
    assert program == "curl"
    assert set(options[::2]) == {"-d"}
    return dict(pair for option in options[1::2] for pair in parse_qsl(option)), url


def test_a_process_serves_what_it_prints(http: PoolManager) -> None:
    with process("--issuer", "http://localhost:8180/realms/myrealm") as (_, lines):
        addresses = dict(line.split() for line in lines[:6])
        form, url = fields(lines[7])
        metadata = http.request("GET", addresses["discovery"]).json()
        answer = http.request_encode_body("POST", url, fields=form, encode_multipart=False)

    assert metadata["issuer"] == addresses["issuer"] == "http://localhost:8180/realms/myrealm"
    assert metadata["jwks_uri"] == addresses["keys"]
    assert metadata["token_endpoint"] == addresses["token"] == url
    assert metadata["userinfo_endpoint"] == addresses["userinfo"]
    assert metadata["introspection_endpoint"] == addresses["introspection"]
    assert answer.status == 200
    assert answer.json()["access_token"]


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
    assert f"port {port} cannot be had" in result.output


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_cannot_be_is_refused(port: str) -> None:
    assert CliRunner().invoke(main, ["--port", port]).exit_code == 2
