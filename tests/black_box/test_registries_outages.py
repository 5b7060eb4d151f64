"""While the database is away the last good registry serves, readiness says so, and changes get 503."""

from __future__ import annotations

import gc
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.cli import FlaskGroup
from sqlalchemy.pool import NullPool

from flask_foreign_token.testing import Issuer

from ..apps import ask, policy, provider, trusting
from ..conftest import MakeApp
from ..integration.servers import postgresql
from ..integration.waiting import until
from .callers import BODIES, OPERATOR_SETTINGS, REGISTRY_TYPES, operate, put_all, run, write
from .registries import Relay, health, live, ready, relayed, worker


@dataclass
class Losable:
    """An app, and how its database goes away and comes back."""

    app: Flask
    lose: Callable[[], None]
    find: Callable[[], None]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as uri:
        yield uri


@pytest.fixture
def relay(server: str) -> Iterator[tuple[str, Relay]]:
    with relayed(server) as (uri, relay):
        yield uri, relay
        # An app has no end at which it could close its connections, so they are closed when it is collected.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture(params=["sqlite", "postgresql"])
def losable(request: pytest.FixtureRequest, make_app: MakeApp, tmp_path: Path, issuer: Issuer) -> Losable:
    if request.param == "sqlite":
        folder, away = tmp_path / "data", tmp_path / "away"
        folder.mkdir()
        # Every connection is a new one, since a file that is open can be moved and read on.
        app = worker(make_app, folder / "app.sqlite", SQLALCHEMY_ENGINE_OPTIONS={"poolclass": NullPool})
        losable = Losable(app, lambda: folder.rename(away) and None, lambda: away.rename(folder) and None)
    else:
        uri, relay = request.getfixturevalue("relay")
        app = worker(make_app, uri)
        losable = Losable(app, relay.cut, relay.mend)
    put_all(app, [*trusting(issuer), policy("victim", {"uri": "/nowhere"})])
    assert ask(app, issuer.token()).status_code == 200
    return losable


def test_the_last_good_registry_serves(losable: Losable, issuer: Issuer):
    app, token = losable.app, issuer.token()
    assert ask(app, token).status_code == 200

    losable.lose()

    assert [ask(app, token).status_code for _ in range(5)] == [200] * 5
    assert ask(app, issuer.token(sub="x", iss="https://nobody.example")).status_code == 401
    assert ask(app).status_code == 401


def test_readiness_says_so_and_liveness_does_not(losable: Losable):
    app = losable.app
    assert (live(app), ready(app)) == (200, 200)

    losable.lose()

    assert until(lambda status: status == 503, lambda: ready(app)) == 503
    assert live(app) == 200


def test_readiness_names_nothing(losable: Losable):
    losable.lose()

    answer = losable.app.test_client().get("/fhir/health/ready")

    assert set(answer.json) == {"status"}
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_operator_is_told_that_it_is_away(losable: Losable):
    app = losable.app
    version = health(app)["registry"]["version"]
    losable.lose()
    until(lambda status: status == 503, lambda: ready(app))

    answer = operate(app, "GET", "/fhir/health")

    assert answer.json["registry"]["version"] == version
    assert "database" in answer.get_data(as_text=True)


@pytest.mark.parametrize("name", REGISTRY_TYPES)
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_changes_get_503_and_retry_after(losable: Losable, name: str, method: str):
    losable.lose()

    path = f"/fhir/{name}" if method == "POST" else f"/fhir/{name}/victim"
    answer = operate(losable.app, method, path, None if method == "DELETE" else BODIES[name])

    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_rollback_and_a_history_get_503(losable: Losable):
    losable.lose()

    path = "/fhir/AccessPolicy/victim"
    assert operate(losable.app, "POST", f"{path}/$rollback", {"versionId": "1"}).status_code == 503
    assert operate(losable.app, "GET", f"{path}/_history").status_code == 503


def test_commands_fail_with_a_line(losable: Losable, tmp_path: Path):
    losable.lose()

    for words in [
        ("apply", write(tmp_path, "p.json", policy("new")), "--yes"),
        ("delete", "AccessPolicy", "victim", "--yes"),
        ("history", "AccessPolicy", "victim"),
        ("rollback", "AccessPolicy", "victim", "1", "--yes"),
        ("doctor",),
    ]:
        result = run(losable.app, *words, status=1)
        assert "database" in result.output, words
        assert "Traceback" not in result.output


def test_what_was_refused_meanwhile_was_not_changed(losable: Losable):
    app = losable.app
    losable.lose()
    assert operate(app, "DELETE", "/fhir/AccessPolicy/victim").status_code == 503

    losable.find()

    until(lambda status: status == 200, lambda: operate(app, "GET", "/fhir/AccessPolicy/victim").status_code)


