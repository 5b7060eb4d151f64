"""A secret that is swapped while the app runs, in the middle of whatever else goes on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.pool import NullPool
from werkzeug.wrappers import Request, Response

from flask_foreign_token.testing import Issuer

from ..apps import (
    SECRET_ISSUER,
    Resource,
    ask,
    introspector,
    policy,
    provider,
    registry_of,
    secret_token,
    trusting,
    write_registry,
)
from ..conftest import MakeApp
from ..integration.waiting import until
from .callers import OPERATOR_SETTINGS, operate, put_all, read
from .registries import AT_ONCE, health, history, ready, rollback, version_of, worker
from .tokens import OPAQUE, Server, active, asked_at, document

OLD, NEW = "the-old-secret-that-signs-all-of-our-texts", "the-new-secret-that-signs-all-of-our-texts"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "signing").write_text(OLD)
    return folder


def signed_with(folder: Path, name: str = "signing") -> Resource:
    return introspector("secret", jwt={"iss": SECRET_ISSUER, "secret": {"file": str(folder / name)}})


@pytest.fixture
def app(make_app: MakeApp, tmp_path: Path, folder: Path) -> Flask:
    app = worker(make_app, tmp_path / "app.sqlite", FOREIGN_TOKEN_SECRET_DIRS=[str(folder)])
    put_all(app, [provider(), policy("known-issuer", {"jwt": {"iss": SECRET_ISSUER}}), signed_with(folder)])
    return app


def swap(folder: Path, content: str, name: str = "signing") -> None:
    """As somebody does it who wants nobody to read half of it."""
    beside = folder / f".{name}.new"
    beside.write_text(content)
    beside.replace(folder / name)


def statuses(app: Flask, issuer: Issuer) -> list[int]:
    return [ask(app, secret_token(issuer, secret)).status_code for secret in (OLD, NEW)]


def test_it_may_be_swapped_back_and_forth(app: Flask, folder: Path, issuer: Issuer):
    for content, expected in [(NEW, [401, 200]), (OLD, [200, 401]), (NEW, [401, 200])]:
        swap(folder, content)
        assert statuses(app, issuer) == expected


def test_a_known_token_is_verified_anew(app: Flask, folder: Path, issuer: Issuer):
    token = secret_token(issuer, OLD)
    assert {ask(app, token).status_code for _ in range(3)} == {200}

    swap(folder, NEW)

    assert ask(app, token).status_code == 401
    swap(folder, OLD)
    assert ask(app, token).status_code == 200


def test_two_keys_count_both_while_the_other_side_changes_over(app: Flask, folder: Path, issuer: Issuer):
    swap(folder, NEW, "second")
    keys = [
        {"kty": "OCT", "alg": "HS256", "format": "plain", "k": {"file": str(folder / name)}}
        for name in ("signing", "second")
    ]
    put_all(app, [introspector("secret", jwt={"iss": SECRET_ISSUER, "keys": keys})])
    assert statuses(app, issuer) == [200, 200]

    swap(folder, NEW)

    assert statuses(app, issuer) == [401, 200]


def test_keys_that_another_introspector_fetched_stay(app: Flask, folder: Path, own_issuer: Issuer, issuer: Issuer):
    put_all(app, trusting(own_issuer, policy("own", {"jwt": {"iss": own_issuer.issuer}}), name="own"))
    token = own_issuer.token()
    assert ask(app, token).status_code == 200
    fetched = own_issuer.requests["jwks"]

    swap(folder, NEW)

    assert statuses(app, issuer) == [401, 200]
    assert ask(app, token).status_code == 200
    assert own_issuer.requests["jwks"] == fetched


def test_it_is_noticed_while_the_database_is_down(make_app: MakeApp, tmp_path: Path, folder: Path, issuer: Issuer):
    data, away = tmp_path / "data", tmp_path / "away"
    data.mkdir()
    settings = {"SQLALCHEMY_ENGINE_OPTIONS": {"poolclass": NullPool}, "FOREIGN_TOKEN_SECRET_DIRS": [str(folder)]}
    app = worker(make_app, data / "app.sqlite", **settings)
    trust = signed_with(folder)
    del trust["identity_provider"]
    put_all(app, [policy("p", {"jwt": {"iss": SECRET_ISSUER}}), trust])
    old = secret_token(issuer, OLD)
    assert ask(app, old).status_code == 200
    data.rename(away)
    until(lambda status: status == 503, lambda: ready(app))

    swap(folder, NEW)

    until(lambda status: status == 401, lambda: ask(app, old).status_code, within=15)
    away.rename(data)


def test_it_is_noticed_while_the_registry_file_is_spoilt(make_app: MakeApp, folder: Path, issuer: Issuer):
    resources = [provider(), policy("p", {"jwt": {"iss": SECRET_ISSUER}}), signed_with(folder)]
    app = make_app(resources, **OPERATOR_SETTINGS, **AT_ONCE, FOREIGN_TOKEN_SECRET_DIRS=[str(folder)])
    assert statuses(app, issuer) == [200, 401]
    write_registry(registry_of(app), "{")

    swap(folder, NEW)

    assert statuses(app, issuer) == [401, 200]


def test_an_endpoint_that_refused_the_old_credential_is_asked_with_the_new_one_at_once(
    app: Flask, folder: Path, server: Server
):
    swap(folder, "an-old-client-secret", "client")
    seen: list[str] = []

    def answer(request: Request) -> Response:
        given = request.authorization
        seen.append("" if given is None else str(given.password))
        return (
            document(active(iss=SECRET_ISSUER))
            if seen[-1] == "a-new-client-secret"
            else document({"error": "invalid_client"}, 401)
        )

    server.pages["/introspect"] = answer
    resources = asked_at(f"{server.url}/introspect")
    resources[1]["introspection_endpoint"]["client_secret"] = {"file": str(folder / "client")}
    put_all(app, resources)
    assert ask(app, OPAQUE).status_code == 503

    swap(folder, "a-new-client-secret", "client")

    answered = ask(app, OPAQUE)
    assert answered.status_code == 200, answered.get_data(as_text=True)
    assert seen == ["an-old-client-secret", "a-new-client-secret"]


def test_it_is_no_change_of_the_resource(app: Flask, folder: Path):
    before = operate(app, "GET", "/fhir/TokenIntrospector/secret").headers["ETag"]
    entries = len(history(app, "TokenIntrospector/secret"))

    swap(folder, NEW)
    read(app, "TokenIntrospector/secret")

    assert operate(app, "GET", "/fhir/TokenIntrospector/secret").headers["ETag"] == before
    assert len(history(app, "TokenIntrospector/secret")) == entries


def test_a_rollback_brings_the_reference_back_and_not_what_it_led_to(app: Flask, folder: Path, issuer: Issuer):
    first = version_of(read(app, "TokenIntrospector/secret"))
    put_all(app, [introspector("secret", jwt={"iss": SECRET_ISSUER, "secret": "s" * 40})])
    swap(folder, NEW)

    answer = rollback(app, "TokenIntrospector/secret", first)

    assert answer.status_code == 200
    assert read(app, "TokenIntrospector/secret")["jwt"]["secret"] == {"file": str(folder / "signing")}
    assert statuses(app, issuer) == [401, 200]


def test_no_request_is_dropped_while_it_is_swapped(app: Flask, folder: Path, issuer: Issuer):
    """Two keys count, of which one is swapped all the time; tokens under the other one never notice."""
    keys = [
        {"kty": "OCT", "alg": "HS256", "format": "plain", "k": {"file": str(folder / name)}}
        for name in ("signing", "second")
    ]
    swap(folder, NEW, "second")
    put_all(app, [introspector("secret", jwt={"iss": SECRET_ISSUER, "keys": keys})])
    token, stop = secret_token(issuer, NEW), threading.Event()
    answers: list[int] = []

    def ask_on() -> None:
        while not stop.is_set():
            answers.append(ask(app, token).status_code)

    threads = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(15):
            swap(folder, f"{OLD}-{number}")
            ask(app, token)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert set(answers) == {200}


def test_a_secret_of_another_worker_is_its_own(app: Flask, make_app: MakeApp, tmp_path: Path, issuer: Issuer):
    """What may be named is a setting of each worker: one that may not read it is out of service, and says so."""
    other = worker(make_app, app.config["SQLALCHEMY_DATABASE_URI"], FOREIGN_TOKEN_SECRET_DIRS=[str(tmp_path / "none")])

    assert ask(app, secret_token(issuer, OLD)).status_code == 200
    assert ask(other, secret_token(issuer, OLD)).status_code == 503
    assert "TokenIntrospector/secret" in str(health(other)["registry"]["out_of_service"])
