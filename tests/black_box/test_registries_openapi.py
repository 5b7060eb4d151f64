"""The OpenAPI document, the page to read it, and what lets no other site in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator

from flask_foreign_token.testing import Issuer

from ..apps import ask, bearer, registry_of, trusting
from ..conftest import MakeApp
from .callers import (
    BODIES,
    OPERATOR_SETTINGS,
    REGISTRY_TYPES,
    SECRETS,
    TYPES,
    Operated,
    as_token,
    linked,
    operate,
    put_all,
    read,
    secret_introspector,
    secret_provider,
)

METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


@pytest.fixture
def app(operated: Operated, issuer: Issuer) -> Flask:
    return operated([*trusting(issuer), secret_provider(), secret_introspector()])


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    answer = operate(app, "GET", "/fhir/openapi.json")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.mimetype in {"application/json", "application/vnd.oai.openapi+json"}
    body: dict[str, Any] = json.loads(answer.get_data())
    return body


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method, operation


def texts_of(value: object) -> Iterator[tuple[str, object]]:
    """Every member of every object in it."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name, member
            yield from texts_of(member)
    elif isinstance(value, list):
        for member in value:
            yield from texts_of(member)


def test_it_is_openapi_3_1(document):
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"]
    assert document["info"]["version"]


def prefixed(document: dict[str, Any]) -> set[str]:
    """The paths as they are called, by what `servers` says."""
    base = (document.get("servers") or [{"url": ""}])[0]["url"].rstrip("/")
    base = re.sub(r"^https?://[^/]+", "", base)
    return {re.sub(r"\{[^}]+\}", "{}", base + path) for path in document["paths"]}


