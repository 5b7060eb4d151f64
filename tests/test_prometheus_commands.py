"""With a folder for the workers' numbers, servers must have it, and commands leave it alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

import click
import pytest
from flask.cli import FlaskGroup, ScriptInfo, run_command
from prometheus_client import CollectorRegistry

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import ConfigError
from flask_foreign_token.prometheus import MULTIPROC_DIR, export

from .apps import environment, policy, write_registry
from .conftest import MakeApp

APP = """
from flask import Flask
from flask_foreign_token import ForeignToken
from flask_foreign_token.prometheus import export

app = Flask(__name__)
app.config["FOREIGN_TOKEN_REGISTRY"] = "registry.json"
app.add_url_rule("/metrics", "metrics", export(ForeignToken(app)))
"""


@pytest.fixture
def exporting(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], object]:
    """Exports the numbers of an app whose workers have no folder."""
    extension = ForeignToken()
    app = make_app([policy("all")], extension)
    monkeypatch.setenv(MULTIPROC_DIR, str(tmp_path / "absent"))
    return lambda: export(extension, app, registry=CollectorRegistry())


def test_a_server_without_its_workers_folder_is_refused(exporting: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="which is no folder"):
        exporting()


def test_so_is_one_that_is_started_by_click_itself(exporting: Callable[[], object]) -> None:
    with click.Context(click.Command("serve")), pytest.raises(ConfigError, match="which is no folder"):
        exporting()


@pytest.mark.parametrize(
    ("command", "is_refused"), [(run_command, True), (click.Command("list"), False), (None, False)], ids=str
)
def test_of_the_commands_of_flask_run_alone_must_have_it(
    exporting: Callable[[], object], command: click.Command | None, is_refused: bool
) -> None:
    refused = pytest.raises(ConfigError, match="which is no folder") if is_refused else nullcontext()
    with ExitStack() as stack:
        parent = stack.enter_context(click.Context(FlaskGroup(), obj=ScriptInfo()))
        if command is not None:
            stack.enter_context(click.Context(command, parent))

        with refused:
            exporting()


@pytest.mark.parametrize("folder", ["files", "absent"])
def test_a_command_leaves_the_files_of_the_workers_alone(tmp_path: Path, folder: str) -> None:
    (tmp_path / "files").mkdir()
    write_registry(tmp_path / "registry.json", [policy("all")])
    (tmp_path / "app.py").write_text(APP)

    run = subprocess.run(
        [sys.executable, "-m", "flask", "foreign-token", "list", "AccessPolicy"],
        env=environment(**{MULTIPROC_DIR: str(tmp_path / folder)}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, "")
    assert "all" in run.stdout.split()
    assert list((tmp_path / "files").iterdir()) == []
