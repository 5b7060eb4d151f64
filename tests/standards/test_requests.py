"""RFC 3986 and RFC 9700, 4.13: what policies see of a request is what was routed, and nothing that a caller adds."""

from __future__ import annotations

import pytest
from flask import Flask, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer

from ..apps import ask, bearer, policy, secret_token, trusting_a_secret
from ..conftest import MakeApp

PUBLIC = policy("public", {"uri": "#^/public/[^/]*$"})


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Lets everybody see what is directly below ``/public/``; every view answers with the rule that was matched."""
    app = make_app(trusting_a_secret(PUBLIC))
    for path in ("/public/<path:name>", "/secret", "/<path:name>"):
        app.add_url_rule(path, path, require_policy(lambda name="": {"rule": request.url_rule.rule, "name": name}))
    return app


@pytest.mark.requirement("RFC 3986", "6.2.2")
@pytest.mark.parametrize(
    "path", ["/public/a", "/public/%61", "/public/a?x=/../secret", "/public/a%20b", "/public/..a", "/%2fpublic/a"]
)
def test_what_a_policy_opens_is_open_however_it_is_written(app: Flask, issuer: Issuer, path: str) -> None:
    answer = ask(app, secret_token(issuer), path)

    assert (answer.status_code, answer.json["rule"]) == (200, "/public/<path:name>")


@pytest.mark.requirement("RFC 3986", "6.2.2")
@pytest.mark.parametrize(
    "path",
    [
        "/secret",
        "/public/../secret",
        "/public/%2e%2e/secret",
        "/public/%2E%2E%2Fsecret",
        "/public/..%2fsecret",
        "/secret?/public/a",
        "/secret%3f/public/a",
        "/secret#/public/a",
        "/secret;/public/a",
        "/x/public/a",
        "/secret%00/public/a",
        "/PUBLIC/a",
        "/public%2Fa%2Fb",
        "/%70ublic/a/b",
        "/public/a%0a/b",
    ],
)
def test_what_no_policy_opens_is_shut_however_it_is_written(app: Flask, issuer: Issuer, path: str) -> None:
    assert ask(app, secret_token(issuer), path).status_code in (403, 404)


@pytest.mark.requirement("RFC 3986", "6.2.2")
@pytest.mark.parametrize("path", ["//public/a", "///public/a", "/public//a", "//secret", "/public//../secret"])
def test_double_slashes_open_nothing_else(app: Flask, issuer: Issuer, path: str) -> None:
    environment = {"PATH_INFO": path, "REQUEST_URI": path}

    answer = app.test_client().get("/", headers=bearer(secret_token(issuer)), environ_overrides=environment)

    assert answer.status_code in (200, 308, 403, 404)
    assert answer.status_code != 200 or answer.json == {"rule": "/public/<path:name>", "name": "a"}


@pytest.mark.requirement("RFC 3986", "6.2.2")
def test_below_a_mount_a_policy_sees_the_path_within_the_app(app: Flask, issuer: Issuer) -> None:
    mounted = Client(DispatcherMiddleware(lambda *_: [], {"/public": app.wsgi_app}))
    headers = bearer(secret_token(issuer))

    assert mounted.get("/public/public/a", headers=headers).status_code == 200
    assert mounted.get("/public/secret", headers=headers).status_code == 403


FORGED = {
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "inside.example",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Prefix": "/inside",
    "X-Forwarded-Uri": "/inside",
    "X-Forwarded-Method": "GET",
    "X-Original-Url": "/inside",
    "X-Original-Method": "GET",
    "X-Rewrite-Url": "/inside",
    "X-Real-Ip": "192.0.2.7",
    "X-Http-Method-Override": "GET",
    "Forwarded": "for=192.0.2.7;proto=https;host=inside.example",
}
INSIDE: dict[str, dict[str, object]] = {
    "the address": {"remote-addr": "192.0.2.7"},
    "the scheme": {"scheme": "https"},
    "the path": {"uri": "/inside"},
    "the method": {"request-method": "get"},
    "the host": {"headers": {"host": "inside.example"}},
}


@pytest.mark.requirement("RFC 9700", "4.13")
@pytest.mark.parametrize("pattern", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("spelling", ["-", "_"])
def test_what_a_proxy_might_say_changes_nothing_unless_the_app_believes_it(
    make_app: MakeApp, issuer: Issuer, pattern: dict[str, object], spelling: str
) -> None:
    app = make_app(trusting_a_secret(policy("inside", pattern)))
    app.add_url_rule("/write", "write", require_policy(lambda: "in"), methods=["POST"])
    forged = {name.replace("-", spelling): value for name, value in FORGED.items()}

    answer = ask(app, secret_token(issuer), "/write", "POST", headers=forged)

    assert answer.status_code == 403


@pytest.mark.requirement("RFC 9700", "4.13")
def test_behind_a_proxy_that_the_app_believes_its_word_counts(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("inside", {"remote-addr": "192.0.2.7", "scheme": "https"})))
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]

    assert ask(app, secret_token(issuer), headers=FORGED).status_code == 200
    assert ask(app, secret_token(issuer)).status_code == 403
