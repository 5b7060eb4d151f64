"""The kept corpus, and a short run of the fuzzer; `make fuzz` runs on."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ..apps import environment
from ..integration.servers import missing
from . import properties

FOLDER = Path(__file__).parent
CORPUS = sorted((FOLDER / "corpus").iterdir())
RUNS = 2_000
HAS_WHEEL = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 15)
"""As requirements/dev.in has it."""


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_was_once_found_keeps_the_promises(path: Path) -> None:
    in_good_form = properties.check(path.read_bytes())

    assert in_good_form or not path.name.startswith("good-")


def test_the_corpus_holds_tokens_of_every_algorithm_and_what_is_refused() -> None:
    names = {path.name for path in CORPUS}

    assert {f"good-{algorithm}" for algorithm in ("RS256", "PS512", "ES384", "EdDSA", "Ed25519", "HS256")} <= names
    assert sum(not name.startswith("good-") for name in names) > 50


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        if HAS_WHEEL:
            missing("atheris is not installed: remove .venv, and `make test` makes it anew")
        pytest.skip("atheris has no wheel for this platform")
    folders = [tmp_path, FOLDER / "corpus"]
    options = [f"-runs={RUNS}", "-seed=1", f"-dict={FOLDER / 'jose.dict'}", f"-artifact_prefix={tmp_path}/"]

    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz_parse", *options, *map(str, folders)],
        cwd=FOLDER.parents[1],
        env=environment(PYTHONHASHSEED="0"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert f"Done {RUNS} runs" in run.stderr
