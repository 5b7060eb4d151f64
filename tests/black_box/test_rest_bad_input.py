"""What the operator's endpoints refuse: with a path, a reason, and nothing changed."""

from __future__ import annotations

import json

import pytest
from flask import Flask

from .callers import BODIES, REGISTRY_TYPES, SECRETS, TYPES, Operated, basic, everything, operate

each_type = pytest.mark.parametrize("name", TYPES)
MIB = 2**20

PROVIDER, INTROSPECTOR, POLICY, USER = (f"/fhir/{name}/thing" for name in TYPES)
JWT = {"iss": "https://acme.example", "aud": "account", "secret": "s" * 40}

WRONG = [
    (PROVIDER, {}, "system"),
    (PROVIDER, {"system": 3}, "system"),
    (PROVIDER, {"system": ""}, "system"),
    (PROVIDER, {"system": "acme", "active": "yes"}, "active"),
    (PROVIDER, {"system": "acme", "unknown": 1}, "unknown"),
    (PROVIDER, {"system": "acme", "scopes": "openid"}, "scopes"),
    (PROVIDER, {"system": "acme", "scopes": ["openid", 1]}, "scopes.1"),
    (PROVIDER, {"system": "acme", "userinfo-source": "elsewhere"}, "userinfo-source"),
    (PROVIDER, {"system": "acme", "userinfo_endpoint": "http://acme.example/userinfo"}, "userinfo_endpoint"),
    (PROVIDER, {"system": "acme", "userinfo_endpoint": "ftp://acme.example/userinfo"}, "userinfo_endpoint"),
    (PROVIDER, {"system": "acme", "userinfo-source": "id-token", "toScim": {"a": ["id"]}}, "toScim.a"),
    (PROVIDER, {"system": "acme", "userinfo-source": "id-token", "toScim": {"a": ["inactive"]}}, "toScim.a"),
    (PROVIDER, {"system": "acme", "client": {"id": 1}}, "client.id"),
    (PROVIDER, {"system": "keycloak", "userinfo-source": "id-token"}, "system"),
    (INTROSPECTOR, {}, "type"),
    (INTROSPECTOR, {"type": "saml"}, "type"),
    (INTROSPECTOR, {"type": "jwt", "jwt": {"iss": "https://acme.example", "secret": "s" * 40}}, "jwt"),
    (INTROSPECTOR, {"type": "jwt", "jwt": JWT, "cache_ttl": 0}, "cache_ttl"),
    (INTROSPECTOR, {"type": "jwt", "jwt": JWT, "cache_ttl": 86401}, "cache_ttl"),
    (INTROSPECTOR, {"type": "jwt", "jwt": JWT, "cache_ttl": 3.7}, "cache_ttl"),
    (INTROSPECTOR, {"type": "jwt", "jwt": JWT, "cache_ttl": True}, "cache_ttl"),
    (INTROSPECTOR, {"type": "jwt", "jwt": JWT, "jwks_uri": "https://acme.example/keys"}, ""),
    (INTROSPECTOR, {"type": "jwt", "jwt": {**JWT, "secret": "short"}}, "jwt.secret"),
    (INTROSPECTOR, {"type": "jwt", "jwt": {**JWT, "secret": " " * 40}}, "jwt.secret"),
    (INTROSPECTOR, {"type": "jwt", "jwt": {**JWT, "extra": 1}}, "jwt.extra"),
    (INTROSPECTOR, {"type": "jwt", "jwt": JWT, "identity_provider": {"reference": "IdentityProvider/none"}}, "ident"),
    (INTROSPECTOR, {"type": "jwt", "jwt": JWT, "identity_provider": {"reference": "AccessPolicy/x"}}, "ident"),
    (POLICY, {}, "engine"),
    (POLICY, {"engine": "mathco"}, "engine"),
    (POLICY, {"engine": "matcho"}, "matcho"),
    (POLICY, {"engine": "matcho", "matcho": {}}, "matcho"),
    (POLICY, {"engine": "matcho", "matcho": {"user": None}}, "matcho.user"),
    (POLICY, {"engine": "matcho", "matcho": {"uri": "#(?=x)"}}, "matcho.uri"),
    (POLICY, {"engine": "matcho", "matcho": {"a": {"$or": [1]}}}, "matcho.a"),
    (POLICY, {"engine": "allow", "link": "User/x"}, "link"),
    (POLICY, {"engine": "allow", "link": [{"reference": "Group/x"}]}, "link.0"),
    (POLICY, {"engine": "allow", "matcho": {"uri": "/"}}, "matcho"),
    (USER, {"inactive": "true", "identifier": [{"system": "keycloak", "value": "a"}]}, "inactive"),
    (USER, {"identifier": "a"}, "identifier"),
    (USER, {"identifier": [{"system": "keycloak"}]}, "identifier.0"),
    (USER, {"identifier": [{"system": "keycloak", "value": 1}]}, "identifier.0.value"),
    (USER, {"identifier": [{"system": "keycloak", "value": ""}]}, "identifier.0.value"),
    (USER, {"identifier": [{"system": "nobody", "value": "a"}]}, "identifier.0.system"),
    (USER, {"data": [], "identifier": [{"system": "keycloak", "value": "a"}]}, "data"),
]


