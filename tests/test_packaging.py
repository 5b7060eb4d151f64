"""What is shipped, what is pinned, and whether CONTRIBUTING.md still names what there is."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "flask_foreign_token"
MODULES = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
NAME = re.compile(r"[A-Za-z0-9._-]+")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def names(requirements: str) -> set[str]:
    """The packages of a requirements file or of an option in setup.cfg, as the index spells them."""
    lines = (line for line in requirements.splitlines() if line and line[0] not in "# ")
    return {re.sub(r"[._]", "-", NAME.match(line)[0].lower()) for line in lines}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the wheel holds, by name; built from a copy so that the checkout stays as it is."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("flask_foreign_token", "example_app", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('dist'))"
    subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, timeout=120, check=True)
    (file,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(file) as opened:
        return {name: opened.read(name).decode() for name in opened.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: dict[str, str]) -> None:
    shipped = {name for name in wheel if ".dist-info/" not in name}

    others = {"py.typed", "admin/openapi/page.html", "admin/openapi/page.css"}
    assert shipped == {f"flask_foreign_token/{name}" for name in MODULES | others}


def test_the_wheel_brings_the_licence_and_the_plugin(wheel: dict[str, str]) -> None:
    texts = {name.rpartition("/")[2]: text for name, text in wheel.items()}

    assert texts["LICENSE"] == read("LICENSE")
    assert "[pytest11]\nforeign_token = flask_foreign_token.pytest_plugin" in texts["entry_points.txt"]
    assert re.search(r"^License(-Expression)?: BSD-3-Clause$", texts["METADATA"], re.MULTILINE)


def test_the_bounds_of_the_package_are_lower_ones_only() -> None:
    setup = configparser.ConfigParser()
    setup.read_string(read("setup.cfg"))

    requirements = setup["options"]["install_requires"].split() + setup["options.extras_require"]["async"].split()

    assert [line for line in requirements if not re.fullmatch(r"[A-Za-z0-9-]+>=[\d.]+", line)] == []


@pytest.mark.parametrize("name", ["dev", "bench"])
def test_a_lock_file_pins_whatever_is_asked_for(name: str) -> None:
    setup = configparser.ConfigParser()
    setup.read_string(read("setup.cfg"))
    asked = names(setup["options"]["install_requires"]) | names(read(f"requirements/{name}.in"))

    assert asked <= names(read(f"requirements/{name}.txt"))


@pytest.mark.parametrize("name", ["dev", "bench"])
def test_every_line_of_a_lock_file_is_a_version_and_at_most_a_marker(name: str) -> None:
    pin = re.compile(r"[a-z0-9-]+==[0-9][a-z0-9.]*( ; .+)?|\s*#.*")

    assert [line for line in read(f"requirements/{name}.txt").splitlines() if not pin.fullmatch(line)] == []


def test_contributing_names_every_module_and_no_other() -> None:
    named = re.findall(r"^\| `([\w/]+\.py)` \|", read("CONTRIBUTING.md"), re.MULTILINE)

    assert sorted(named) == sorted(name for name in MODULES if not name.endswith("__init__.py"))


@pytest.mark.parametrize("package", ["introspection", "policies", "registry", "users", "diagnosis"])
def test_what_needs_no_app_knows_neither_flask_nor_what_does(package: str) -> None:
    above = {"admin", "application", "cli", "decorators", "extension", "request_state", "runtime"}
    imported = {name for path in (PACKAGE / package).rglob("*.py") for name in imports_of(path)}

    assert imported
    assert imported & {"flask", *above} == set()


def imports_of(path: Path) -> set[str]:
    """The packages that a module imports, and those of ours, and modules beside them, by their names in the package."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for node in (node for node in nodes if isinstance(node, ast.ImportFrom)):
        folder = path.parents[node.level - 1].relative_to(PACKAGE).parts if node.level else ()
        named = [node.module] if node.module else [alias.name for alias in node.names]
        names += [".".join((*folder, name)) for name in named]
    return {name.partition(".")[0] for name in names}


def test_ci_runs_the_two_commands_and_nothing_else() -> None:
    script = ROOT / ".ci/run"
    commands = [line for line in script.read_text().splitlines() if line and line[0] != "#"]

    assert os.access(script, os.X_OK)
    assert commands == ["set -eu", 'cd "$(dirname "$0")/.."', "make lint", "make test"]


def test_make_says_which_python_it_needs(tmp_path: Path) -> None:
    old = tmp_path / "python"  # this one, claiming to be 3.9
    old.write_text("#!/bin/sh\nexec " + sys.executable + ' -c "import sys; sys.version_info = (3, 9); $2" \n')
    old.chmod(0o755)
    checkout = tmp_path / "checkout"
    (checkout / "requirements").mkdir(parents=True)
    for name in ("Makefile", "setup.cfg", "requirements/dev.txt"):
        shutil.copy(ROOT / name, checkout / name)

    run = subprocess.run(
        ["make", "lint", f"PYTHON={old}"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode != 0
    assert f"Python 3.11 or newer is needed, and {old} is 3.9" in run.stderr
    assert not (checkout / ".venv").exists()
