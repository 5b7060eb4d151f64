"""Only what changed is compiled again, and nobody waits for it."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import Resource, ask, registry_of, trusting, write_registry
from ..conftest import MakeApp
from ..integration.waiting import until
from .callers import operate, put_all
from .registries import worker

ENGINE = '''
import threading
from collections import Counter

from flask_foreign_token.policies.condition import Condition

compiled = Counter()
gate = threading.Event()
gate.set()
at_the_gate = threading.Event()


class Given(Condition):
    """What the policy says, as a constant."""

    def __init__(self, said):
        self.said = said

    reads = frozenset({"jwt"})
    deterministic = True

    def equalities(self):
        return ()

    def compile(self):
        compiled[self.said["name"]] += 1
        if self.said.get("slow") and not gate.is_set():
            at_the_gate.set()
            gate.wait(30)
        return lambda view: self.said["answers"]


class Engine:
    def parse(self, policy, context):
        return Given(policy["noting"])
'''


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The engine ``noting``, installed as pip would; its module counts by name what is compiled."""
    folder = tmp_path / "packages"
    info = folder / "noting_engine-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "noting_engine.py").write_text(ENGINE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noting_engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flask_foreign_token.policy_engines]\nnoting = noting_engine:Engine\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "noting_engine", raising=False)
    return __import__("noting_engine")


def noting(name: str, *, answers: bool = False, **said: object) -> Resource:
    said = {"name": name, "answers": answers, **said}
    return {"resourceType": "AccessPolicy", "id": name, "engine": "noting", "noting": said}


@pytest.fixture
def pair(engine: Any, make_app: MakeApp, tmp_path: Path, issuer: Issuer) -> tuple[Flask, Flask]:
    first, second = (worker(make_app, tmp_path / "shared.sqlite") for _ in range(2))
    put_all(first, trusting(issuer, *(noting(f"p{number}") for number in range(5)), noting("lets-in", answers=True)))
    assert ask(second, issuer.token()).status_code == 200
    engine.compiled.clear()
    return first, second


def test_a_change_of_one_policy_compiles_that_one(pair, engine: Any, issuer: Issuer):
    first, second = pair

    put_all(first, [noting("p1", mark=2)])

    assert ask(second, issuer.token()).status_code == 200
    assert set(engine.compiled) == {"p1"}


def test_requests_without_a_change_compile_nothing(pair, engine: Any, issuer: Issuer):
    _, second = pair

    for _ in range(3):
        ask(second, issuer.token())

    assert engine.compiled == Counter()


def test_a_policy_that_goes_compiles_nothing(pair, engine: Any, issuer: Issuer):
    first, second = pair

    assert operate(first, "DELETE", "/fhir/AccessPolicy/p1").status_code == 204

    assert ask(second, issuer.token()).status_code == 200
    assert engine.compiled == Counter()


def test_a_change_in_a_file_compiles_what_changed(engine: Any, make_app: MakeApp, issuer: Issuer):
    resources = trusting(issuer, noting("one"), noting("lets-in", answers=True))
    app = make_app(resources, FOREIGN_TOKEN_REGISTRY_POLL=0)
    assert ask(app, issuer.token()).status_code == 200
    engine.compiled.clear()

    write_registry(registry_of(app), trusting(issuer, noting("one", mark=2), noting("lets-in", answers=True)))

    assert ask(app, issuer.token()).status_code == 200
    assert set(engine.compiled) == {"one"}


@pytest.mark.parametrize("poll", [0, 0.2], ids=["with every request", "now and then"])
def test_nobody_is_kept_by_a_policy_that_takes_long_to_compile(
    engine: Any, make_app: MakeApp, tmp_path: Path, issuer: Issuer, poll: float
):
    first = worker(make_app, tmp_path / "shared.sqlite")
    put_all(first, trusting(issuer, noting("lets-in", answers=True)))
    second = worker(make_app, tmp_path / "shared.sqlite", FOREIGN_TOKEN_REGISTRY_POLL=poll)
    token = issuer.token()
    assert ask(second, token).status_code == 200
    put_all(first, [noting("slow", slow=True), noting("lets-in")])
    engine.gate.clear()
    answers: list[int] = []

    def ask_on() -> None:
        while not engine.at_the_gate.is_set():
            answers.append(ask(second, token).status_code)

    looker = threading.Thread(target=ask_on)
    looker.start()
    try:
        assert engine.at_the_gate.wait(10)
        others = [threading.Thread(target=lambda: answers.append(ask(second, token).status_code)) for _ in range(4)]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join(10)
        assert not any(thread.is_alive() for thread in others)
        assert set(answers) == {200}
    finally:
        engine.gate.set()
        looker.join(30)
    until(lambda status: status == 403, lambda: ask(second, token).status_code)
