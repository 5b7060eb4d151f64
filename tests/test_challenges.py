"""Every challenge is one that a strict client can read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.errors import ConfigError, InsufficientScope, InvalidToken
from flask_foreign_token.testing import Issuer

from . import challenges
from .apps import SECRET_ISSUER, ask, policy, secret_token, trusting, trusting_a_secret
from .attacks.target import by_secret, claims
from .attacks.test_claims import OTHER_KINDS
from .attacks.test_headers import WRONG
from .attacks.test_structure import FORMS, NO_OBJECTS
from .conftest import MakeApp

ANN = policy("ann", {"jwt": {"sub": "ann"}})
EDGES = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\')
"""Every character that a scope may have (RFC 6749, section 3.3)."""


# ---- the parser itself


@pytest.mark.parametrize(
    ("header", "parameters"),
    [
        ("Bearer", {}),
        ('Bearer realm="a"', {"realm": "a"}),
        ('Bearer realm="a, b=c" , error=invalid_token', {"realm": "a, b=c", "error": "invalid_token"}),
    ],
)
def test_a_challenge_is_read(header: str, parameters: dict[str, str]) -> None:
    assert challenges.parse(header) == challenges.Challenge("Bearer", parameters)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ' realm="a"',
        'Bearer realm="a',
        "Bearer realm=",
        "Bearer realm=a b",
        'Bearer realm="a""',
        'Bearer realm="a", ',
        'Bearer realm="a" error="b"',
        'Bearer realm="a", Realm="b"',
        'Bearer realm="a", Basic realm="b"',
        'Bearer realm="\u00e4"',
    ],
)
def test_what_is_not_one_challenge_is_none(header: str) -> None:
    with pytest.raises(ValueError, match=r"no scheme|no parameter|twice"):
        challenges.parse(header)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Bearer"],
        ['Basic realm="a"'],
        ['Bearer realm="a"', 'Bearer realm="b"'],
        ['Bearer realm="a\\b"'],
        ['Bearer error="something"'],
        ['Bearer scope="a  b"'],
        ['Bearer scope=" a"'],
        ['Bearer colour="red"'],
        ['Bearer resource_metadata="/here"'],
    ],
)
def test_another_challenge_than_a_bearers_is_none(lines: list[str]) -> None:
    answer = TestResponse([], "401", Headers([("WWW-Authenticate", line) for line in lines]), request=None)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=r"lines|no bearer|must not"):
        challenges.bearer(answer)


# ---- what the extension says

SETTINGS: dict[str, dict[str, object]] = {
    "no setting": {},
    "a resource": {"FOREIGN_TOKEN_RESOURCE": "https://api.example.com/a%20b/"},
    "a realm of punctuation": {"FOREIGN_TOKEN_REALM": " , =; realm=''<>~ "},
    "a realm of everything": {"FOREIGN_TOKEN_REALM": f" {EDGES} ", "FOREIGN_TOKEN_RESOURCE": "https://api.example.com"},
    "everything optional": {"FOREIGN_TOKEN_OPTIONAL": True},
    "everything guarded": {"FOREIGN_TOKEN_PROTECT": "all", "FOREIGN_TOKEN_RESOURCE": "https://api.example.com"},
}
SCOPES: list[Any] = ["read", "a b", EDGES, [EDGES, "~"], ["read", "read"], "a\tb\nc"]

STATUSES: dict[str | None, set[int]] = {
    None: {401, 403},
    "invalid_request": {400},
    "invalid_token": {401},
    "insufficient_scope": {403},
}


def app_with(make_app: MakeApp, settings: dict[str, object]) -> Flask:
    foreign_token = ForeignToken()
    app = make_app(trusting_a_secret(ANN), foreign_token, **settings)
    for number, scope in enumerate(SCOPES):
        app.add_url_rule(f"/scope/{number}", f"scope{number}", require_policy(scope=scope)(lambda: "in"))
    blueprint = Blueprint("reports", __name__, url_prefix="/reports")
    foreign_token.protect(blueprint)
    blueprint.add_url_rule("/", "all", lambda: "in")
    app.register_blueprint(blueprint)
    return app


def refusals(app: Flask, issuer: Issuer) -> Iterator[TestResponse]:
    ann, bob = secret_token(issuer, sub="ann", scope="openid"), secret_token(issuer, sub="bob")
    for path in ("/patients", "/reports/", *(f"/scope/{number}" for number in range(len(SCOPES)))):
        for token in (None, bob, "a b", "a,b", "wrong", secret_token(issuer, aud="elsewhere")):
            yield ask(app, token, path)
            yield ask(app, token, path, "HEAD")
        yield ask(app, ann, f"{path}?access_token=a")
    yield from (ask(app, ann, f"/scope/{number}") for number in range(len(SCOPES)))
    yield from (ask(app, token) for token in bad_tokens())


def bad_tokens() -> Iterator[str]:
    """Tokens of which each check has something to say."""
    parts = by_secret().split(".")
    yield from (form(*parts) for form in FORMS.values())
    for octets in NO_OBJECTS.values():
        yield from (by_secret(octets), by_secret(body=octets))
    yield from (by_secret({"alg": "HS256", **members}) for members in WRONG.values())
    for members in ({"exp": 1}, {"exp": None}, {"aud": "elsewhere"}, {"iss": "nobody"}, *OTHER_KINDS.values()):
        yield by_secret(body=claims(SECRET_ISSUER, **members))
    yield f"{parts[0]}.{parts[1]}.{parts[2][::-1]}"


@pytest.mark.requirement("RFC 6750", "3")
@pytest.mark.requirement("RFC 6750", "3", 2)
@pytest.mark.requirement("RFC 6750", "3", 3)
@pytest.mark.requirement("RFC 6750", "3", 4)
@pytest.mark.requirement("RFC 9110", "11.6.1")
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_refusal_carries_one_challenge_that_a_strict_client_can_read(
    make_app: MakeApp, issuer: Issuer, settings: dict[str, object]
) -> None:
    app = app_with(make_app, settings)

    for answer in refusals(app, issuer):
        said = challenges.bearer(answer)

        assert said["realm"] == settings.get("FOREIGN_TOKEN_REALM", "clinic")
        assert ("resource_metadata" in said) == ("FOREIGN_TOKEN_RESOURCE" in settings)
        assert answer.status_code in STATUSES[said.get("error")]


@pytest.mark.parametrize("number", range(len(SCOPES)))
def test_a_challenge_names_the_scopes_that_are_missing(make_app: MakeApp, issuer: Issuer, number: int) -> None:
    app = app_with(make_app, {})
    scope = SCOPES[number]

    said = challenges.bearer(ask(app, secret_token(issuer, sub="ann", scope="openid"), f"/scope/{number}"))

    assert said["scope"].split(" ") == (scope.split() if isinstance(scope, str) else scope)


@pytest.mark.requirement("RFC 6750", "3", 4)
@pytest.mark.parametrize(
    "realm", ['"', "\\", "a\rb", "a\nb", "a\tb", "a\x00b", "a\x7fb", "m\u00fcnchen", "\u20ac", "\ud800", " ", ""]
)
def test_a_realm_that_no_challenge_can_carry_is_refused_at_the_start(bare_app: MakeApp, realm: str) -> None:
    with pytest.raises(ConfigError, match="FOREIGN_TOKEN_REALM"):
        ForeignToken(bare_app(FOREIGN_TOKEN_REALM=realm))


@pytest.mark.requirement("RFC 6750", "3", 4)
@pytest.mark.parametrize(
    "scope", ['"', "\\", "a\x00b", "a\x7fb", "m\u00fcnchen", "\u20ac", ["a b"], ["a\tb"], ["a\nb"], [""], [" "]]
)
def test_a_scope_that_no_challenge_can_carry_is_refused_at_the_start(scope: Any) -> None:
    with pytest.raises(ConfigError, match="no scope"):
        require_policy(scope=scope)


@pytest.mark.requirement("RFC 6750", "3", 4)
@pytest.mark.parametrize("name", ['a"b', "a\\b", "m\u00fcnchen", "a\nb"])
def test_an_apps_name_that_no_challenge_can_carry_is_replaced(name: str) -> None:
    app = Flask(__name__)
    app.name = name
    ForeignToken(app)
    app.add_url_rule("/", "view", require_policy(lambda: "in"))

    assert challenges.bearer(ask(app, "a b", "/"))["realm"] == "api"


@pytest.mark.parametrize("status", [401, 403])
def test_what_userinfo_makes_of_a_token_is_a_challenge_too(make_app: MakeApp, own_issuer: Issuer, status: int) -> None:
    asking = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": own_issuer.userinfo_endpoint}
    app = make_app(trusting(own_issuer, policy("all"), **asking), FOREIGN_TOKEN_RESOURCE="https://api.example.com")

    with own_issuer.fail("userinfo", status):
        answer = ask(app, own_issuer.token())

    assert answer.status_code == status
    assert challenges.bearer(answer)["error"] == {401: "invalid_token", 403: "insufficient_scope"}[status]
    assert "resource_metadata" in challenges.bearer(answer)


@pytest.mark.requirement("RFC 9728", "5.1")
def test_a_challenge_comes_from_the_setting_and_never_from_the_request(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE="https://api.example.com/fhir")
    forged = {
        "Host": "evil.example",
        "Forwarded": "host=evil.example;proto=http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": "/evil",
        "X-Original-URL": "/evil",
    }

    answers = [ask(app, token, "/patients", headers=forged) for token in (None, "wrong", "a b")]

    expected = "https://api.example.com/.well-known/oauth-protected-resource/fhir"
    assert [challenges.bearer(answer)["resource_metadata"] for answer in answers] == [expected] * 3
    assert not any("evil" in answer.text + str(answer.headers) for answer in answers)


@pytest.mark.parametrize("resources", ["[{", [{"resourceType": "Unknown", "id": "a"}]])
def test_an_outage_is_no_challenge(make_app: MakeApp, resources: Any) -> None:
    answer = ask(make_app(resources, FOREIGN_TOKEN_RESOURCE="https://api.example.com"), "wrong")

    assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (503, False)


@pytest.mark.requirement("RFC 6750", "3", 4)
@pytest.mark.parametrize("text", ['say "hi"', "a\\b", "zw\u00f6lf", "a\nb"])
@pytest.mark.parametrize(
    ("refusal", "status", "left_out"), [(InvalidToken, 401, "error_description"), (InsufficientScope, 403, "scope")]
)
def test_what_an_app_says_itself_stands_in_the_challenge_only_where_it_can(
    bare_app: MakeApp, refusal: type[InvalidToken | InsufficientScope], status: int, left_out: str, text: str
) -> None:
    app = bare_app()
    ForeignToken(app)

    @app.get("/")
    def view() -> None:
        raise refusal(text)

    answer = app.test_client().get("/")

    assert answer.status_code == status
    assert left_out not in challenges.bearer(answer)
