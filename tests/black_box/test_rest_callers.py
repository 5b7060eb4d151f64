"""Who is let in at which of the operator's endpoints."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, bearer, introspector, policy, trusting, without
from .callers import BODIES, TYPES, Operated, as_token, basic, everything, ids, linked, operate, put_all, read

ENDPOINTS = [
    (verb, name, method, path.format(name))
    for name in TYPES
    for verb, method, path in [
        ("search", "GET", "/fhir/{}"),
        ("create", "POST", "/fhir/{}"),
        ("read", "GET", "/fhir/{}/thing"),
        ("update", "PUT", "/fhir/{}/thing"),
        ("delete", "DELETE", "/fhir/{}/thing"),
    ]
]
SUCCESS = {"search": {200}, "create": {201}, "read": {404}, "update": {201}, "delete": {404}}

each_endpoint = pytest.mark.parametrize(("verb", "name", "method", "path"), ENDPOINTS)


def body_for(verb: str, name: str) -> object:
    return BODIES[name] if verb in {"create", "update"} else None


def challenges(answer) -> str:
    return ", ".join(answer.headers.getlist("WWW-Authenticate"))


@each_endpoint
def test_the_operator_is_let_in(trusted: Flask, verb, name, method, path):
    assert operate(trusted, method, path, body_for(verb, name)).status_code in SUCCESS[verb]


@each_endpoint
def test_nobody_is_let_in_without_a_credential(trusted: Flask, verb, name, method, path):
    answer = as_token(trusted, None, method, path, body_for(verb, name))

    assert answer.status_code == 401
    assert "Bearer" in challenges(answer)
    assert "Basic" in challenges(answer)
    assert answer.headers["Cache-Control"] == "no-store"


@each_endpoint
def test_a_policy_without_links_opens_nothing_of_the_operators(
    trusted: Flask, issuer: Issuer, verb, name, method, path
):
    before = everything(trusted)
    token = issuer.token(sub="alice")
    assert ask(trusted, token, "/patients").status_code == 200
    before["User"] = everything(trusted)["User"]

    answer = as_token(trusted, token, method, path, body_for(verb, name))

    assert (answer.status_code, answer.json["error"]) == (403, "access_denied")
    assert everything(trusted) == before


@each_endpoint
def test_an_allow_policy_without_links_opens_nothing_to_the_anonymous(operated: Operated, verb, name, method, path):
    app = operated([policy("all")])

    assert as_token(app, None, method, path, body_for(verb, name)).status_code == 401


@each_endpoint
def test_a_policy_linked_to_the_operation_opens_it_to_a_token(
    operated: Operated, issuer: Issuer, verb, name, method, path
):
    app = operated([*trusting(issuer), linked("opens", f"Operation/foreign_token.{verb}_{TYPES[name]}")])

    answer = as_token(app, issuer.token(sub="alice"), method, path, body_for(verb, name))

    assert answer.status_code in SUCCESS[verb], answer.get_data(as_text=True)


@each_endpoint
def test_a_policy_linked_to_the_operation_does_not_open_it_to_the_anonymous(
    operated: Operated, issuer: Issuer, verb, name, method, path
):
    app = operated([*trusting(issuer), linked("opens", f"Operation/foreign_token.{verb}_{TYPES[name]}")])

    assert as_token(app, None, method, path, body_for(verb, name)).status_code == 401


@each_endpoint
def test_a_policy_linked_to_all_other_operations_does_not_open_this_one(
    operated: Operated, issuer: Issuer, verb, name, method, path
):
    others = [f"Operation/foreign_token.{v}_{TYPES[n]}" for v, n, _, _ in ENDPOINTS if (v, n) != (verb, name)]
    app = operated([*trusting(issuer), linked("opens", "Operation/patients", *others)])

    assert as_token(app, issuer.token(sub="alice"), method, path, body_for(verb, name)).status_code == 403


@each_endpoint
def test_a_wrong_token_is_refused_as_everywhere(trusted: Flask, issuer: Issuer, verb, name, method, path):
    answer = as_token(trusted, issuer.token(lifetime=-600), method, path, body_for(verb, name))

    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")


@each_endpoint
def test_a_wrong_password_is_refused(trusted: Flask, verb, name, method, path):
    before = everything(trusted)

    answer = operate(trusted, method, path, body_for(verb, name), headers=basic(password="not-the-password-at-all"))

    assert answer.status_code == 401
    assert everything(trusted) == before


@each_endpoint
@pytest.mark.parametrize("settings", [{"FOREIGN_TOKEN_PROTECT": "all"}, {"FOREIGN_TOKEN_OPTIONAL": True}], ids=str)
def test_settings_for_views_open_and_close_nothing_here(
    operated: Operated, issuer: Issuer, settings, verb, name, method, path
):
    app = operated(trusting(issuer), **settings)
    body = body_for(verb, name)

    assert as_token(app, None, method, path, body).status_code == 401
    assert as_token(app, issuer.token(sub="alice"), method, path, body).status_code == 403
    assert as_token(app, issuer.token(lifetime=-600), method, path, body).status_code == 401
    assert operate(app, method, path, body).status_code in SUCCESS[verb]


@pytest.mark.parametrize("name", TYPES)
def test_head_reads_as_get(trusted: Flask, issuer: Issuer, name):
    path = f"/fhir/{name}"
    client = trusted.test_client()

    assert client.head(path).status_code == 401
    assert client.head(path, headers=bearer(issuer.token(sub="alice"))).status_code == 403
    answer = client.head(path, headers=basic())
    assert (answer.status_code, answer.data) == (200, b"")


def test_a_linked_policy_whose_pattern_does_not_match_opens_nothing(operated: Operated, issuer: Issuer):
    opens = policy("opens", {"jwt": {"scope": "#admin"}}, link=[{"reference": "Operation/foreign_token.search_user"}])
    app = operated([*trusting(issuer), opens])

    assert as_token(app, issuer.token(), "GET", "/fhir/User").status_code == 403
    assert as_token(app, issuer.token(scope="admin openid"), "GET", "/fhir/User").status_code == 200


@pytest.mark.parametrize("reference", ["Client/my-client", "User/{user}"])
def test_links_to_a_caller_alone_open_nothing_of_the_operators(operated: Operated, issuer: Issuer, reference):
    app = operated(trusting(issuer))
    token = issuer.token(sub="alice")
    assert ask(app, token, "/patients").status_code == 200
    [user] = ids(app, "User")
    put_all(app, [linked("mine", reference.format(user=user))])

    assert as_token(app, token, "GET", "/fhir/User").status_code == 403
    assert as_token(app, token, "GET", f"/fhir/User/{user}").status_code == 403
    assert as_token(app, token, "DELETE", f"/fhir/User/{user}").status_code == 403


def test_a_link_to_a_caller_beside_one_to_an_operation_opens_that_operation_only(operated: Operated, issuer: Issuer):
    app = operated(trusting(issuer))
    put_all(app, [linked("mixed", "Client/my-client", "Operation/foreign_token.search_user")])
    token = issuer.token(sub="alice")

    assert as_token(app, token, "GET", "/fhir/User").status_code == 200
    assert as_token(app, token, "GET", "/fhir/AccessPolicy").status_code == 403


def test_a_token_without_a_user_is_an_authenticated_caller_too(operated: Operated, issuer: Issuer):
    alone = without(introspector("alone", None, jwt={"iss": issuer.issuer}, jwks_uri=issuer.jwks_uri))
    app = operated([alone, linked("opens", "Operation/foreign_token.search_access_policy")])

    assert as_token(app, issuer.token(), "GET", "/fhir/AccessPolicy").status_code == 200


def test_a_deleted_policy_closes_what_it_opened_at_once(operated: Operated, issuer: Issuer):
    app = operated([*trusting(issuer), linked("opens", "Operation/foreign_token.search_user")])
    token = issuer.token(sub="alice")
    assert as_token(app, token, "GET", "/fhir/User").status_code == 200

    assert operate(app, "DELETE", "/fhir/AccessPolicy/opens").status_code == 204

    assert as_token(app, token, "GET", "/fhir/User").status_code == 403


def test_an_inactive_policy_opens_nothing(operated: Operated, issuer: Issuer):
    app = operated([*trusting(issuer), linked("opens", "Operation/foreign_token.search_user", active=False)])

    assert as_token(app, issuer.token(), "GET", "/fhir/User").status_code == 403


def test_a_token_that_may_read_providers_reads_no_secret(operated: Operated, issuer: Issuer):
    app = operated([*trusting(issuer), linked("opens", "Operation/foreign_token.read_identity_provider")])
    operate(app, "PUT", "/fhir/IdentityProvider/thing", BODIES["IdentityProvider"])

    answer = as_token(app, issuer.token(), "GET", "/fhir/IdentityProvider/thing")

    assert answer.json["client"]["secret"] == "********"


def test_basic_opens_no_view_of_the_app(trusted: Flask):
    assert trusted.test_client().get("/patients", headers=basic()).status_code == 401
    assert trusted.test_client().get("/open", headers=basic()).json == {"user": None, "subject": None}


def test_a_policy_that_looks_at_the_basic_operator_alone_gives_no_user(trusted: Flask):
    assert operate(trusted, "GET", "/fhir/User").status_code == 200
    assert read(trusted, "User")["total"] == 0


def test_without_the_prefix_there_are_no_endpoints(operated: Operated):
    app = operated(FOREIGN_TOKEN_ADMIN_URL_PREFIX=None)

    assert operate(app, "GET", "/fhir/User").status_code == 404
    assert not [rule for rule in app.url_map.iter_rules() if "AccessPolicy" in rule.rule]


@pytest.mark.parametrize(
    "settings",
    [
        {"FOREIGN_TOKEN_ADMIN_CLIENT_ID": None, "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": None},
    ],
)
@pytest.mark.parametrize(("name", "password"), [("", ""), ("None", "None"), ("operator", "")])
def test_without_an_operator_nobody_signs_in_with_basic(operated: Operated, settings, name, password):
    app = operated(**settings)

    answer = operate(app, "GET", "/fhir/User", headers=basic(name, password))

    assert answer.status_code == 401
