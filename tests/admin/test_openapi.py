"""The OpenAPI document: all that the API is, and nothing that it is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import ForeignToken
from flask_foreign_token.admin.openapi.document import document
from flask_foreign_token.admin.openapi.rules import Traits
from flask_foreign_token.admin.routes import _MODULES, ENDPOINTS, PUBLIC
from flask_foreign_token.documents import read_yaml
from flask_foreign_token.policies.sql.server import SETTING
from flask_foreign_token.registry.schemas import SCHEMAS

from ..apps import ask
from ..conftest import MakeApp
from ..counting import counted
from .asking import ADMIN, BODIES, NOUNS, PASSWORD, basic, operate, tutorial


def described(app: Flask) -> dict[str, Any]:
    answer = operate(app, "GET", "/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    told: dict[str, Any] = answer.json
    return told


def operations(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in told["paths"].values():
        yield from methods.values()


def schema_of(told: dict[str, Any], name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": told["components"]}
    )


def test_it_is_openapi(app: Flask) -> None:
    told = described(app)

    schemathesis.openapi.from_dict(told).validate()
    assert told["openapi"] == "3.1.0"
    for schema in told["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_it_has_every_endpoint_and_no_other(app: Flask) -> None:
    told = described(app)

    named = [f"foreign_token.{operation['operationId']}" for operation in operations(told)]
    assert sorted(named) == sorted(ENDPOINTS | PUBLIC)
    routed = {
        (re.sub(r"<\w+>", "{}", rule.rule.removeprefix("/fhir")), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint in ENDPOINTS | PUBLIC
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    told_of = {
        (re.sub(r"\{\w+\}", "{}", path), method) for path, methods in told["paths"].items() for method in methods
    }
    assert told_of == routed


def test_an_endpoint_of_which_nothing_is_known_is_no_part_of_it(app: Flask) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint == "foreign_token.matcho"]
    rules[0].endpoint = "foreign_token.matchmaking"

    with pytest.raises(KeyError):
        document(rules, "/fhir", Traits())


def test_it_is_the_same_each_time_and_without_a_look_at_any_database(app: Flask, make_app: MakeApp) -> None:
    first = operate(app, "GET", "/openapi.json").data

    with counted() as sent:
        assert operate(app, "GET", "/openapi.json").data == first

    assert sent.work == []
    assert operate(make_app(**ADMIN), "GET", "/openapi.json").data == first


def test_it_holds_no_secret(app: Flask) -> None:
    assert PASSWORD not in json.dumps(described(tutorial(app)))


def test_it_can_be_had_in_yaml(app: Flask) -> None:
    answer = operate(app, "GET", "/openapi.json", headers={"Accept": "application/yaml"})

    assert answer.mimetype == "application/yaml"
    assert read_yaml(answer.data) == described(app)


@pytest.mark.parametrize(("root", "url"), [("", "/fhir"), ("/clinic", "/clinic/fhir")])
def test_it_says_where_the_api_is(app: Flask, root: str, url: str) -> None:
    answer = app.test_client().get("/fhir/openapi.json", headers=basic(), environ_overrides={"SCRIPT_NAME": root})

    assert answer.json["servers"] == [{"url": url}]


def test_all_but_health_is_for_whoever_signs_in(app: Flask) -> None:
    told = described(app)

    assert told["security"] == [{"operator": []}, {"bearer": []}]
    assert {name: scheme["scheme"] for name, scheme in told["components"]["securitySchemes"].items()} == {
        "operator": "basic",
        "bearer": "bearer",
    }
    open_to_all = {f"foreign_token.{one['operationId']}" for one in operations(told) if one.get("security") == []}
    assert open_to_all == PUBLIC


def test_what_modules_name_is_what_they_route(app: Flask) -> None:
    extension = app.extensions["foreign_token"]
    routes = [route for module in _MODULES for route in module.routes(extension)]

    assert {f"foreign_token.{route.name}" for route in routes} == ENDPOINTS | PUBLIC


def test_what_is_for_all_is_all_that_answers_nobody(app: Flask) -> None:
    asked = {
        operation["operationId"]: ask(app, None, f"/fhir{path}", method.upper()).status_code
        for path, methods in described(app)["paths"].items()
        for method, operation in methods.items()
    }

    assert {f"foreign_token.{name}" for name, status in asked.items() if status != 401} == PUBLIC


def test_every_attribute_of_every_resource_is_in_it_with_its_meaning(app: Flask) -> None:
    told = json.dumps(described(app)["components"]["schemas"])

    for schema in SCHEMAS.values():
        for name, field in schema.fields.items():
            if (field.data_key or name) != "meta":
                assert json.dumps(field.metadata["description"]) in told


def test_every_answer_that_was_written_tells_its_state(app: Flask) -> None:
    for operation in operations(described(app)):
        for status, answer in operation["responses"].items():
            if "$ref" not in answer:
                assert "Cache-Control" in answer["headers"]
                assert ("Location" in answer["headers"]) == (status == "201")


def test_what_may_be_shown_to_nobody_is_only_written(app: Flask) -> None:
    client = described(app)["components"]["schemas"]["Client"]

    assert client["properties"]["secret"]["anyOf"][0] == {"type": "string", "writeOnly": True}


@pytest.mark.parametrize("type_", list(NOUNS))
def test_the_examples_are_right_and_are_taken(app: Flask, type_: str) -> None:
    told = described(app)
    for system in ("keycloak", "entra"):
        if type_ == "User":
            operate(app, "PUT", f"/IdentityProvider/{system}", {"system": system, "userinfo-source": "id-token"})
            jwt = {"iss": f"https://{system}.example", "aud": "x", "secret": "s" * 40}
            link = {"reference": f"IdentityProvider/{system}"}
            body = {"type": "jwt", "identity_provider": link, "jwt": jwt}
            assert operate(app, "PUT", f"/TokenIntrospector/{system}", body).status_code == 201

    content = told["paths"][f"/{type_}"]["post"]["requestBody"]["content"]

    assert list(content) == ["application/json", "application/yaml", "text/yaml"]
    for example in content["application/json"]["examples"].values():
        assert schema_of(told, type_).is_valid(example["value"])
        answer = operate(app, "POST", f"/{type_}", example["value"])
        assert answer.status_code == 201, answer.text
        assert schema_of(told, f"Stored{type_}").is_valid(answer.json)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("IdentityProvider", {"system": None}),
    ("IdentityProvider", {"system": " "}),
    ("IdentityProvider", {"system": "x" * 256}),
    ("IdentityProvider", {"userinfo-source": "userinfo-endpoint"}),
    ("IdentityProvider", {"jwks_uri": "ftp://x.example"}),
    ("IdentityProvider", {"userinfo_refresh": "60"}),
    ("IdentityProvider", {"userinfo_refresh": -1}),
    ("IdentityProvider", {"scopes": ["a b"]}),
    ("IdentityProvider", {"toScim": {"a": []}}),
    ("IdentityProvider", {"match_by": "name"}),
    ("IdentityProvider", {"client": {"secret": {"env": "1X"}}}),
    ("IdentityProvider", {"client": {"secret": {"env": "X", "file": "/x"}}}),
    ("IdentityProvider", {"client": {"secret": {"file": "x"}}}),
    ("IdentityProvider", {"id": "a b"}),
    ("IdentityProvider", {"id": ".."}),
    ("IdentityProvider", {"bogus": 1}),
    ("TokenIntrospector", {"type": "aspxauth"}),
    ("TokenIntrospector", {"token_prefix": "x"}),
    ("TokenIntrospector", {"jwt": {"aud": "x", "secret": "s" * 40}}),
    ("TokenIntrospector", {"jwt": {"iss": "x", "secret": "s" * 40}}),
    ("TokenIntrospector", {"jwks_uri": "https://x.example"}),
    ("TokenIntrospector", {"identity_provider": {"reference": "User/x"}}),
    ("TokenIntrospector", {"identity_provider": {"reference": "IdentityProvider/x", "id": "x"}}),
    ("TokenIntrospector", {"cache_ttl": 0}),
    ("TokenIntrospector", {"type": "opaque"}),
    ("AccessPolicy", {"engine": "mathco"}),
    ("AccessPolicy", {"engine": "allow"}),
    ("AccessPolicy", {"matcho": None}),
    ("AccessPolicy", {"matcho": {"a": None}}),
    ("AccessPolicy", {"matcho": {"$like": 1}}),
    ("AccessPolicy", {"schema": {"type": "object"}}),
    ("AccessPolicy", {"link": []}),
    ("AccessPolicy", {"link": [{"reference": "Patient/x"}]}),
    ("AccessPolicy", {"link": [{"resourceType": "User", "id": {}}]}),
    ("AccessPolicy", {"engine": "sql", "matcho": None, "sql": {"query": "SELECT 1"}}),
    ("User", {"inactive": 1}),
    ("User", {"email": "x@example.com"}),
    ("User", {"": 1}),
    ("User", {"identifier": [{"system": "x"}]}),
]


@pytest.mark.parametrize(("type_", "wrong"), WRONG, ids=lambda value: str(value)[:50])
def test_what_its_schemas_refuse_is_refused(app: Flask, type_: str, wrong: dict[str, Any]) -> None:
    body = {**BODIES[type_], **wrong}
    validator = schema_of(described(app), type_)

    assert validator.is_valid(BODIES[type_])
    assert not validator.is_valid(body)
    assert operate(app, "POST", f"/{type_}", body).status_code == 422


@pytest.mark.parametrize(
    "condition",
    [
        {"engine": "json-schema", "schema": {"required": ["user"]}},
        {"engine": "complex", "and": [{"engine": "allow"}, {"engine": "complex", "or": [{"engine": "allow"}]}]},
        {"engine": "matcho", "matcho": {"user": {"$one-of": ["nil?", {"$enum": [1, True]}]}}},
    ],
    ids=["schema", "complex", "matcho"],
)
def test_a_policy_of_any_engine_fits(app: Flask, condition: dict[str, Any]) -> None:
    assert schema_of(described(app), "AccessPolicy").is_valid(condition)
    assert operate(app, "POST", "/AccessPolicy", condition).status_code == 201


# ---- what depends on the app


def test_the_engine_sql_is_in_it_where_it_is_on(make_app: MakeApp) -> None:
    app = make_app(**ADMIN, **{SETTING: "sqlite:////var/lib/app.db"})

    assert schema_of(described(app), "AccessPolicy").is_valid({"engine": "sql", "sql": {"query": "SELECT 1"}})


def test_an_engine_of_another_package_is_in_it(app: Flask) -> None:
    told = document(app.url_map.iter_rules(), "/fhir", Traits(engines=("acme/rego 2", "cedar")))

    validator = schema_of(told, "AccessPolicy")
    assert validator.is_valid({"engine": "cedar", "cedar": "permit (…);"})
    assert validator.is_valid({"engine": "complex", "and": [{"engine": "acme/rego 2", "acme/rego 2": 1}]})
    assert not validator.is_valid({"engine": "allow", "cedar": "permit (…);"})


def test_no_audience_need_be_named_where_that_is_lifted(make_app: MakeApp) -> None:
    app = make_app(**ADMIN, FOREIGN_TOKEN_REQUIRE_AUDIENCE=False)
    body = {"type": "jwt", "jwt": {"iss": "https://x.example", "secret": "s" * 40}}

    assert schema_of(described(app), "TokenIntrospector").is_valid(body)
    assert operate(app, "POST", "/TokenIntrospector", body).status_code == 201


def test_the_columns_of_the_apps_model_are_in_it() -> None:
    app = Flask("staff")
    app.config.update(ADMIN, SQLALCHEMY_DATABASE_URI="sqlite://")
    db = SQLAlchemy(app)

    class Person(db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)
        ward = db.Column(db.String(10), nullable=False)
        floor = db.Column(db.SmallInteger)
        shift = db.Column(db.JSON)

    names = ["ward", "floor", "shift"]
    ForeignToken(app, db=db, user_class=Person, user_attributes=names)
    with app.app_context():
        db.create_all()

    told = described(app)
    user = told["components"]["schemas"]["User"]["properties"]

    assert {name: {key: value for key, value in user[name].items() if key != "description"} for name in names} == {
        "ward": {"type": "string", "maxLength": 10},
        "floor": {"type": ["integer", "null"], "minimum": -(2**15), "maximum": 2**15 - 1},
        "shift": {},
    }
    validator = schema_of(told, "User")
    for body, good in [({"ward": "A"}, True), ({"ward": "A", "floor": 2**15}, False), ({"ward": 1}, False)]:
        assert validator.is_valid(body) == good
        assert operate(app, "POST", "/User", body).status_code == (201 if good else 422)
    with app.app_context():
        sa.orm.close_all_sessions()
        db.engine.dispose()
