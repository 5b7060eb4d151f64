from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

from example_app import demo

from ..apps import environment
from ..heeding import heeding_signals

ROOT = Path(__file__).parents[2]
LINES = 84
STATUSES = ["201", "201", "201", "401", "200", "401", "200", "403", "200"]


def statuses_in(told: str) -> list[str]:
    return re.findall(r"^   < (\d+)", told, re.MULTILINE)


def test_the_demo_keeps_its_promises(capsys: pytest.CaptureFixture[str]) -> None:
    status = demo.main([])

    told = capsys.readouterr().out
    assert status == 0, told
    assert re.findall(r"^(\d)\.", told, re.MULTILINE) == ["1", "2", "3", "4", "5", "6", "7"]
    assert statuses_in(told) == STATUSES
    assert '"resourceType": "User"' in told
    assert "(issues as http://localhost:8180/realms/myrealm, a name that nobody calls)" in told


def test_what_it_prints_into_a_pipe_is_short_and_plain() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "example_app.demo"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert told.stderr == ""
    assert told.stdout.isascii()
    assert "\x1b" not in told.stdout
    assert len(told.stdout.splitlines()) <= LINES
    assert not re.search(r"[A-Za-z0-9_-]{40,}", told.stdout), "a whole token or secret was printed"


def test_a_broken_promise_ends_the_demo_with_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(demo.CREDENTIALS, "client_secret", "not-the-secret")

    status = demo.main([])

    assert status == 1
    assert "NOT AS PROMISED" in capsys.readouterr().out


def test_a_keycloak_that_cannot_be_reached_ends_the_demo_with_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYCLOAK_URL", "http://127.0.0.1:9")

    status = demo.main(["--keycloak"])

    assert status == 1
    assert "no Keycloak answers" in capsys.readouterr().out


def test_serving_goes_on_until_somebody_interrupts() -> None:
    with heeding_signals():
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "example_app.demo", "--serve"],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    with process:
        assert process.stdout is not None
        address = next(found[1] for line in process.stdout if (found := re.search(r"curl -i (http\S+)$", line)))
        answer = urllib3.request("GET", address)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        finally:
            process.kill()

    assert answer.status == 401
    assert process.returncode == 0
