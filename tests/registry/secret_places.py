"""Sources of secrets to read, and files to put there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flask_foreign_token.registry.fields import SecretReference
from flask_foreign_token.registry.secret_sources import Reading, SecretSources

HUSH = "hush, this is nobody's business"


def in_file(path: Path | str) -> SecretReference:
    return SecretReference("file", str(path))


def in_variable(name: str) -> SecretReference:
    return SecretReference("env", name)


def sources(
    *folders: Path, variables: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
) -> SecretSources:
    return SecretSources([str(folder) for folder in folders], variables, environ or {})


def read(path: Path | str, *folders: Path) -> Reading:
    return sources(*folders).read(in_file(path))


def read_variable(name: str, variables: Sequence[str] | None = None, **environ: str) -> Reading:
    return sources(variables=variables, environ=environ).read(in_variable(name))


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
