"""RFC 6749, 6750, 9110, 9111 and 9449: what a request brings, and what its answer says. More of it stands in
``tests/test_errors_on_the_wire.py``, ``tests/test_credentials.py`` and ``tests/test_challenges.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer

from .. import challenges
from ..apps import ask, policy, registry_of, secret_token, trusting_a_secret, users_in
from ..conftest import MakeApp

ANN = policy("ann", {"jwt": {"sub": "ann"}})


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    app = make_app(trusting_a_secret(ANN))
    app.add_url_rule("/write", "write", require_policy(scope="write")(lambda: "in"), methods=["GET", "POST"])
    return app


@pytest.mark.requirement("RFC 6749", "7")
def test_a_resource_is_opened_by_a_token_that_is_valid_now_and_covers_it(app: Flask, issuer: Issuer) -> None:
    def status(**claims: Any) -> int:
        return ask(app, secret_token(issuer, **{"sub": "ann", "scope": "read write", **claims}), "/write").status_code

    assert status() == 200
    assert status(scope="read writer") == status(scope=None) == 403
    assert status(lifetime=-60) == status(secret="another secret that is also long enough!") == 401


@pytest.mark.requirement("RFC 6749", "10.3")
@pytest.mark.requirement("RFC 9700", "4.9", 2)
def test_no_token_is_kept_where_others_could_read_it(app: Flask, issuer: Issuer) -> None:
    token = secret_token(issuer, sub="ann")
    assert ask(app, token, "/me").status_code == 200
    assert users_in(app) == 1

    files = [path.read_bytes() for path in Path(app.root_path).rglob("*") if path.is_file()]

    assert any(b"ann" in text for text in files)
    assert not any(part.encode() in text for text in files for part in token.split(".")[1:])


@pytest.mark.requirement("RFC 6750", "2")
@pytest.mark.requirement("RFC 6750", "2.2")
@pytest.mark.parametrize(
    ("sent", "request_", "status"),
    [
        (True, {}, 200),
        (False, {}, 401),
        (True, {"query": True}, 400),
        (False, {"query": True}, 401),
        (True, {"form": True}, 400),
        (False, {"form": True}, 401),
        (False, {"form": True, "query": True}, 401),
        (False, {"json": True}, 401),
    ],
)
def test_a_token_comes_in_the_header_alone(
    app: Flask, issuer: Issuer, sent: bool, request_: dict[str, bool], status: int
) -> None:
    token = secret_token(issuer, sub="ann", scope="write")
    more: dict[str, Any] = {"data": {"access_token": token}} if "form" in request_ else {}
    more |= {"json": {"access_token": token}} if "json" in request_ else {}

    answer = ask(
        app,
        token if sent else None,
        f"/write?access_token={token}" if "query" in request_ else "/write",
        "POST",
        **more,
    )

    assert answer.status_code == status
    if status != 200:
        assert challenges.bearer(answer).get("error") == {400: "invalid_request", 401: None}[status]


@pytest.mark.requirement("RFC 9110", "9.3.2")
@pytest.mark.parametrize("token_of", ["ann", "bob", None])
def test_head_gets_what_get_gets_and_no_body(app: Flask, issuer: Issuer, token_of: str | None) -> None:
    for path in ("/patients", "/write"):
        token = None if token_of is None else secret_token(issuer, sub=token_of)
        got, asked = ask(app, token, path), ask(app, token, path, "HEAD")

        assert (asked.status_code, asked.data) == (got.status_code, b"")
        assert asked.headers.get("WWW-Authenticate") == got.headers.get("WWW-Authenticate")


@pytest.mark.requirement("RFC 9110", "9.3.2")
def test_a_policy_for_get_opens_head_and_one_for_head_opens_nothing(make_app: MakeApp, issuer: Issuer) -> None:
    for method, status in (("get", 200), ("head", 403)):
        app = make_app(trusting_a_secret(policy("p", {"request-method": method})))

        assert [ask(app, secret_token(issuer), method=way).status_code for way in ("GET", "HEAD")] == [status] * 2


@pytest.mark.requirement("RFC 9111", "3.5")
def test_no_cache_keeps_a_refusal_whatever_its_status(app: Flask, make_app: MakeApp, issuer: Issuer) -> None:
    broken = make_app(trusting_a_secret())
    registry_of(broken).unlink()
    answers = [
        ask(app, "a b"),
        ask(app),
        ask(app, "wrong"),
        ask(app, secret_token(issuer, sub="bob")),
        ask(app, secret_token(issuer, sub="ann", scope="read"), "/write"),
        ask(broken, secret_token(issuer)),
    ]

    assert [answer.status_code for answer in answers] == [400, 401, 401, 403, 403, 503]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


@pytest.mark.requirement("RFC 9700", "2.3", 2)
def test_a_token_opens_what_a_policy_and_its_scope_let_it_and_nothing_else(make_app: MakeApp, issuer: Issuer) -> None:
    reading = policy("reading", {"request-method": "get", "jwt": {"sub": "ann"}})
    app = make_app(trusting_a_secret(reading))
    app.add_url_rule("/write", "write", require_policy(scope="write")(lambda: "in"), methods=["GET", "POST"])

    def status(method: str, path: str, **claims: object) -> int:
        return ask(app, secret_token(issuer, **{"sub": "ann", **claims}), path, method).status_code

    assert status("GET", "/patients") == status("GET", "/write", scope="write") == 200
    assert status("GET", "/write", scope="read") == status("POST", "/write", scope="write") == 403
    assert status("GET", "/patients", sub="bob") == 403


@pytest.mark.requirement("RFC 9449", "7.1")
@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "MAC", "HOBA"])
def test_another_scheme_is_answered_with_a_challenge_for_bearer(app: Flask, issuer: Issuer, scheme: str) -> None:
    answer = ask(app, headers={"Authorization": f"{scheme} {secret_token(issuer, sub='ann')}", "DPoP": "a.b.c"})

    assert answer.status_code == 401
    assert list(challenges.bearer(answer)) == ["realm"]
