"""Searching by the attributes of a resource, in pages; and who may overwrite what."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import policy, provider, trusting
from .callers import (
    CLIENT_SECRET,
    REGISTRY_TYPES,
    SIGNING_SECRET,
    TYPES,
    Operated,
    as_token,
    ids,
    linked,
    operate,
    read,
)
from .registries import refusal

HS_KEY = {"kty": "OCT", "alg": "HS256", "format": "plain", "k": SIGNING_SECRET}
RESOURCES = [
    provider("acme", system="acme", title="Acme", scopes=["openid", "profile"], client={"id": "clinic"}),
    provider("other", system="other", title="Other", active=False, client={"id": "ward", "secret": CLIENT_SECRET}),
    {
        "resourceType": "TokenIntrospector",
        "id": "acme-jwt",
        "type": "jwt",
        "identity_provider": {"reference": "IdentityProvider/acme"},
        "cache_ttl": 60,
        "jwt": {"iss": "https://acme.example", "aud": ["account", "api"], "secret": SIGNING_SECRET},
    },
    {
        "resourceType": "TokenIntrospector",
        "id": "keys-jwt",
        "type": "jwt",
        "active": False,
        "jwt": {"iss": "https://keys.example/a?b=c&d", "aud": "account", "keys": [HS_KEY]},
    },
    {
        "resourceType": "TokenIntrospector",
        "id": "asked",
        "type": "opaque",
        "token_prefix": "at_",
        "jwt": {"aud": "account"},
        "introspection_endpoint": {"url": "https://o.example/i", "client_id": "clinic", "client_secret": CLIENT_SECRET},
    },
    policy("all", description="Everybody, everywhere"),
    policy("readers", {"request-method": "get", "description": "hidden-in-the-pattern"}, roleName="reader"),
    policy("linked", link=[{"reference": "Operation/patients"}, {"reference": "Client/clinic"}], active=False),
    policy("schema", engine="json-schema", schema={"title": "hidden-in-the-schema", "type": "object"}),
]


@pytest.fixture
def app(operated: Operated) -> Flask:
    return operated(RESOURCES)


def found(app: Flask, name: str, **parameters: object) -> list[str]:
    bundle = read(app, f"{name}?{urlencode(parameters, doseq=True)}")
    assert bundle["total"] == len(bundle["entry"])
    return sorted(entry["resource"]["id"] for entry in bundle["entry"])


FINDS = [
    ("IdentityProvider", {"system": "acme"}, ["acme"]),
    ("IdentityProvider", {"title": "Other"}, ["other"]),
    ("IdentityProvider", {"title": "other"}, []),
    ("IdentityProvider", {"title": "Ac"}, []),
    ("IdentityProvider", {"active": "true"}, ["acme"]),
    ("IdentityProvider", {"active": "false"}, ["other"]),
    ("IdentityProvider", {"scopes": "openid"}, ["acme"]),
    ("IdentityProvider", {"scopes": "email"}, []),
    ("IdentityProvider", {"client.id": "ward"}, ["other"]),
    ("IdentityProvider", {"userinfo-source": "id-token"}, ["acme", "other"]),
    ("IdentityProvider", {"userinfo-source": "id-token", "system": "other"}, ["other"]),
    ("TokenIntrospector", {"type": "jwt"}, ["acme-jwt", "keys-jwt"]),
    ("TokenIntrospector", {"type": "opaque"}, ["asked"]),
    ("TokenIntrospector", {"active": "true"}, ["acme-jwt", "asked"]),
    ("TokenIntrospector", {"jwt.iss": "https://acme.example"}, ["acme-jwt"]),
    ("TokenIntrospector", {"jwt.iss": "https://keys.example/a?b=c&d"}, ["keys-jwt"]),
    ("TokenIntrospector", {"jwt.aud": "account"}, ["acme-jwt", "asked", "keys-jwt"]),
    ("TokenIntrospector", {"jwt.aud": "api"}, ["acme-jwt"]),
    ("TokenIntrospector", {"identity_provider": "IdentityProvider/acme"}, ["acme-jwt"]),
    ("TokenIntrospector", {"identity_provider": "IdentityProvider/other"}, []),
    ("TokenIntrospector", {"cache_ttl": "60"}, ["acme-jwt"]),
    ("TokenIntrospector", {"token_prefix": "at_"}, ["asked"]),
    ("TokenIntrospector", {"introspection_endpoint.url": "https://o.example/i"}, ["asked"]),
    ("TokenIntrospector", {"introspection_endpoint.client_id": "clinic"}, ["asked"]),
    ("AccessPolicy", {"engine": "allow"}, ["all", "linked"]),
    ("AccessPolicy", {"engine": "matcho"}, ["readers"]),
    ("AccessPolicy", {"active": "false"}, ["linked"]),
    ("AccessPolicy", {"active": "true"}, ["all", "readers", "schema"]),
    ("AccessPolicy", {"link": "Client/clinic"}, ["linked"]),
    ("AccessPolicy", {"link": "Client/ward"}, []),
    ("AccessPolicy", {"roleName": "reader"}, ["readers"]),
    ("AccessPolicy", {"description": "Everybody, everywhere"}, ["all"]),
    ("AccessPolicy", {"_id": "readers", "engine": "matcho"}, ["readers"]),
    ("AccessPolicy", {"_id": "readers", "engine": "allow"}, []),
]


@pytest.mark.parametrize(("name", "parameters", "expected"), FINDS, ids=lambda value: str(value)[:60])
def test_a_parameter_finds_those_whose_attribute_reads_so(app: Flask, name, parameters, expected):
    assert found(app, name, **parameters) == expected


SECRET_PARAMETERS = [
    ("IdentityProvider", "client.secret", CLIENT_SECRET),
    ("TokenIntrospector", "jwt.secret", SIGNING_SECRET),
    ("TokenIntrospector", "jwt.keys.k", SIGNING_SECRET),
    ("TokenIntrospector", "introspection_endpoint.client_secret", CLIENT_SECRET),
    ("TokenIntrospector", "introspection_endpoint.authorization", "Basic x"),
    ("AccessPolicy", "matcho.description", "hidden-in-the-pattern"),
    ("AccessPolicy", "schema.title", "hidden-in-the-schema"),
    ("AccessPolicy", "sql.query", "SELECT 1"),
    ("AccessPolicy", "matcho", "x"),
]


@pytest.mark.parametrize(("name", "parameter", "value"), SECRET_PARAMETERS)
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_nothing_is_found_by_a_secret_nor_beneath_a_pattern(app: Flask, name, parameter, value, right):
    answer = operate(app, "GET", f"/fhir/{name}?{urlencode({parameter: value if right else 'another'})}")

    assert answer.status_code in {400, 422}
    assert parameter in answer.get_data(as_text=True)
    assert CLIENT_SECRET not in answer.get_data(as_text=True)
    assert SIGNING_SECRET not in answer.get_data(as_text=True)


UNKNOWN = ["bogus=1", "System=acme", "jwt.bogus=1", "meta=1", "client=1", "_sort=id", "=1", "jwt..iss=1", ".=1"]


@pytest.mark.parametrize("name", REGISTRY_TYPES)
@pytest.mark.parametrize("query", UNKNOWN)
def test_a_parameter_that_is_no_attribute_is_refused_and_named(app: Flask, name: str, query: str):
    answer = operate(app, "GET", f"/fhir/{name}?{query}")

    assert answer.status_code in {400, 422}
    assert query.partition("=")[0] in answer.get_data(as_text=True)


def test_what_is_found_comes_in_pages_with_its_total(operated: Operated):
    app = operated([policy(f"p{n:02}", {"uri": f"/{n}"}) for n in range(7)] + [policy(f"a{n}") for n in range(3)])

    seen: list[str] = []
    for page in (1, 2, 3):
        bundle = read(app, f"AccessPolicy?engine=matcho&_count=3&_page={page}")
        assert bundle["total"] == 7
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]

    assert seen == [f"p{n:02}" for n in range(7)]


def test_links_around_a_page_keep_what_was_searched_for(operated: Operated):
    app = operated([policy(f"p{n}", {"uri": f"/{n}"}) for n in range(5)])
    bundle = read(app, "AccessPolicy?engine=matcho&_count=2&_page=2")

    links = {link["relation"]: link["url"] for link in bundle["link"]}

    assert {"self", "next"} <= set(links)
    for url in links.values():
        assert "engine=matcho" in url
        assert "_count=2" in url
    following = operate(app, "GET", links["next"][links["next"].index("/fhir") :])
    assert [entry["resource"]["id"] for entry in following.json["entry"]] == ["p4"]


def test_a_count_of_zero_tells_how_many_alone(app: Flask):
    bundle = read(app, "AccessPolicy?engine=allow&_count=0")

    assert (bundle["total"], bundle.get("entry", [])) == (2, [])


def test_users_are_found_by_identifier_state_and_address(operated: Operated, issuer: Issuer):
    app = operated(trusting(issuer))
    for name, more in [("ada", {"email": "ada@example.com"}), ("bob", {"inactive": True})]:
        body = {"identifier": [{"system": "keycloak", "value": name}], **more}
        assert operate(app, "PUT", f"/fhir/User/{name}", body).status_code == 201

    assert found(app, "User", identifier="keycloak|ada") == ["ada"]
    assert found(app, "User", email="ada@example.com") == ["ada"]
    assert found(app, "User", active="true") == ["ada"]
    assert found(app, "User", active="false") == ["bob"]
    assert found(app, "User", active="false", email="ada@example.com") == []


def test_a_search_shows_no_secret(app: Flask):
    said = "".join(operate(app, "GET", f"/fhir/{name}?active=true").get_data(as_text=True) for name in REGISTRY_TYPES)

    assert CLIENT_SECRET not in said
    assert SIGNING_SECRET not in said


def test_a_search_is_for_whom_its_operation_is_named(operated: Operated, issuer: Issuer):
    app = operated([*trusting(issuer), linked("opens", "Operation/foreign_token.search_access_policy")])
    token = issuer.token()

    assert as_token(app, token, "GET", "/fhir/AccessPolicy?engine=allow").status_code == 200
    assert as_token(app, token, "GET", "/fhir/TokenIntrospector?type=jwt").status_code == 403
    assert as_token(app, None, "GET", "/fhir/AccessPolicy?engine=allow").status_code == 401


# ---- who may overwrite what


@pytest.mark.parametrize("name", REGISTRY_TYPES)
def test_a_post_under_an_id_that_is_taken_is_a_conflict(app: Flask, name: str):
    taken = ids(app, name)[0]
    before = read(app, f"{name}/{taken}")
    body = {key: value for key, value in before.items() if key != "meta"}

    answer = operate(app, "POST", f"/fhir/{name}", body)

    said = refusal(answer, 409, "conflict")
    assert f"{name}/{taken}" in said
    assert answer.json["issues"][0]["message"]
    assert read(app, f"{name}/{taken}") == before


def test_a_post_of_a_user_whose_id_is_taken_is_a_conflict(app: Flask):
    assert operate(app, "POST", "/fhir/User", {"id": "ada"}).status_code == 201

    refusal(operate(app, "POST", "/fhir/User", {"id": "ada"}), 409, "conflict")


def test_a_delete_of_what_others_refer_to_is_a_conflict(app: Flask):
    said = refusal(operate(app, "DELETE", "/fhir/IdentityProvider/acme"), 409, "conflict")

    assert "TokenIntrospector/acme-jwt" in said
    assert "acme" in ids(app, "IdentityProvider")
    assert operate(app, "DELETE", "/fhir/TokenIntrospector/acme-jwt").status_code == 204
    assert operate(app, "DELETE", "/fhir/IdentityProvider/acme").status_code == 204


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_if_match_of_another_state_is_412_and_changes_nothing(app: Flask, name: str, method: str):
    put_bodies = {
        name_: {k: v for k, v in r.items() if k != "meta"}
        for name_ in REGISTRY_TYPES
        for r in [read(app, f"{name_}/{ids(app, name_)[-1]}")]
    }
    operate(app, "PUT", "/fhir/User/ada", {"identifier": [{"system": "acme", "value": "ada"}]})
    put_bodies["User"] = {"id": "ada", "identifier": [{"system": "acme", "value": "ada"}], "email": "new@example.com"}
    body = put_bodies[name]
    path = f"{name}/{body['id']}"
    before = read(app, path)
    payload = body if method == "PUT" else None

    answer = operate(app, method, f"/fhir/{path}", payload, headers={"If-Match": '"another"'})

    refusal(answer, 412, "precondition_failed")
    assert read(app, path) == before
    etag = operate(app, "GET", f"/fhir/{path}").headers["ETag"]
    assert operate(app, method, f"/fhir/{path}", payload, headers={"If-Match": etag}).status_code in {200, 204, 409}


@pytest.mark.parametrize("value", ["", "x", '"', "1", "W/", '"1', "*,*"], ids=repr)
def test_an_if_match_that_is_none_overwrites_nothing(app: Flask, value: str):
    before = read(app, "AccessPolicy/all")

    answer = operate(app, "PUT", "/fhir/AccessPolicy/all", {"engine": "allow"}, headers={"If-Match": value})

    assert answer.status_code in {400, 412}
    assert read(app, "AccessPolicy/all") == before


def test_every_fault_of_a_body_is_named_with_its_path(app: Flask):
    answer = operate(app, "PUT", "/fhir/IdentityProvider/new", {"system": 7, "bogus": 1, "client": {"id": 3}})

    assert answer.status_code == 422
    assert {issue["path"] for issue in answer.json["issues"]} >= {"system", "bogus", "client.id"}
    assert all(issue["message"] for issue in answer.json["issues"])
    assert "new" not in ids(app, "IdentityProvider")
    assert json.dumps(answer.json).count(CLIENT_SECRET) == 0
