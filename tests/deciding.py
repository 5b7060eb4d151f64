"""What an app says about its decisions, gathered while requests are made."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.audit import AccessDecision
from flask_foreign_token.signals import access_decided

LOGGER = "flask_foreign_token.decisions"


@dataclass(slots=True)
class Told:
    """What was said.

    :param signalled: in the order in which it was.
    """

    caplog: pytest.LogCaptureFixture
    signalled: list[AccessDecision] = field(default_factory=list)

    @property
    def records(self) -> list[logging.LogRecord]:
        return [record for record in self.caplog.records if record.name == LOGGER and record.levelno == logging.INFO]

    @property
    def logged(self) -> list[dict[str, Any]]:
        return [record.__dict__["decision"] for record in self.records]

    @property
    def explained(self) -> list[str]:
        """The lines at DEBUG."""
        return [
            record.getMessage()
            for record in self.caplog.records
            if record.name == LOGGER and record.levelno == logging.DEBUG
        ]


@contextmanager
def listening(app: Flask, caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> Iterator[Told]:
    """Hear, in the block, what `app` decides: by the log, and by the signal."""
    told = Told(caplog)

    def note(sender: Flask, decision: AccessDecision) -> None:
        told.signalled.append(decision)

    caplog.clear()
    with caplog.at_level(level, LOGGER), access_decided.connected_to(note, app):
        yield told
