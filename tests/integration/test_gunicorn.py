"""The app as it is deployed: gunicorn forks workers from a process that loaded the app."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
import requests

from flask_foreign_token.testing import Issuer

from ..apps import bearer, policy, trusting, write_registry
from .servers import SERVERS
from .serving import served

WSGI = """
import os, time
from flask import Flask, g
from flask_foreign_token import ForeignToken, require_policy

app = Flask(__name__)
if "DATABASE" in os.environ:
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE"]
ForeignToken(app)

@app.get("/me")
@require_policy
def me():
    time.sleep(0.02)
    return {"pid": os.getpid(), "subject": g.token.subject, "user": str(g.user.id), "data": g.user.data}
"""
CHECKED = """
from wsgi_plain import app

app.extensions["foreign_token"].check()
app.test_client().get("/me", headers={"Authorization": "Bearer " + open("token").read()})
"""


@pytest.mark.parametrize("worker", ["sync", "gthread --threads 4", "gevent"])
def test_two_preloaded_workers_share_one_user(tmp_path: Path, own_issuer: Issuer, worker: str) -> None:
    (tmp_path / "wsgi.py").write_text(WSGI)
    asking = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": own_issuer.userinfo_endpoint}
    write_registry(tmp_path / "registry.json", trusting(own_issuer, policy("ann", {"jwt": {"sub": "ann"}}), **asking))
    ann, bob = (own_issuer.token(sub=name) for name in ("ann", "bob"))

    def get(address: str, token: str | None) -> requests.Response:
        return requests.get(f"{address}/me", headers=bearer(token), timeout=30)

    with served(tmp_path, *f"--worker-class {worker}".split(), FOREIGN_TOKEN_REGISTRY="registry.json") as address:
        answers = until_both_answer(lambda: get(address, ann))
        refused = [get(address, token).status_code for token in (bob, "wrong", None)]

    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert {answer.json()["user"] for answer in answers} == {answers[0].json()["user"]}
    assert refused == [403, 401, 401]
    assert own_issuer.requests["jwks"] <= 2
    assert identifiers(tmp_path / "instance") == ["ann", "bob"]


def test_what_the_parent_has_opened_is_not_used_by_its_workers(tmp_path: Path, own_issuer: Issuer) -> None:
    (tmp_path / "wsgi_plain.py").write_text(WSGI)
    (tmp_path / "wsgi.py").write_text(CHECKED)
    (tmp_path / "token").write_text(own_issuer.token(sub="parent"))
    write_registry(tmp_path / "registry.json", trusting(own_issuer))
    tokens = [own_issuer.token(sub=f"user-{number}") for number in range(40)]

    with served(tmp_path, FOREIGN_TOKEN_REGISTRY="registry.json") as address, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda token: requests.get(f"{address}/me", headers=bearer(token), timeout=30), tokens))

    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert len(identifiers(tmp_path / "instance")) == 41


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS.keys())
def test_nobody_becomes_somebody_else_where_the_parent_was_connected_to_a_server(
    tmp_path: Path, own_issuer: Issuer, server: Callable[[], AbstractContextManager[str]]
) -> None:
    (tmp_path / "wsgi_plain.py").write_text(WSGI)
    (tmp_path / "wsgi.py").write_text(CHECKED)
    (tmp_path / "token").write_text(own_issuer.token(sub="parent"))
    write_registry(tmp_path / "registry.json", trusting(own_issuer))
    subjects = [f"user-{number % 6}" for number in range(120)]

    def ask_as(subject: str) -> tuple[int, object]:
        answer = requests.get(f"{address}/me", headers=bearer(own_issuer.token(sub=subject)), timeout=30)
        return answer.status_code, answer.json().get("data", {}).get("sub")

    settings = {"FOREIGN_TOKEN_REGISTRY": "registry.json", "FOREIGN_TOKEN_USER_TTL": "0"}
    with (
        server() as database,
        served(tmp_path, DATABASE=database, **settings) as address,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(ask_as, subjects))

    assert answers == [(200, subject) for subject in subjects]


def until_both_answer(get: Callable[[], requests.Response]) -> list[requests.Response]:
    """What came for many requests at once; who takes a connection is for the kernel to say, so maybe again."""
    answers: list[requests.Response] = []
    with ThreadPoolExecutor(16) as pool:
        for _ in range(20):
            answers += [future.result() for future in [pool.submit(get) for _ in range(48)]]
            if len({answer.json().get("pid") for answer in answers}) > 1:
                return answers
    pytest.fail("one worker answers everything")


def identifiers(folder: Path) -> list[str]:
    (file,) = folder.glob("*.*")
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM foreign_token_identifier ORDER BY value")]


def test_what_one_worker_learns_of_the_registry_reaches_the_other(tmp_path: Path, own_issuer: Issuer) -> None:
    (tmp_path / "wsgi.py").write_text(WSGI)
    file = tmp_path / "registry.json"
    write_registry(file, trusting(own_issuer, policy("bob", {"jwt": {"sub": "bob"}})))
    token = own_issuer.token(sub="ann")

    with served(tmp_path, FOREIGN_TOKEN_REGISTRY="registry.json", FOREIGN_TOKEN_REGISTRY_POLL="0") as address:
        before = {requests.get(f"{address}/me", headers=bearer(token), timeout=30).status_code for _ in range(8)}
        write_registry(file, trusting(own_issuer, policy("ann", {"jwt": {"sub": "ann"}})))
        with ThreadPoolExecutor(8) as pool:
            after = list(
                pool.map(lambda _: requests.get(f"{address}/me", headers=bearer(token), timeout=30), range(24))
            )

    assert before == {403}
    assert {answer.status_code for answer in after} == {200}, json.dumps([answer.text for answer in after])
