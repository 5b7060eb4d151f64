"""What the tests of policies are made of: apps that live as long as a module, and the ways to ask what policies say."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.signals import access_decided

from ..apps import Resource, ask, database_of, protected
from .callers import OPERATOR_SETTINGS, operate

DECISIONS = "flask_foreign_token.decisions"
DECISION_ID = re.compile(r"[0-9a-f]{16}\Z")


def add_routes(app: Flask) -> None:
    """Guarded views for every method, one with an argument and one that does not read its body."""

    @app.route("/records/<record_id>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @require_policy
    def record(record_id: str) -> dict[str, object]:
        return {"record": record_id, "claims": g.token and sorted(g.token.claims)}

    @app.post("/upload")
    @require_policy
    def upload() -> dict[str, object]:
        return {"taken": True}


@contextmanager
def living(
    root: Path, resources: list[Resource] | str | None = None, extension: ForeignToken | None = None, **config: object
) -> Iterator[Flask]:
    """An app with the operator's endpoints and all views; on a registry file where there are `resources`."""
    root.mkdir(parents=True, exist_ok=True)
    app = Flask("clinic", root_path=str(root), instance_path=str(root / "instance"))
    app.config.update({**OPERATOR_SETTINGS, **config})
    protected(app, resources, extension)
    add_routes(app)
    try:
        yield app
    finally:
        with app.app_context():
            for engine in database_of(app).engines.values():
                engine.dispose()


def simulated(app: Flask, policy: Mapping[str, object], request: Mapping[str, object]) -> dict[str, Any]:
    """What ``POST /auth/test-policy`` says of one policy and one request."""
    answer = operate(app, "POST", "/fhir/auth/test-policy", {"policy": policy, "request": request})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    result: dict[str, Any] = answer.json["result"]
    assert type(result["eval-result"]) is bool
    return result


def allowed(app: Flask, policies: Sequence[Mapping[str, object]], request: Mapping[str, object]) -> bool:
    return any(simulated(app, policy, request)["eval-result"] for policy in policies)


def compared(app: Flask, pattern: object, value: object, **more: object) -> list[dict[str, Any]]:
    """The mismatches that ``POST /$matcho`` finds."""
    answer = operate(app, "POST", "/fhir/$matcho", {"matcho": pattern, "resource": value, **more})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    result: list[dict[str, Any]] = answer.json["result"]
    return result


def status(app: Flask, token: str | None = None, path: str = "/patients", method: str = "GET", **more: Any) -> int:
    return ask(app, token, path, method, **more).status_code


def let_in(app: Flask, token: str | None = None, path: str = "/patients", method: str = "GET", **more: Any) -> bool:
    """Whether the view answered; whatever is neither that nor a refusal by policies fails the test."""
    answer = ask(app, token, path, method, **more)
    assert answer.status_code in {200, 401 if token is None else 403}, answer.get_data(as_text=True)
    if answer.status_code == 403:
        assert answer.json["error"] == "access_denied"
    return answer.status_code == 200


def warnings_in(answer: TestResponse) -> list[str]:
    return answer.headers.getlist("Warning")


class CountingBody(io.RawIOBase):
    """A ``wsgi.input`` that counts how often somebody reads it."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)
        self.length = len(content)
        self.reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.reads += 1
        return self.content.readinto(buffer)


def post_counted(app: Flask, token: str | None, body: object, path: str = "/upload") -> tuple[int, int]:
    """The status, and how often the body was read."""
    stream = CountingBody(json.dumps(body).encode())
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = FlaskClient(app).open(
        path,
        method="POST",
        headers=headers,
        content_type="application/json",
        environ_overrides={"wsgi.input": stream, "CONTENT_LENGTH": str(stream.length)},
    )
    return answer.status_code, stream.reads


@contextmanager
def decisions_of(app: Flask) -> Iterator[list[Any]]:
    """What the signal of `app` carries within the block."""
    heard: list[Any] = []

    def hear(sender: object, decision: Any, **more: object) -> None:
        heard.append(decision)

    with access_decided.connected_to(hear, sender=app):
        yield heard


def decisions_in(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.decision for record in caplog.records if record.name == DECISIONS and hasattr(record, "decision")]


def said_of(caplog: pytest.LogCaptureFixture, text: str) -> list[logging.LogRecord]:
    """Records that name `text`, but for the decisions."""
    return [record for record in caplog.records if record.name != DECISIONS and text in record.getMessage()]


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Everything that was logged, with what would be printed of exceptions and attributes."""
    formatter = logging.Formatter()
    return "\n".join(f"{formatter.format(record)} {record.__dict__!r}" for record in caplog.records)


ENGINE = '''
from flask_foreign_token.policies.condition import Condition

calls = []


class Given(Condition):
    """What the policy says, as a constant; counts how often it is asked."""

    def __init__(self, said):
        self.said = said

    @property
    def reads(self):
        return frozenset(self.said.get("reads", ["jwt"]))

    @property
    def deterministic(self):
        return self.said.get("deterministic", True)

    def equalities(self):
        if self.said.get("fails") == "equalities":
            raise RuntimeError("the engine cannot file it")
        return ()

    def compile(self):
        if self.said.get("fails") == "compile":
            raise RuntimeError("the engine cannot compile it")

        def decide(view):
            for part in sorted(self.reads):
                try:
                    view[part]
                except KeyError:
                    pass
            calls.append(self.said.get("name"))
            if self.said.get("raises"):
                raise RuntimeError("the engine is ill: " + self.said["raises"])
            return self.said.get("answers", True)
        return decide


class Engine:
    def parse(self, policy, context):
        if policy["counting"].get("fails") == "parse":
            raise RuntimeError("the engine cannot read it")
        return Given(policy["counting"])


class Broken:
    def __init__(self):
        raise RuntimeError("cannot be made")
'''


def install_engine(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, **entry_points: str) -> Any:
    """Put a package `name` with :data:`ENGINE` on the path, as pip would; returns its module."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(ENGINE)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = "".join(f"{engine} = {name}:{target}\n" for engine, target in entry_points.items())
    (info / "entry_points.txt").write_text(f"[flask_foreign_token.policy_engines]\n{points}")
    monkeypatch.syspath_prepend(str(folder))
    return __import__(name)