def test_it_serves_and_changes_again_when_the_database_is_back(losable: Losable, issuer: Issuer):
    app, token = losable.app, issuer.token()
    losable.lose()
    until(lambda status: status == 503, lambda: ready(app))

    losable.find()

    until(lambda status: status == 200, lambda: ready(app), within=15)
    put_all(app, [policy("known-issuer", {"jwt": {"sub": "nobody-of-that-name"}})])
    assert ask(app, token).status_code == 403


def test_what_another_changed_meanwhile_is_learned_afterwards(make_app: MakeApp, server: str, relay, issuer: Issuer):
    uri, cable = relay
    cut_off, other = worker(make_app, uri), worker(make_app, server)
    put_all(other, trusting(issuer))
    token = issuer.token()
    assert ask(cut_off, token).status_code == 200
    cable.cut()
    assert ask(cut_off, token).status_code == 200

    put_all(other, [policy("known-issuer", {"jwt": {"sub": "nobody-of-that-name"}})])
    assert ask(cut_off, token).status_code == 200
    cable.mend()

    until(lambda status: status == 403, lambda: ask(cut_off, token).status_code, within=15)


def test_an_outage_is_logged_and_not_with_every_request(losable: Losable, issuer: Issuer, caplog):
    losable.lose()

    token = issuer.token()
    for _ in range(20):
        ask(losable.app, token)

    own = [
        record for record in caplog.records if record.name.startswith("flask_foreign_token") and record.levelno >= 30
    ]
    assert 1 <= len(own) <= 3, [record.getMessage() for record in own]


def test_a_database_that_answers_no_more_keeps_nobody(make_app: MakeApp, relay, issuer: Issuer):
    uri, cable = relay
    app = worker(make_app, uri)
    put_all(app, trusting(issuer))
    token = issuer.token()
    assert ask(app, token).status_code == 200
    statuses: list[int] = []

    with cable.hanging():
        threads = [threading.Thread(target=lambda: statuses.append(ask(app, token).status_code)) for _ in range(4)]
        for thread in threads:
            thread.start()
        # One may hang with the database: it looks. The others go on with what is in force.
        until(lambda number: number >= 3, lambda: len(statuses))
        for _ in range(3):
            late = threading.Thread(target=lambda: statuses.append(ask(app, token).status_code))
            threads.append(late)
            late.start()
            late.join(10)
            assert not late.is_alive()
    for thread in threads:
        thread.join(30)

    assert set(statuses) == {200}


@pytest.fixture
def lost(make_app: MakeApp, tmp_path: Path) -> tuple[Flask, Path]:
    """An app whose database cannot be reached from the start on, and the folder that lacks."""
    folder = tmp_path / "late"
    return worker(make_app, folder / "app.sqlite"), folder


def test_a_registry_that_cannot_be_read_at_the_start_is_503(lost, issuer: Issuer):
    app, _ = lost

    answer = ask(app, issuer.token())

    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (live(app), ready(app)) == (200, 503)


def test_an_open_view_needs_no_registry(lost):
    app, _ = lost

    assert ask(app, None, "/open").status_code == 200


def test_commands_work_that_need_no_registry(lost):
    app, _ = lost

    result = app.test_cli_runner().invoke(FlaskGroup(create_app=lambda: app), ["routes"])

    assert result.exit_code == 0
    assert "/fhir/health/ready" in result.output
    assert app.test_cli_runner().invoke(args=["foreign-token", "--help"]).exit_code == 0


def test_it_is_ready_as_soon_as_the_registry_can_be_read(lost, issuer: Issuer):
    app, folder = lost
    assert ready(app) == 503

    folder.mkdir()

    assert until(lambda status: status == 200, lambda: ready(app)) == 200
    put_all(app, trusting(issuer))
    assert ask(app, issuer.token()).status_code == 200


def test_a_rejected_file_is_mended_by_a_command(make_app: MakeApp, tmp_path: Path, issuer: Issuer):
    app = make_app([*trusting(issuer), provider("bad", system=7)], **OPERATOR_SETTINGS, FOREIGN_TOKEN_REGISTRY_POLL=0)
    assert (ask(app, issuer.token()).status_code, ready(app)) == (503, 503)
    assert "IdentityProvider/bad" in run(app, "doctor", status=1).output

    run(app, "apply", write(tmp_path, "good.json", provider("bad")), "--yes")

    assert (ask(app, issuer.token()).status_code, ready(app)) == (200, 200)


def test_a_rejected_file_says_why_to_the_operator_and_not_to_others(make_app: MakeApp, issuer: Issuer):
    app = make_app([provider("bad", system=7)], **OPERATOR_SETTINGS, FOREIGN_TOKEN_REGISTRY_POLL=0)

    assert "IdentityProvider/bad" in json.dumps(operate(app, "GET", "/fhir/health").json)
    assert "bad" not in app.test_client().get("/fhir/health/ready").get_data(as_text=True)
    assert "bad" not in ask(app, issuer.token()).get_data(as_text=True)
