"""What the app says of itself (RFC 9728), and the challenges that refer to it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Blueprint, Flask

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.errors import ConfigError

from ..apps import ask, introspector, policy, provider
from ..conftest import MakeApp
from .tokens import ISSUER, Server, issued_by, jwk, rsa_key, serving, token_of

RESOURCE = "https://api.example.com/fhir"
WELL_KNOWN = "/.well-known/oauth-protected-resource"
METADATA = f"https://api.example.com{WELL_KNOWN}/fhir"

# RFC 9110, section 11.2, and RFC 6750, section 3: what a challenge may be made of.
PARAMETER = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)="([\x20\x21\x23-\x5b\x5d-\x7e]*)"')


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.keys(jwk(rsa_key()))
        yield server


@pytest.fixture
def served(server: Server, make_app: MakeApp):
    """Makes apps with `RESOURCE`, views that ask for scopes and a policy that denies one of them."""

    def make(resource: str | None = RESOURCE, **config: object) -> Flask:
        resources = [
            provider(issuer=ISSUER),
            introspector("own", jwt={"iss": ISSUER}, jwks_uri=f"{server.url}/keys"),
            policy("own-tokens", {"jwt": {"iss": ISSUER}, "uri": {"$not": "#^/denied"}}),
        ]
        settings = {} if resource is None else {"FOREIGN_TOKEN_RESOURCE": resource}
        app = make_app(resources, **settings, **config)
        add_scoped_views(app)
        return app

    return make


def add_scoped_views(app: Flask) -> None:
    @app.get("/read")
    @require_policy(scope="patient.read")
    def read() -> dict[str, object]:
        return {}

    @app.get("/both")
    @require_policy(scope=["patient.write", "patient.read"])
    def both() -> dict[str, object]:
        return {}

    @app.get("/denied")
    @require_policy
    def denied() -> dict[str, object]:
        return {}


def parameters(challenge: str) -> dict[str, str]:
    """Each parameter of a challenge, once, and nothing beside them."""
    assert challenge.startswith("Bearer ")
    rest = challenge.removeprefix("Bearer ")
    found = PARAMETER.findall(rest)
    assert ", ".join(f'{name}="{value}"' for name, value in found) == rest
    assert len({name.lower() for name, _ in found}) == len(found), challenge
    return dict(found)


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("https://api.example.com", WELL_KNOWN),
        ("https://api.example.com/fhir", f"{WELL_KNOWN}/fhir"),
        ("https://api.example.com/a/b", f"{WELL_KNOWN}/a/b"),
        ("https://api.example.com:8443/fhir", f"{WELL_KNOWN}/fhir"),
        ("http://127.0.0.1:5000/fhir", f"{WELL_KNOWN}/fhir"),
    ],
)
def test_metadata_are_where_the_path_of_the_resource_says(served, resource, path):
    app = served(resource)
    answer = ask(app, path=path)

    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json["resource"] == resource
    for other in {WELL_KNOWN, f"{WELL_KNOWN}/fhir", f"{WELL_KNOWN}/other", f"{WELL_KNOWN}/a"} - {path}:
        assert ask(app, path=other).status_code == 404


def test_without_a_resource_there_are_none_and_no_challenge_names_them(served):
    app = served(None)

    assert ask(app, path=WELL_KNOWN).status_code == 404
    for answer in (
        ask(app),
        ask(app, "x.y.z"),
        ask(app, token_of(), "/read"),
        ask(app, headers={"Authorization": "Bearer"}),
    ):
        assert "resource_metadata" not in parameters(answer.headers["WWW-Authenticate"])


def test_they_name_the_issuers_and_the_scopes_that_views_ask_for(served):
    body = ask(served(), path=f"{WELL_KNOWN}/fhir").json

    assert body["authorization_servers"] == [ISSUER]
    assert sorted(body["scopes_supported"]) == ["patient.read", "patient.write"]
    assert body["bearer_methods_supported"] == ["header"]


def test_they_name_the_issuers_of_active_providers_only(make_app: MakeApp):
    resources = [
        provider("one", issuer="https://one.example"),
        provider("two", issuer="https://two.example", active=False),
        provider("three", issuer="https://three.example/"),
        *(
            introspector(f"{name}-jwt", name, jwt={"iss": iss, "secret": "s" * 16 + name * 8})
            for name, iss in (("one", "https://one.example"), ("three", "https://three.example/"))
        ),
        policy("all"),
    ]
    body = ask(make_app(resources, FOREIGN_TOKEN_RESOURCE=RESOURCE), path=f"{WELL_KNOWN}/fhir").json

    assert sorted(body["authorization_servers"]) == ["https://one.example", "https://three.example/"]


def test_they_have_no_empty_members(make_app: MakeApp):
    body = ask(make_app([policy("all")], FOREIGN_TOKEN_RESOURCE=RESOURCE), path=f"{WELL_KNOWN}/fhir").json

    assert body["resource"] == RESOURCE
    assert "authorization_servers" not in body
    assert "scopes_supported" not in body
    assert all(value not in ([], "", {}, None) for value in body.values())


def test_they_name_the_issuer_of_the_tokens_where_the_provider_names_none(server: Server, make_app: MakeApp):
    app = make_app(issued_by(f"{server.url}/keys"), FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert ask(app, path=f"{WELL_KNOWN}/fhir").json["authorization_servers"] == [ISSUER]


def test_they_name_the_scopes_of_the_views_of_blueprints(server: Server, make_app: MakeApp):
    app = make_app(issued_by(f"{server.url}/keys"), FOREIGN_TOKEN_RESOURCE=RESOURCE)
    reports = Blueprint("reports", __name__, url_prefix="/reports")

    @reports.get("/")
    @require_policy(scope="report.read report.list")
    def index() -> dict[str, object]:
        return {}

    app.register_blueprint(reports)
    body = ask(app, path=f"{WELL_KNOWN}/fhir").json
    assert sorted(body["scopes_supported"]) == ["report.list", "report.read"]


HOSTS = [
    {"Host": "evil.example"},
    {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"},
    {"Forwarded": "host=evil.example"},
]


@pytest.mark.parametrize("headers", HOSTS)
def test_neither_they_nor_challenges_follow_the_host_of_the_request(served, headers):
    app = served()
    answers = [ask(app, path=f"{WELL_KNOWN}/fhir", headers=headers), ask(app, headers=headers)]

    assert answers[0].json == ask(app, path=f"{WELL_KNOWN}/fhir").json
    assert parameters(answers[1].headers["WWW-Authenticate"])["resource_metadata"] == METADATA
    assert all("evil" not in f"{answer.headers}{answer.get_data(as_text=True)}" for answer in answers)


CHALLENGED = {
    "no token": (None, "/patients", {}, 401, {}),
    "a malformed header": (None, "/patients", {"Authorization": "Bearer"}, 400, {"error": "invalid_request"}),
    "a wrong token": ("x.y.z", "/patients", {}, 401, {"error": "invalid_token"}),
    "an expired token": ("expired", "/patients", {}, 401, {"error": "invalid_token"}),
    "a scope that is missing": ("good", "/read", {}, 403, {"error": "insufficient_scope", "scope": "patient.read"}),
    "no policy": ("good", "/denied", {}, 403, {}),
}


@pytest.mark.parametrize("case", CHALLENGED)
def test_every_challenge_refers_to_them_and_has_each_parameter_once(served, case):
    name, path, headers, status, expected = CHALLENGED[case]
    token = {"good": token_of(), "expired": token_of(exp=1)}.get(name, name)
    answer = ask(served(), token, path, headers=headers)

    assert answer.status_code == status
    assert len(answer.headers.getlist("WWW-Authenticate")) == 1
    found = parameters(answer.headers["WWW-Authenticate"])
    assert found["resource_metadata"] == METADATA
    assert expected.items() <= found.items()
    assert ("error" in found) == ("error" in expected)


def test_a_challenge_names_every_scope_that_the_view_asks_for(served):
    found = parameters(ask(served(), token_of(), "/both").headers["WWW-Authenticate"])

    assert set(found["scope"].split(" ")) == {"patient.read", "patient.write"}


@pytest.mark.parametrize("realm", ["clinic", "the clinic, x=1", "it's"])
def test_a_realm_is_written_in_quotes(served, realm):
    found = parameters(ask(served(FOREIGN_TOKEN_REALM=realm)).headers["WWW-Authenticate"])

    assert found["realm"] == realm


@pytest.mark.parametrize("realm", ["Ünikum", "a\nb", "a\r\nX: y", "\0", 'say "x"', "a\\b"])
def test_a_realm_that_a_challenge_cannot_carry_stops_the_app(bare_app: MakeApp, realm):
    with pytest.raises(ConfigError, match="FOREIGN_TOKEN_REALM"):
        ForeignToken(bare_app(FOREIGN_TOKEN_REALM=realm))


@pytest.mark.parametrize("scope", ['a"b', "a\\b", "ü", "", "a\nb"])
def test_a_scope_that_a_challenge_cannot_carry_is_refused_where_it_is_asked_for(scope):
    with pytest.raises((ConfigError, TypeError, ValueError)):
        require_policy(scope=[scope])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_anybody_may_read_them_however_the_app_is_protected(served, method):
    app = served(FOREIGN_TOKEN_PROTECT="all")

    assert ask(app, path=f"{WELL_KNOWN}/fhir", method=method).status_code == 200
    assert ask(app, path="/open").status_code == 401
    assert ask(app, path=f"{WELL_KNOWN}/fhir", method="POST").status_code in {405, 401}


@pytest.mark.parametrize(
    "resource",
    [
        "http://api.example.com",
        "https://api.example.com/#x",
        "api.example.com",
        "https://",
        "ftp://api.example.com",
        "https://user:password@api.example.com",
        'https://api.example.com/"x',
        "https://api.example.com/ü",
        "https://api.example.com/\r\nX: y",
        "",
        7,
    ],
)
def test_a_resource_that_is_no_identifier_stops_the_app(bare_app: MakeApp, resource):
    with pytest.raises(ConfigError, match="FOREIGN_TOKEN_RESOURCE"):
        ForeignToken(bare_app(FOREIGN_TOKEN_RESOURCE=resource))


def test_the_resource_is_the_default_audience(server: Server, make_app: MakeApp):
    app = make_app(issued_by(f"{server.url}/keys", aud=None), FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert ask(app, token_of(aud=RESOURCE)).status_code == 200
    assert ask(app, token_of(aud=RESOURCE + "/")).status_code == 401
    assert ask(app, token_of()).status_code == 401