@pytest.mark.parametrize(("path", "body", "at"), WRONG, ids=lambda value: json.dumps(value)[:60])
def test_a_wrong_resource_is_refused_with_path_and_reason_and_changes_nothing(trusted: Flask, path, body, at):
    before = everything(trusted)

    answer = operate(trusted, "PUT", path, body)

    assert answer.status_code == 422, answer.get_data(as_text=True)
    issues = answer.json["issues"]
    assert any(issue["path"].startswith(at) for issue in issues), issues
    assert all(issue["message"] for issue in issues)
    assert everything(trusted) == before


@pytest.mark.parametrize(("path", "body", "at"), WRONG, ids=lambda value: json.dumps(value)[:60])
def test_a_wrong_resource_does_not_replace_a_good_one(trusted: Flask, path, body, at):
    name = path.split("/")[2]
    assert operate(trusted, "PUT", path, BODIES[name]).status_code == 201
    before = everything(trusted)

    assert operate(trusted, "PUT", path, body).status_code == 422
    assert everything(trusted) == before


@pytest.mark.parametrize(("path", "body", "at"), WRONG, ids=lambda value: json.dumps(value)[:60])
def test_a_wrong_resource_is_not_created_by_post(trusted: Flask, path, body, at):
    before = everything(trusted)

    answer = operate(trusted, "POST", path.rsplit("/", 1)[0], body)

    assert answer.status_code == 422
    assert answer.json["issues"]
    assert everything(trusted) == before


def test_every_fault_is_named_at_once(trusted: Flask):
    answer = operate(trusted, "PUT", PROVIDER, {"system": 3, "active": "yes", "bogus": 1})

    assert {"system", "active", "bogus"} <= {issue["path"] for issue in answer.json["issues"]}


def test_a_refusal_names_the_resource(trusted: Flask):
    answer = operate(trusted, "PUT", POLICY, {"engine": "mathco"})

    assert "AccessPolicy/thing" in answer.get_data(as_text=True)


@each_type
@pytest.mark.parametrize("attribute", [{"id": "other"}, {"resourceType": "Patient"}, {"id": 3}, {"id": None}], ids=str)
def test_an_identity_that_differs_from_the_path_is_refused(trusted: Flask, name, attribute):
    before = everything(trusted)

    answer = operate(trusted, "PUT", f"/fhir/{name}/thing", {**BODIES[name], **attribute})

    assert answer.status_code == 422
    assert answer.json["issues"][0]["path"] == next(iter(attribute))
    assert everything(trusted) == before


