"""RFC 9728: the document, and the challenges that lead to it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View
from werkzeug.test import TestResponse

from flask_foreign_token import ForeignToken, metadata, require_policy
from flask_foreign_token.errors import ConfigError
from flask_foreign_token.testing import Issuer

from . import challenges
from .apps import (
    SECRET_ISSUER,
    ask,
    introspector,
    policy,
    provider,
    registry_of,
    secret_token,
    trusting_a_secret,
    write_registry,
)
from .conftest import MakeApp
from .test_decorators import Holding, closing_over, wrapped

RESOURCE = "https://api.example.com/fhir"
PATH = "/.well-known/oauth-protected-resource/fhir"


def document_of(app: Flask) -> dict[str, Any]:
    answer = ask(app, None, PATH)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json
    return found


# ---- where it is


@pytest.mark.requirement("RFC 9728", "3")
@pytest.mark.requirement("RFC 9728", "5.1")
@pytest.mark.parametrize(
    ("resource", "address"),
    [
        ("https://api.example.com", "https://api.example.com/.well-known/oauth-protected-resource"),
        ("https://api.example.com/", "https://api.example.com/.well-known/oauth-protected-resource"),
        ("https://api.example.com:8443/a/b", "https://api.example.com:8443/.well-known/oauth-protected-resource/a/b"),
        ("https://api.example.com/a/", "https://api.example.com/.well-known/oauth-protected-resource/a/"),
        ("https://api.example.com/a%20b", "https://api.example.com/.well-known/oauth-protected-resource/a%20b"),
        ("https://api.example.com//a//", "https://api.example.com/.well-known/oauth-protected-resource//a//"),
        ("http://localhost:5000/a", "http://localhost:5000/.well-known/oauth-protected-resource/a"),
    ],
)
def test_the_well_known_part_stands_between_host_and_path_and_there_the_document_is(
    make_app: MakeApp, resource: str, address: str
) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=resource)

    named = challenges.bearer(ask(app))["resource_metadata"]
    answer = ask(app, None, urlsplit(named).path)

    assert named == metadata.address_of(resource) == address
    assert (answer.status_code, answer.json["resource"]) == (200, resource)


@pytest.mark.requirement("RFC 9728", "3.3")
@pytest.mark.parametrize("resource", [RESOURCE, f"{RESOURCE}/"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/"])
def test_a_slash_at_the_end_redirects_nobody_to_the_host_that_a_request_names(
    make_app: MakeApp, resource: str, path: str
) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=resource)

    answer = ask(app, None, path, headers={"Host": "evil.example"})

    assert (answer.status_code, answer.json["resource"]) == (200, resource)


@pytest.mark.requirement("RFC 9728", "3.3")
@pytest.mark.parametrize("path", ["", "/fhir2", "/fhir/Patient", "/FHIR"])
def test_there_is_one_resource_and_no_document_for_another(make_app: MakeApp, path: str) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert ask(app, None, metadata.WELL_KNOWN + path).status_code == 404


def test_without_a_resource_there_is_no_document_and_no_challenge_names_one(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret())

    assert ask(app, None, metadata.WELL_KNOWN).status_code == 404
    assert "resource_metadata" not in challenges.bearer(ask(app))


@pytest.mark.requirement("RFC 9728", "2")
@pytest.mark.requirement("RFC 9728", "7.1")
@pytest.mark.parametrize(
    "resource",
    ["http://api.example.com", "http://keycloak.example/fhir", "https://user:password@api.example.com", "https://"],
)
def test_a_resource_without_tls_is_refused_at_the_start(bare_app: MakeApp, resource: str) -> None:
    with pytest.raises(ConfigError, match="FOREIGN_TOKEN_RESOURCE"):
        ForeignToken(bare_app(FOREIGN_TOKEN_RESOURCE=resource))


@pytest.mark.parametrize("path", ["/%3Cid%3E", "/a%3cb", "/a%3E"])
def test_a_resource_whose_path_no_route_can_have_is_refused_at_the_start(bare_app: MakeApp, path: str) -> None:
    with pytest.raises(ConfigError, match="FOREIGN_TOKEN_RESOURCE must have no <"):
        ForeignToken(bare_app(FOREIGN_TOKEN_RESOURCE=f"https://api.example.com{path}"))


@pytest.mark.parametrize(
    ("resource", "hosts"),
    [("https://api.example.com", []), ("http://127.0.0.1:5000", ["127.0.0.1"]), ("http://app:5000/a", ["app"])],
)
def test_a_resource_with_tls_or_at_a_host_that_may_go_without_passes(
    bare_app: MakeApp, resource: str, hosts: list[str]
) -> None:
    ForeignToken(bare_app(FOREIGN_TOKEN_RESOURCE=resource, FOREIGN_TOKEN_ALLOW_HTTP_HOSTS=hosts))


# ---- what it says


@pytest.mark.requirement("RFC 9728", "3.2")
def test_the_document_names_the_issuers_to_anybody_and_comes_from_the_setting(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE, FOREIGN_TOKEN_PROTECT="all")
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}

    answer = ask(app, None, PATH, headers=forged)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json == {
        "resource": RESOURCE,
        "bearer_methods_supported": ["header"],
        "authorization_servers": [SECRET_ISSUER],
    }


@pytest.mark.parametrize("token", ["wrong", "a b", "Basic"])
def test_the_document_asks_for_no_token_and_takes_none(make_app: MakeApp, token: str) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE, FOREIGN_TOKEN_PROTECT="all")

    assert ask(app, token, PATH).status_code == 200


def test_head_and_options_answer_as_they_do_everywhere(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE, FOREIGN_TOKEN_PROTECT="all")

    read, head, options, written = (ask(app, None, PATH, method) for method in ("GET", "HEAD", "OPTIONS", "POST"))

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Type"] == read.headers["Content-Type"]
    assert (options.status_code, sorted(options.allow)) == (200, ["GET", "HEAD", "OPTIONS"])
    assert written.status_code == 405


@pytest.mark.requirement("RFC 9728", "3.2")
def test_members_without_a_value_are_left_out(make_app: MakeApp) -> None:
    app = make_app([policy("all")], FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert document_of(app) == {"resource": RESOURCE, "bearer_methods_supported": ["header"]}


def two_issuers(**attributes: dict[str, object]) -> list[dict[str, object]]:
    """Two providers with an introspector each; `attributes` of the second provider and the second introspector."""
    keys = {"secret": "tell-nobody-that-this-is-how-we-sign-texts"}
    return [
        provider("first"),
        provider("second", **attributes.get("provider", {})),
        introspector("one", "first", jwt={"iss": "https://b.example", **keys}),
        introspector("two", "second", jwt={"iss": "https://a.example", **keys}, **attributes.get("introspector", {})),
    ]


def test_every_issuer_whose_tokens_are_taken_is_named_once_and_in_order(make_app: MakeApp) -> None:
    app = make_app(two_issuers(), FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert document_of(app)["authorization_servers"] == ["https://a.example", "https://b.example"]


@pytest.mark.parametrize("inactive", ["provider", "introspector"])
def test_an_issuer_that_is_switched_off_is_not_named(make_app: MakeApp, inactive: str) -> None:
    app = make_app(two_issuers(**{inactive: {"active": False}}), FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert document_of(app)["authorization_servers"] == ["https://b.example"]


def test_an_issuer_that_is_switched_off_while_the_app_runs_is_named_no_more(make_app: MakeApp) -> None:
    app = make_app(two_issuers(), FOREIGN_TOKEN_RESOURCE=RESOURCE, FOREIGN_TOKEN_REGISTRY_POLL=0)
    document_of(app)

    write_registry(registry_of(app), two_issuers(provider={"active": False}))

    assert document_of(app)["authorization_servers"] == ["https://b.example"]


@pytest.mark.parametrize(
    ("of_provider", "jwt", "named"),
    [
        ({}, {"iss": "https://a.example"}, ["https://a.example"]),
        ({"issuer": "https://a.example"}, {}, ["https://a.example"]),
        ({}, {}, None),
    ],
)
def test_an_issuer_of_opaque_tokens_is_named_where_somebody_says_who_it_is(
    make_app: MakeApp, of_provider: dict[str, object], jwt: dict[str, object], named: list[str] | None
) -> None:
    asked = {"url": "https://id.example/introspect", "client_id": "api", "client_secret": "hush"}
    opaque = introspector("opaque", jwt=jwt, type="opaque", introspection_endpoint=asked)
    app = make_app([provider(**of_provider), opaque], FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert document_of(app).get("authorization_servers") == named


def test_while_there_is_no_registry_there_is_no_document(make_app: MakeApp) -> None:
    app = make_app("[{", FOREIGN_TOKEN_RESOURCE=RESOURCE)

    assert ask(app, None, PATH).status_code == 503


@pytest.mark.requirement("RFC 9728", "5.1")
@pytest.mark.parametrize(("claims", "status"), [(None, 401), ({"aud": "elsewhere"}, 401), ({}, 403)])
def test_every_challenge_names_the_document_whatever_the_host(
    make_app: MakeApp, issuer: Issuer, claims: dict[str, object] | None, status: int
) -> None:
    app = make_app(trusting_a_secret(policy("none", {"uri": "/nowhere"})), FOREIGN_TOKEN_RESOURCE=RESOURCE)
    token = None if claims is None else secret_token(issuer, **claims)

    answer = ask(app, token, headers={"Host": "evil.example"})

    assert answer.status_code == status
    assert challenges.bearer(answer)["resource_metadata"] == f"https://api.example.com{PATH}"


# ---- the scopes that guards ask for

Guard = Callable[..., Any]


def view() -> Guard:
    """A new one: what is guarded once must not be registered without its guard."""
    return lambda: "in"


async def asynchronous() -> str:
    return "in"


class Whole(View):
    decorators = (require_policy(scope="whole"),)

    def dispatch_request(self) -> str:
        return "in"


class Methods(MethodView):
    init_every_request = False

    @require_policy(scope="read")
    def get(self) -> str:
        return "in"

    @wrapped
    @require_policy("writers", scope=["write", "read"])
    async def post(self) -> str:
        return "in"

    def put(self) -> str:
        return "in"


class Heir(Methods):
    def get(self) -> str:
        return "in"


def guarded(scope: str, of: Guard | None = None) -> Guard:
    guard: Guard = require_policy(scope=scope)(of or view())
    return guard


READ_FROM: dict[str, tuple[list[Guard], list[str]]] = {
    "no view": ([], []),
    "a view without a guard": ([view()], []),
    "a guard without a scope": ([require_policy(view()), require_policy("readers")(view())], []),
    "one scope": ([guarded("read")], ["read"]),
    "several, sorted and each once": ([guarded("b a"), guarded("a"), guarded("B")], ["B", "a", "b"]),
    "an async view": ([guarded("read", asynchronous)], ["read"]),
    "two guards": ([guarded("a", guarded("b"))], ["a", "b"]),
    "a guard around a guard without a scope": ([require_policy(guarded("a"))], ["a"]),
    "a class with decorators": ([Whole.as_view("whole")], ["whole"]),
    "the methods of a class": ([Methods.as_view("methods")], ["read", "write"]),
    "what an heir does not override": ([Heir.as_view("heir")], ["read", "write"]),
    "a class behind another decorator": ([closing_over(Whole.as_view("whole"))], ["whole"]),
    "a class behind a guard": ([guarded("outer", Methods.as_view("methods"))], ["outer", "read", "write"]),
    "another decorator outside": ([wrapped(guarded("read"))], ["read"]),
    "another decorator inside": ([guarded("read", wrapped(view()))], ["read"]),
    "one that hides what it wraps": ([closing_over(guarded("read"))], ["read"]),
    "an object that hides what it wraps": ([Holding(guarded("read"))], ["read"]),
    "a partial": ([functools.partial(guarded("read"))], ["read"]),
    "all of them in a pile": ([closing_over(wrapped(guarded("a", closing_over(guarded("b")))))], ["a", "b"]),
}


@pytest.mark.parametrize(("views", "scopes"), READ_FROM.values(), ids=READ_FROM)
def test_the_scopes_are_those_that_the_guards_of_registered_views_ask_for(
    make_app: MakeApp, views: list[Guard], scopes: list[str]
) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE)
    for number, registered in enumerate(views):
        app.add_url_rule(f"/{number}", f"view{number}", registered)

    assert document_of(app).get("scopes_supported", []) == scopes
    assert ("scopes_supported" in document_of(app)) == bool(scopes)


def test_the_methods_that_a_class_overrides_ask_for_nothing(make_app: MakeApp) -> None:
    class Overriding(Methods):
        def get(self) -> str:
            return "in"

        async def post(self) -> str:
            return "in"

    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE)
    app.add_url_rule("/", view_func=Overriding.as_view("overriding"))

    assert "scopes_supported" not in document_of(app)


def test_the_scopes_of_blueprints_count_and_of_blueprints_within(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE)
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    outer.add_url_rule("/outer", "view", guarded("outer"))
    inner.add_url_rule("/inner", "view", guarded("inner"))
    outer.register_blueprint(inner)
    app.register_blueprint(outer)

    assert document_of(app)["scopes_supported"] == ["inner", "outer"]


def test_each_app_has_the_scopes_of_its_own_views(make_app: MakeApp) -> None:
    foreign_token, shared = ForeignToken(), guarded("shared")
    first, second = (make_app(trusting_a_secret(), foreign_token, FOREIGN_TOKEN_RESOURCE=RESOURCE) for _ in "ab")
    for app, own in ((first, "first"), (second, "second")):
        app.add_url_rule("/shared", "shared", shared)
        app.add_url_rule("/own", "own", guarded(own))
    guarded("nowhere")

    assert document_of(first)["scopes_supported"] == ["first", "shared"]
    assert document_of(second)["scopes_supported"] == ["second", "shared"]


def test_views_are_read_once(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE)
    app.add_url_rule("/first", "first", guarded("first"))

    before = document_of(app)
    app.view_functions["first"] = guarded("later")

    assert document_of(app) == before


@pytest.mark.requirement("RFC 9728", "3.3")
def test_a_client_that_follows_the_challenge_learns_whom_to_ask_and_for_what(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_RESOURCE=RESOURCE)
    app.add_url_rule("/fhir/Patient", "read", guarded("patient.read"))

    def read(token: str | None) -> TestResponse:
        return ask(app, token, "/fhir/Patient")

    found = json.loads(ask(app, None, urlsplit(challenges.bearer(read(None))["resource_metadata"]).path).data)
    (server,), (scope,) = found["authorization_servers"], found["scopes_supported"]

    assert read(secret_token(issuer, iss=server, scope=scope)).status_code == 200