def test_every_address_of_the_operators_is_in_it(app: Flask, document):
    rules = {
        re.sub(r"<[^>]+>", "{}", rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("foreign_token.") and rule.rule.startswith("/fhir")
    }

    assert rules - prefixed(document) == set()


@pytest.mark.parametrize("name", TYPES)
def test_every_type_has_its_operations(document, name: str):
    there = prefixed(document)

    assert {f"/fhir/{name}", f"/fhir/{name}/{{}}"} <= there
    if name != "User":
        assert {
            f"/fhir/{name}/{{}}/_history",
            f"/fhir/{name}/{{}}/_history/{{}}",
            f"/fhir/{name}/{{}}/$rollback",
        } <= there


def test_every_operation_has_a_name_of_its_own_and_says_what_it_answers(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(names) == len(set(names))
    for path, method, operation in operations(document):
        assert operation["responses"], (path, method)
        if "health" not in path:
            assert {"401", "403"} <= set(operation["responses"]), (path, method)


def test_every_reference_leads_somewhere(document):
    references = {value for name, value in texts_of(document) if name == "$ref" and isinstance(value, str)}

    assert references
    for reference in references:
        found: Any = document
        assert reference.startswith("#/"), reference
        for step in reference[2:].split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]


def test_every_schema_is_json_schema(document):
    for name, schema in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema.get("type") or schema.get("properties") or schema.keys() & {"oneOf", "anyOf", "allOf", "enum"}, (
            name
        )


def schema_of(document: dict[str, Any], name: str) -> Draft202012Validator:
    [found] = [key for key in document["components"]["schemas"] if key == name]
    return Draft202012Validator({"$ref": f"#/components/schemas/{found}", "components": document["components"]})


@pytest.mark.parametrize("name", TYPES)
def test_a_good_body_fits_its_schema(document, name: str):
    body = {"resourceType": name, "id": "x", **BODIES[name]}

    assert list(schema_of(document, name).iter_errors(body)) == []


@pytest.mark.parametrize("name", TYPES)
def test_what_the_api_answers_fits_its_schema(app: Flask, document, name: str):
    assert operate(app, "PUT", f"/fhir/{name}/shown", {**BODIES[name], **DIFFERENT.get(name, {})}).status_code == 201

    assert list(schema_of(document, name).iter_errors(read(app, f"{name}/shown"))) == []


DIFFERENT: dict[str, dict[str, object]] = {
    "IdentityProvider": {"system": "another"},
    "TokenIntrospector": {"jwt": {"iss": "https://another.example", "aud": "account", "secret": "s" * 40}},
}


@pytest.mark.parametrize("name", REGISTRY_TYPES)
@pytest.mark.parametrize("wrong", [{"bogus": 1}, {"active": "yes"}], ids=str)
def test_a_wrong_body_does_not_fit_its_schema(document, name: str, wrong):
    body = {"resourceType": name, "id": "x", **BODIES[name], **wrong}

    assert list(schema_of(document, name).iter_errors(body))


def test_a_secret_may_be_a_reference_in_it(document):
    validator = schema_of(document, "IdentityProvider")
    body = {"resourceType": "IdentityProvider", "id": "x", **BODIES["IdentityProvider"]}

    for secret in ({"env": "NAME"}, {"file": "/run/secrets/x"}):
        assert list(validator.iter_errors({**body, "client": {"id": "x", "secret": secret}})) == []


def test_search_by_attributes_is_in_it(document):
    for path, method, operation in operations(document):
        if method == "get" and path.endswith("/AccessPolicy"):
            names = {parameter["name"] for parameter in operation["parameters"] if "name" in parameter}
            assert {"_count", "_page", "engine", "active", "roleName"} <= names
            assert not {name for name in names if "secret" in name}
            return
    pytest.fail("no search")


def test_it_holds_no_secret_and_nothing_of_this_machine(app: Flask, document):
    said = json.dumps(document)

    assert not [secret for secret in SECRETS if secret in said]
    assert str(registry_of(app).parent) not in said


def test_it_is_the_operators(app: Flask, issuer: Issuer):
    for path in ("openapi.json", "docs"):
        assert app.test_client().get(f"/fhir/{path}").status_code == 401
        assert app.test_client().get(f"/fhir/{path}", headers=bearer(issuer.token())).status_code == 403
    put_all(app, [linked("opens", "Operation/foreign_token.openapi")])
    assert as_token(app, issuer.token(), "GET", "/fhir/openapi.json").status_code == 200
    assert as_token(app, issuer.token(), "GET", "/fhir/docs").status_code == 403


def test_it_is_there_with_a_registry_file(make_app: MakeApp):
    app = make_app([], **OPERATOR_SETTINGS)

    assert operate(app, "GET", "/fhir/openapi.json").status_code == 200
    assert operate(app, "GET", "/fhir/docs").status_code == 200


def test_it_follows_the_prefix(operated: Operated):
    app = operated(FOREIGN_TOKEN_ADMIN_URL_PREFIX="/operator/api")

    document = operate(app, "GET", "/operator/api/openapi.json").json

    assert all(path.startswith("/operator/api/") for path in prefixed(document))


# ---- the page


def test_the_page_is_html_that_fetches_nothing_from_elsewhere(app: Flask):
    answer = operate(app, "GET", "/fhir/docs")

    said = answer.get_data(as_text=True)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", said)
    assert "@import" not in said
    assert not [secret for secret in SECRETS if secret in said]


def test_the_page_names_every_operation(app: Flask, document):
    said = operate(app, "GET", "/fhir/docs").get_data(as_text=True)

    for path in document["paths"]:
        assert path in said
    for name in TYPES:
        assert name in said


def test_the_page_is_kept_from_frames_and_scripts_of_others(app: Flask):
    headers = operate(app, "GET", "/fhir/docs").headers

    assert (
        "default-src 'none'" in headers["Content-Security-Policy"]
        or "default-src 'self'" in headers["Content-Security-Policy"]
    )
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"] or headers.get("X-Frame-Options") == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


# ---- CORS is off

ADDRESSES = [
    "openapi.json",
    "docs",
    "health",
    "health/live",
    "health/ready",
    "AccessPolicy",
    "AccessPolicy/known-issuer",
    "AccessPolicy/known-issuer/_history",
    "AccessPolicy/nothing-there",
]


@pytest.mark.parametrize("path", ADDRESSES)
def test_no_answer_lets_another_site_read_it(app: Flask, path: str):
    origin = {"Origin": "https://evil.example"}

    answers = [
        operate(app, "GET", f"/fhir/{path}", headers=origin),
        app.test_client().get(f"/fhir/{path}", headers=origin),
        app.test_client().options(
            f"/fhir/{path}",
            headers={
                **origin,
                "Access-Control-Request-Method": "PUT",
                "Access-Control-Request-Headers": "authorization, content-type",
            },
        ),
    ]

    for answer in answers:
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]
        assert answer.status_code < 500


def test_a_preflight_does_not_open_the_door_for_what_follows(app: Flask, issuer: Issuer):
    answer = app.test_client().put(
        "/fhir/AccessPolicy/evil",
        json={"engine": "allow"},
        headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    )

    assert answer.status_code == 401
    assert operate(app, "GET", "/fhir/AccessPolicy/evil").status_code == 404
    assert ask(app, issuer.token()).status_code == 200