UNREADABLE = [
    ("application/json", b""),
    ("application/json", b"{"),
    ("application/json", b"[]"),
    ("application/json", b"null"),
    ("application/json", b'"text"'),
    ("application/json", b"{} {}"),
    ("application/json", b"\xff\xfe"),
    ("application/json", b'{"engine": NaN}'),
    ("application/json", b'{"a": 1, "a": 2}'),
    ("application/json", b'{"a": "\\ud800"}'),
    ("application/json", b'{"engine": "allow", "description": 1' + b"0" * 5000 + b"}"),
    ("application/json", b"[" * 100_000),
    ("application/json", b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    ("application/json", b"engine: allow"),
    ("text/yaml", b""),
    ("text/yaml", b"a: ["),
    ("text/yaml", b"- a"),
    ("text/yaml", b"just text"),
    ("text/yaml", b"a: 1\n---\nb: 2\n"),
    ("text/yaml", b"a: 1\na: 2\n"),
    ("text/yaml", b"\xff\xfe\xff"),
    ("text/yaml", b"a: !!python/object/apply:os.system ['true']"),
    ("text/yaml", b"engine: allow\n3: x"),
    ("text/yaml", b"engine: allow\n? [a]\n: x"),
    ("text/yaml", b"engine: allow\ndescription: !!binary aGFsbG8="),
    ("text/yaml", b"engine: allow\ndescription: .nan"),
    ("text/yaml", b"a: &a [*a]"),
    ("text/yaml", b"[" * 100_000),
    ("text/yaml", b"{a: " * 20_000),
    ("text/yaml", b"\x00"),
    (
        "text/yaml",
        b"a: &a [x,x]\n"
        + b"".join(
            b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (c, c, *[c - 1] * 8) for c in range(ord("b"), ord("m"))
        ),
    ),
    (None, b"a: ["),
]


@pytest.mark.parametrize(("content_type", "body"), UNREADABLE, ids=lambda value: repr(value)[:40])
def test_a_body_that_cannot_be_read_is_refused_and_changes_nothing(trusted: Flask, content_type, body):
    before = everything(trusted)

    for method, path in [("PUT", POLICY), ("POST", "/fhir/AccessPolicy"), ("PUT", USER)]:
        answer = operate(trusted, method, path, body, content_type=content_type)
        assert answer.status_code in {400, 422}, answer.get_data(as_text=True)[:500]
        assert answer.json["issues"]

    assert everything(trusted) == before


@each_type
@pytest.mark.parametrize(
    "content_type",
    [
        "application/xml",
        "text/plain",
        "text/html",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "nonsense",
        "application/json; charset=latin-1",
    ],
)
def test_any_other_content_type_is_answered_415(trusted: Flask, name, content_type):
    before = everything(trusted)

    for method, path in [("PUT", f"/fhir/{name}/thing"), ("POST", f"/fhir/{name}")]:
        answer = operate(trusted, method, path, BODIES[name], content_type=content_type)
        assert answer.status_code == 415
        assert answer.json["error"]

    assert everything(trusted) == before


def padded(size: int) -> bytes:
    body = json.dumps({"engine": "allow"}).encode()
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(("size", "status"), [(MIB, 201), (MIB + 1, 413), (3 * MIB, 413)])
@pytest.mark.parametrize(("method", "path"), [("PUT", POLICY), ("POST", "/fhir/AccessPolicy")])
def test_a_body_over_one_mebibyte_is_answered_413(trusted: Flask, method, path, size, status):
    before = everything(trusted)

    answer = operate(trusted, method, path, padded(size), content_type="application/json")

    assert answer.status_code == status
    if status == 413:
        assert answer.json["error"]
        assert everything(trusted) == before


def test_the_apps_own_limit_is_no_reason_to_take_more(operated: Operated):
    app = operated(MAX_CONTENT_LENGTH=16 * MIB)

    assert operate(app, "PUT", POLICY, padded(2 * MIB), content_type="application/json").status_code == 413


def test_a_body_without_a_length_is_limited_as_well(trusted: Flask):
    import io

    environ = {
        "wsgi.input": io.BytesIO(padded(2 * MIB)),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }

    answer = operate(trusted, "PUT", POLICY, content_type="application/json", environ_overrides=environ)

    assert answer.status_code == 413


def test_the_anonymous_are_refused_before_their_body_is_read(trusted: Flask):
    answer = trusted.test_client().put(POLICY, data=padded(2 * MIB), content_type="application/json")

    assert answer.status_code == 401


@each_type
@pytest.mark.parametrize(("method", "path"), [("PATCH", "/thing"), ("POST", "/thing"), ("PUT", ""), ("DELETE", "")])
def test_other_methods_are_answered_405_with_what_is_allowed(trusted: Flask, name, method, path):
    answer = operate(trusted, method, f"/fhir/{name}{path}", BODIES[name])

    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["Patient", "accesspolicy", "AccessPolicy/a/b", "", "AccessPolicy/a/_history"])
