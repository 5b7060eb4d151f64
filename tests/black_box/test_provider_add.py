"""Registering a provider by what it publishes about itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
import yaml
from flask import Flask
from werkzeug.wrappers import Response

from flask_foreign_token.testing import Issuer

from ..apps import ask, registry_of
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, Operated, everything, ids, operate, parsed, read, run
from .publishing import Publisher, document, publishing


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def app(operated: Operated) -> Flask:
    return operated()


def add(app: Flask, issuer: str, *more: str, name: str = "acme", status: int | None = 0):
    return run(app, "provider", "add", name, "--issuer", issuer, "--audience", "account", *more, status=status)


def refused(app: Flask, issuer: str, *more: str):
    """The error, after a look that nothing was stored."""
    result = add(app, issuer, *more, status=1)
    assert ids(app, "IdentityProvider") == ids(app, "TokenIntrospector") == []
    assert result.stdout == ""
    assert "Traceback" not in result.output
    return result.stderr


def test_provider_and_introspector_are_stored_with_explicit_endpoints(app: Flask, issuer: Issuer):
    add(app, issuer.issuer)

    provider, introspector = read(app, "IdentityProvider/acme"), read(app, "TokenIntrospector/acme-jwt-introspector")
    assert provider["issuer"] == introspector["jwt"]["iss"] == issuer.issuer
    assert provider["userinfo_endpoint"] == issuer.userinfo_endpoint
    assert provider["token_endpoint"] == issuer.token_endpoint
    assert introspector["jwks_uri"] == issuer.jwks_uri
    assert introspector["jwt"]["aud"] == "account"
    assert introspector["identity_provider"] == {"reference": "IdentityProvider/acme"}


def test_the_command_that_it_prints_lets_its_users_in(app: Flask, issuer: Issuer):
    said = add(app, issuer.issuer).stdout
    assert ask(app, issuer.token()).status_code == 403
    command, body = said[said.index("flask foreign-token apply") :].split("\n", 1)
    assert shlex.split(command)[:4] == ["flask", "foreign-token", "apply", "-"]

    run(app, "apply", "-", stdin=body.split("EOF")[0])

    assert ask(app, issuer.token()).status_code == 200


def test_what_still_lacks_is_not_said_again_once_it_is_there(app: Flask, issuer: Issuer):
    lacking = parsed(app, "provider", "add", "acme", "--issuer", issuer.issuer, "--audience", "account")["lacking"]
    assert [resource["resourceType"] for resource in lacking] == ["AccessPolicy"]
    operate(app, "PUT", f"/fhir/AccessPolicy/{lacking[0]['id']}", lacking[0])

    again = parsed(app, "provider", "add", "acme", "--issuer", issuer.issuer, "--audience", "account")

    assert again["lacking"] == []


def test_without_an_audience_it_refuses_and_prints_the_full_command(app: Flask, issuer: Issuer):
    result = run(app, "provider", "add", "acme", "--issuer", issuer.issuer, status=1)

    assert ids(app, "IdentityProvider") == []
    [line] = [line.strip() for line in result.stderr.splitlines() if line.strip().startswith("flask ")]
    assert "--audience account" in line
    run(app, *shlex.split(line)[2:])
    assert ids(app, "TokenIntrospector") == ["acme-jwt-introspector"]


def test_the_command_it_prints_keeps_the_other_options(app: Flask, issuer: Issuer):
    host = issuer.issuer.replace("127.0.0.1", "localhost")
    words = ["provider", "add", "acme", "--issuer", issuer.issuer, "--backchannel", host, "--system", "people of acme"]

    result = run(app, *words, status=1)

    [line] = [line.strip() for line in result.stderr.splitlines() if line.strip().startswith("flask ")]
    run(app, *shlex.split(line)[2:])
    assert read(app, "IdentityProvider/acme")["system"] == "people of acme"


def test_a_resource_setting_is_audience_enough(operated: Operated, issuer: Issuer):
    app = operated(FOREIGN_TOKEN_RESOURCE="https://api.example.com")

    run(app, "provider", "add", "acme", "--issuer", issuer.issuer)

    assert ask(app, issuer.token(aud="https://other.example")).status_code == 401
    assert ask(app, issuer.token(aud="https://api.example.com")).status_code == 403


def test_a_client_id_is_enough_too(app: Flask, issuer: Issuer):
    run(app, "provider", "add", "acme", "--issuer", issuer.issuer, "--client-id", "my-client")

    assert read(app, "TokenIntrospector/acme-jwt-introspector")["jwt"]["client_id"] == "my-client"


def test_several_audiences_are_stored_as_several(app: Flask, issuer: Issuer):
    add(app, issuer.issuer, "--audience", "other")

    assert read(app, "TokenIntrospector/acme-jwt-introspector")["jwt"]["aud"] == ["account", "other"]


def test_endpoints_at_the_issuers_address_are_stored_as_the_backchannel_reaches_them(app: Flask, publisher: Publisher):
    name, path = "http://localhost:8180/realms/x", "/realms/x"
    publisher.pages[f"{path}/.well-known/openid-configuration"] = document(name, name)

    add(app, name, "--backchannel", publisher.url + path)

    provider, introspector = read(app, "IdentityProvider/acme"), read(app, "TokenIntrospector/acme-jwt-introspector")
    assert introspector["jwt"]["iss"] == provider["issuer"] == name
    assert introspector["jwks_uri"] == f"{publisher.url}{path}/keys"
    assert provider["userinfo_endpoint"] == f"{publisher.url}{path}/userinfo"


MISMATCHES = ["/realms/other", "/realms/x/", "/Realms/x"]


@pytest.mark.parametrize("other", MISMATCHES)
def test_an_issuer_that_is_not_the_one_asked_for_is_refused_and_both_are_named(app, publisher: Publisher, other):
    issuer = publisher.openid("/realms/x", issuer=publisher.url + other)

    said = refused(app, issuer)

    assert issuer in said
    assert publisher.url + other in said


def test_a_backchannel_that_names_itself_as_issuer_is_refused(app: Flask, publisher: Publisher):
    publisher.openid("/realms/x")

    assert publisher.url in refused(app, "http://localhost:8180/realms/x", "--backchannel", f"{publisher.url}/realms/x")


@pytest.mark.parametrize("host", ["http://idp.example/realms/x", "http://192.0.2.1/x", "http://keycloak:8080/x"])
def test_plain_http_to_a_host_that_is_not_allowed_is_refused_with_the_setting(app: Flask, host):
    assert "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS" in refused(app, host)


def test_plain_http_to_a_backchannel_that_is_not_allowed_is_refused_with_the_setting(app: Flask):
    said = refused(app, "https://idp.example/x", "--backchannel", "http://keycloak:8080/x")

    assert "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS" in said


@pytest.mark.parametrize("endpoint", ["jwks_uri", "userinfo_endpoint", "token_endpoint"])
def test_a_document_that_names_plain_http_elsewhere_is_refused_with_setting_and_member(app, publisher, endpoint):
    issuer = publisher.openid("/x", **{endpoint: "http://elsewhere.example/keys"})

    said = refused(app, issuer)

    assert endpoint in said
    assert "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS" in said or "https" in said


@pytest.mark.parametrize("member", ["issuer", "jwks_uri"])
@pytest.mark.parametrize("value", [None, "", 3, [], {}, "not a url"], ids=str)
def test_a_document_with_a_bad_member_is_refused_with_its_name(app: Flask, publisher: Publisher, member, value):
    issuer = publisher.openid("/x", **{member: value})

    assert member in refused(app, issuer)


@pytest.mark.parametrize(
    "changes",
    [
        {"response_types_supported": None},
        {"response_types_supported": "code"},
        {"subject_types_supported": ["some"]},
        {"subject_types_supported": None},
        {"id_token_signing_alg_values_supported": None},
        {"authorization_endpoint": None},
        {"scopes_supported": "openid"},
    ],
    ids=str,
)
def test_a_document_that_discovery_does_not_allow_is_refused_with_the_member(app, publisher: Publisher, changes):
    assert next(iter(changes)) in refused(app, publisher.openid("/x", **changes))


PAGES = {
    "html": Response("<html>", content_type="text/html"),
    "no json": Response("{", content_type="application/json"),
    "array": Response("[]", content_type="application/json"),
    "null": Response("null", content_type="application/json"),
    "empty": Response("", content_type="application/json"),
    "not utf-8": Response(b"\xff\xfe", content_type="application/json"),
    "deep": Response("[" * 100_000, content_type="application/json"),
    "large": Response(b" " * 20_000_000, content_type="application/json"),
    "failure": Response("oops", 500),
    "forbidden": Response("no", 403),
    "redirect": Response("", 302, headers={"Location": "http://127.0.0.1:9/"}),
    "twice": Response('{"issuer": "a", "issuer": "b"}', content_type="application/json"),
}


@pytest.mark.parametrize("page", PAGES)
def test_an_answer_that_is_no_document_is_refused_with_its_address(app: Flask, publisher: Publisher, page):
    publisher.pages["/x/.well-known/openid-configuration"] = PAGES[page]

    assert "/x/.well-known/openid-configuration" in refused(app, f"{publisher.url}/x")


def test_a_provider_that_is_not_there_is_refused_with_its_address(app: Flask, publisher: Publisher):
    assert publisher.url in refused(app, f"{publisher.url}/nothing")
    assert "127.0.0.1:9" in refused(app, "http://127.0.0.1:9/x")


@pytest.mark.parametrize(
    "issuer",
    [
        "acme",
        "",
        "//acme.example",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "https://",
        "https://acme.example/x?y=1",
        "https://acme.example/x#y",
        "https://user:pass@acme.example/x",
        "http://127.0.0.1:99999/x",
        "https://acme.example/\n",
        "https://äcme example/",
    ],
)
def test_an_issuer_that_can_be_none_is_refused(app: Flask, issuer):
    assert "issuer" in refused(app, issuer)


def test_rfc_8414_metadata_serves_where_there_is_no_oidc(app: Flask, publisher: Publisher):
    add(app, publisher.oauth("/x", userinfo_endpoint=None))

    assert read(app, "TokenIntrospector/acme-jwt-introspector")["jwks_uri"] == f"{publisher.url}/x/keys"
    assert read(app, "IdentityProvider/acme")["userinfo-source"] == "id-token"


def test_the_issuer_of_rfc_8414_metadata_is_compared_as_well(app: Flask, publisher: Publisher):
    issuer = publisher.oauth("/x", issuer=f"{publisher.url}/y")

    assert f"{publisher.url}/y" in refused(app, issuer)


def test_a_provider_without_userinfo_gets_the_tokens_own_claims(app: Flask, publisher: Publisher):
    add(app, publisher.openid("/x", userinfo_endpoint=None))

    provider = read(app, "IdentityProvider/acme")
    assert provider["userinfo-source"] == "id-token"
    assert "userinfo_endpoint" not in provider


def test_entra_id_gets_the_tokens_own_claims_and_oid(app: Flask, publisher: Publisher):
    tenant = "/00000000-0000-0000-0000-000000000000/v2.0"
    issuer = f"https://login.microsoftonline.com{tenant}"
    publisher.pages[f"{tenant}/.well-known/openid-configuration"] = document(
        issuer, issuer, userinfo_endpoint="https://graph.microsoft.com/oidc/userinfo"
    )

    add(app, issuer, "--backchannel", publisher.url + tenant, name="entra")

    provider = read(app, "IdentityProvider/entra")
    assert (provider["userinfo-source"], provider["subject_claim"]) == ("id-token", "oid")


def test_a_name_like_entras_is_not_entra(app: Flask, publisher: Publisher):
    issuer = "https://login.microsoftonline.com.evil.example/x"
    publisher.pages["/x/.well-known/openid-configuration"] = document(issuer, issuer)

    add(app, issuer, "--backchannel", f"{publisher.url}/x")

    assert read(app, "IdentityProvider/acme").get("subject_claim") in {None, "sub"}
    assert read(app, "IdentityProvider/acme")["userinfo-source"] == "userinfo-endpoint"


def test_what_is_there_already_is_not_overwritten_without_replace(app: Flask, issuer: Issuer, publisher: Publisher):
    add(app, issuer.issuer)
    before = everything(app)
    other = publisher.openid("/x")

    assert "--replace" in add(app, other, status=1).stderr
    assert everything(app) == before

    add(app, other, "--replace")
    assert read(app, "IdentityProvider/acme")["issuer"] == other


def test_a_second_provider_of_the_same_issuer_is_refused(app: Flask, issuer: Issuer):
    add(app, issuer.issuer)
    before = everything(app)

    add(app, issuer.issuer, name="second", status=1)

    assert everything(app) == before


def test_a_second_provider_of_the_same_system_is_refused(app: Flask, issuer: Issuer, publisher: Publisher):
    add(app, issuer.issuer)
    before = everything(app)

    result = add(app, publisher.openid("/x"), "--system", "acme", name="second", status=1)

    assert "system" in result.stderr
    assert everything(app) == before


@pytest.mark.parametrize("name", ["a b", "", "x" * 65, "a/b", "ä"])
def test_an_id_that_can_be_none_is_refused(app: Flask, issuer: Issuer, name):
    add(app, issuer.issuer, name=name, status=1)

    assert ids(app, "IdentityProvider") == []


def test_it_writes_into_a_file_registry_alike(make_app: MakeApp, issuer: Issuer):
    app = make_app([], **OPERATOR_SETTINGS)

    add(app, issuer.issuer)

    kept = {resource["id"]: resource for resource in yaml.safe_load(registry_of(app).read_text())}
    assert kept["acme-jwt-introspector"]["jwks_uri"] == issuer.jwks_uri
    assert ask(app, issuer.token()).status_code == 403


def test_a_refusal_leaves_a_file_registry_as_it_is(make_app: MakeApp, publisher: Publisher):
    app = make_app("[ ]", **OPERATOR_SETTINGS)

    add(app, publisher.openid("/x", jwks_uri=None), status=1)

    assert registry_of(app).read_text() == "[ ]"
