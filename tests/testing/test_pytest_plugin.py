"""The plugin as its users have it: in a run of pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TESTS = """
import urllib3
from flask_foreign_token import testing

seen = []

def test_the_issuer_serves(foreign_token_issuer):
    seen.append(foreign_token_issuer)
    assert isinstance(foreign_token_issuer, testing.Issuer)
    assert urllib3.request("GET", foreign_token_issuer.jwks_uri, retries=False).status == 200

def test_the_issuer_is_the_same_for_all_tests(foreign_token_issuer):
    assert seen == [foreign_token_issuer]

def test_acting_as_is_the_one_of_the_testing_package(acting_as):
    assert acting_as is testing.acting_as
"""


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120
    )


def test_its_fixtures_are_there_for_every_test(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(TESTS)

    result = run("-W", "error", "-m", "pytest", "-p", "flask_foreign_token.pytest_plugin", "-q", folder=tmp_path)

    assert "3 passed" in result.stdout, result.stdout + result.stderr


def test_its_fixtures_say_what_they_are(tmp_path: Path) -> None:
    result = run("-m", "pytest", "-p", "flask_foreign_token.pytest_plugin", "--fixtures", folder=tmp_path)

    assert "foreign_token_issuer [session scope]" in result.stdout
    assert "An OpenID provider on a free port of 127.0.0.1" in result.stdout
    assert "Requests by a user of the test's choice" in result.stdout


def test_loading_it_loads_no_issuer(tmp_path: Path) -> None:
    program = (
        "import sys, flask_foreign_token.pytest_plugin;"
        "print([name for name in ('flask_foreign_token.testing', 'authlib', 'joserfc.jwt') if name in sys.modules])"
    )

    assert run("-c", program, folder=tmp_path).stdout.strip() == "[]"