def test_an_address_that_is_none_is_answered_404(trusted: Flask, path):
    assert operate(trusted, "GET", f"/fhir/{path}").status_code == 404


BAD_IDS = ["a%20b", "x" * 300, "%00", "a%0ab", "%F0%9F%98%80", "a%2Fb", "%ff", "a'b", "<script>"]


@pytest.mark.parametrize("name", REGISTRY_TYPES)
@pytest.mark.parametrize("odd", BAD_IDS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_odd_oddis_refused(trusted: Flask, name, odd, method):
    before = everything(trusted)

    answer = operate(trusted, method, f"/fhir/{name}/{odd}", BODIES[name] if method == "PUT" else None)

    assert answer.status_code in {400, 404, 405, 422}, answer.get_data(as_text=True)
    assert everything(trusted) == before


@pytest.mark.parametrize("odd", BAD_IDS)
def test_an_odd_oddof_a_user_is_no_failure(trusted: Flask, odd):
    for method, body in [("GET", None), ("PUT", BODIES["User"]), ("GET", None), ("DELETE", None), ("GET", None)]:
        answer = operate(trusted, method, f"/fhir/User/{odd}", body)
        assert answer.status_code < 500

    assert answer.status_code in {404, 405, 422}


@pytest.mark.parametrize(
    "query", ["_count=-1", "_count=1001", "_count=x", "_count=", "_page=0", "_page=x", "bogus=1", "_count=1&_count=2"]
)
@each_type
def test_a_search_that_makes_no_sense_is_refused_with_the_parameter(trusted: Flask, name, query):
    answer = operate(trusted, "GET", f"/fhir/{name}?{query}")

    assert answer.status_code in {400, 422}
    assert query.split("=")[0] in answer.get_data(as_text=True)


@pytest.mark.parametrize("query", ["_page=99999999999999999999", "_id=%00", "_id=%ff", "_count=٣", "_page=1e3"])
@each_type
def test_an_extreme_search_is_no_failure(trusted: Flask, name, query):
    assert operate(trusted, "GET", f"/fhir/{name}?{query}").status_code < 500


@pytest.mark.parametrize("condition", ["", "1", "nonsense", '"', 'W/"', '"a", "b"', '"\x80"'])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_an_odd_condition_is_no_failure(trusted: Flask, header, condition):
    operate(trusted, "PUT", POLICY, BODIES["AccessPolicy"])

    answer = operate(trusted, "PUT", POLICY, {"engine": "allow"}, headers={header: condition})

    assert answer.status_code < 500


def test_if_match_that_names_no_state_changes_nothing(trusted: Flask):
    operate(trusted, "PUT", POLICY, BODIES["AccessPolicy"])
    before = everything(trusted)

    for condition in ["1", "nonsense", '"999"', 'W/"999"', '"*"']:
        assert operate(trusted, "PUT", POLICY, {"engine": "allow"}, headers={"If-Match": condition}).status_code in {
            400,
            412,
        }, condition

    assert everything(trusted) == before


def test_no_refusal_repeats_a_secret(trusted: Flask, caplog):
    answers = []
    for name, body in BODIES.items():
        operate(trusted, "PUT", f"/fhir/{name}/thing", body)
        for wrong in ({"active": 3}, {"inactive": 3}, {"unknown": 1}, {"id": "other"}, {"engine": 1}):
            answers.append(operate(trusted, "PUT", f"/fhir/{name}/thing", {**body, **wrong}))
            answers.append(operate(trusted, "POST", f"/fhir/{name}", {**body, **wrong}))
        answers.append(operate(trusted, "PUT", f"/fhir/{name}/thing", json.dumps(body) + "x"))
        answers.append(operate(trusted, "PUT", f"/fhir/{name}/thing", body, content_type="text/plain"))
    answers.append(operate(trusted, "GET", "/fhir/User", headers=basic(password="x" * 30)))

    said = caplog.text + "".join(answer.get_data(as_text=True) + str(answer.headers) for answer in answers)
    assert not [secret for secret in SECRETS if secret in said]
