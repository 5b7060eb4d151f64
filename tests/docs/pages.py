"""The code blocks of a page of the documentation, run one after the other as its reader would."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from flask import Flask
from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser

from example_app.keycloak_server import free_port
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.policy import parse_policy
from flask_foreign_token.policies.sql.database import Database
from flask_foreign_token.registry.schemas import SCHEMAS

from .terminal import Terminal, commands_in, is_said

ROOT = Path(__file__).parents[2]
PYTHON = ("python", "pycon")
SHELL = ("console", "bash", "sh", "shell")
DATA = ("json", "yaml")
ENGINES = Engines(Database("sqlite:////of-the-pages.db"))
PORTS = ("5000", "6379", "8080", "8180")
"""Those that pages speak of; free ones stand in for them when a page is run."""

Name = tuple[str, str]
"""A block: its document, and the first line of it that is not blank."""


class Page:
    """A document, and the folder that its reader would have beside the terminal.

    A block with a ``:caption:`` is a file of that name, and Python in it is imported; other Python blocks run in the
    names of the file before them. What is shown below a command must be what it says; ``...`` stands for anything.
    """

    def __init__(self, path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
        """`variables` are of the terminal's environment."""
        self.name = _name(path)
        self.said = ""
        """What the commands have said, one after the other."""
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._ports = {port: str(free_port()) for port in PORTS}
        self._variables = {"FLASK_RUN_PORT": self._ports["5000"], **variables}
        self._terminal: Terminal | None = None
        self._run_python = PythonEvaluator()
        evaluators = {PYTHON: self._python, SHELL: self._shell, DATA: self._data}
        self._document = _parse(self.with_free_ports(path.read_text(encoding="utf-8")), path, evaluators)

    def with_free_ports(self, text: str) -> str:
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda match: self._ports[match[0]], text)

    def run(self, left_out: Mapping[Name, str]) -> None:
        """Run every block but those of `left_out`."""
        self._monkeypatch.chdir(self._folder)
        self._monkeypatch.syspath_prepend(str(self._folder))
        self._document.namespace.update(vars(self._module("page", self._folder / "page.py")))
        try:
            for example in self._document:
                if (self.name, self._first_line(example)) not in left_out:
                    example.evaluate()
        finally:
            self._close()
            self._restore_log()

    @staticmethod
    def _restore_log() -> None:
        decisions = logging.getLogger("flask_foreign_token.decisions")
        decisions.handlers.clear()
        decisions.setLevel(logging.NOTSET)

    def _first_line(self, example: Example) -> str:
        """As it stands in the document."""
        line = first_line(example.parsed)
        for port, free in self._ports.items():
            line = line.replace(free, port)
        return line

    def _python(self, example: Example) -> None:
        caption = _caption(example)
        if caption is None:
            self._run_python(example)
            return
        file = self._write(caption, example.parsed)
        if not file.stem.startswith("test_"):
            module = self._module(file.stem, file)
            module.__spec__.loader.exec_module(module)
            example.namespace.update(vars(module))

    def _shell(self, example: Example) -> str | None:
        self._terminal = self._terminal or Terminal(self._folder, **self._variables)
        for command, shown in commands_in(example.parsed):
            status, said = self._terminal.run(command)
            self.said += said
            if status != 0:
                return f"{command}\nended with {status}:\n{said}"
            if shown and not is_said(shown, said):
                return f"{command}\nsaid:\n{said}\nand not:\n{shown}"
        return None

    def _data(self, example: Example) -> None:
        caption = _caption(example)
        if caption is not None:
            self._write(caption, example.parsed)
        language = example.region.lexemes["arguments"]
        body = json.loads(example.parsed) if language == "json" else yaml.safe_load(example.parsed)
        for resource in body if isinstance(body, list) else [body]:
            if resource.get("resourceType") in SCHEMAS:
                assert SCHEMAS[resource["resourceType"]].validate(resource) == {}
            if resource.get("resourceType") == "AccessPolicy":
                parse_policy(resource["id"], resource, ENGINES)

    def _write(self, name: str, text: str) -> Path:
        file = self._folder / name
        file.write_text(text, encoding="utf-8")
        return file

    def _module(self, name: str, file: Path) -> ModuleType:
        module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, file))
        self._monkeypatch.setitem(sys.modules, name, module)
        return module

    def _close(self) -> None:
        if self._terminal is not None:
            self._terminal.close()
        for app in self._document.namespace.values():
            if isinstance(app, Flask) and "sqlalchemy" in app.extensions:
                with app.app_context():
                    app.extensions["sqlalchemy"].engine.dispose()


def names_of(path: Path) -> list[Name]:
    """The Python and shell blocks of a document."""
    document = _parse(path.read_text(encoding="utf-8"), path, {PYTHON: None, SHELL: None})
    return [(_name(path), first_line(example.parsed)) for example in document]


def first_line(block: str) -> str:
    return next((line for line in block.splitlines() if line.strip()), "")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def _parse(text: str, path: Path, evaluators: Mapping[tuple[str, ...], Any]) -> Document:
    document = Document(text, str(path))
    for languages, evaluator in evaluators.items():
        for language in languages:
            for region in CodeBlockParser(language, evaluator or _nothing)(document):
                document.add(region)
    return document


def _nothing(example: Example) -> None:
    return None


def _caption(example: Example) -> str | None:
    caption = example.region.lexemes.get("options", {}).get("caption")
    return None if caption is None else caption.strip("`")
