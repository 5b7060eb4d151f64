"""What was measured, written down with the machine and the versions that it was measured with."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

from .harness import Figure, Report, table_head, table_row

_ROOT = Path(__file__).parents[1]
_MEASURED = (
    *("Flask-ForeignToken", "Flask", "Werkzeug", "Flask-SQLAlchemy", "SQLAlchemy", "cryptography", "joserfc"),
    *("Authlib", "Flask-JWT-Extended", "PyJWT", "flask-oidc", "Flask-pyoidc", "casbin"),
    *("jsonschema-rs", "cachelib", "redis", "psycopg", "PyMySQL", "gunicorn"),
)
"""Distributions whose versions matter."""
_INTRODUCTION = """# Results of the benchmarks

Written by `make bench`; nothing here is typed in by hand. What is compared ran in turns in one process. A ratio is the
median of the ratios of all rounds, and the spread is their quartiles; times are those of the processor, unless a table
says otherwise.
"""


@dataclass(frozen=True)
class Circumstances:
    """Where and with what it was measured."""

    date: str
    revision: str
    processor: str
    processors: int
    memory_gib: float
    system: str
    python: str
    wrk: str
    versions: Mapping[str, str]

    @classmethod
    def now(cls) -> Circumstances:
        """Those of this process."""
        return cls(
            date=datetime.now(UTC).date().isoformat(),
            revision=_revision(),
            processor=_processor(),
            processors=os.cpu_count() or 1,
            memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            system=f"{platform.system()} {platform.release()}, {platform.machine()}",
            python=f"{platform.python_implementation()} {platform.python_version()}",
            wrk=_wrk(),
            versions={name: found for name in _MEASURED if (found := _version(name))},
        )


def write(folder: Path, report: Report, circumstances: Circumstances) -> None:
    """Write ``results.md`` and ``results.json`` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text("\n".join(_lines(report, circumstances)), encoding="utf-8")
    told = {
        "circumstances": asdict(circumstances),
        "limits_missed": report.missed,
        "figures": [asdict(row) for row in report.rows if isinstance(row, Figure)],
        "not_measured": [asdict(row) for row in report.rows if not isinstance(row, Figure)],
        "pictures": [asdict(picture) for picture in report.pictures],
    }
    (folder / "results.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _lines(report: Report, circumstances: Circumstances) -> Iterator[str]:
    yield _INTRODUCTION
    yield from _told(circumstances)
    for group, rows in groupby(report.rows, key=lambda row: row.group):
        yield table_head(group)
        yield from map(table_row, rows)
        yield ""
        for picture in report.pictures:
            if picture.group == group:
                yield f"![{picture.title}]({picture.name}.svg)\n"


def _told(circumstances: Circumstances) -> Iterator[str]:
    versions = ", ".join(f"{name} {number}" for name, number in circumstances.versions.items())
    facts = {
        "date": circumstances.date,
        "revision": f"`{circumstances.revision}`",
        "processor": f"{circumstances.processor}, {circumstances.processors} of them",
        "memory": f"{circumstances.memory_gib} GiB",
        "system": circumstances.system,
        "Python": circumstances.python,
        "packages": versions,
        "wrk": circumstances.wrk,
    }
    yield "| measured with | |\n| --- | --- |"
    for name, fact in facts.items():
        yield f"| {name} | {fact} |"
    yield ""


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _revision() -> str:
    """The commit that is checked out, and whether something differs from it."""
    told = _output("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    return told or "unknown"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or "unknown"


def _wrk() -> str:
    # It ends with 1 after telling its version.
    told = _output("wrk", "--version").split()
    return told[1] if len(told) > 1 else "not installed"


def _output(*command: str) -> str:
    """What a program says first; nothing where there is none."""
    if shutil.which(command[0]) is None:
        return ""
    run = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=10, check=False)
    return (run.stdout.splitlines() or [""])[0].strip()
