"""Tokens about which real providers are asked: by whom, how often, and until when an answer counts."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flask_foreign_token.errors import REST

from ..apps import ask
from ..conftest import MakeApp
from .forwarding import forwarding
from .oidc_provider import of_the_run
from .real_providers import (
    BASIC,
    OPAQUE,
    POST,
    RealKeycloak,
    RealOidcProvider,
    RealProviders,
    trusting_answers,
    trusting_keys,
)
from .waiting import until

PROVIDERS = ("keycloak", "oidc-provider")


def secrets_replaced(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for body in resources:
        if "introspection_endpoint" in body:
            body["introspection_endpoint"]["client_secret"] = "another-secret"
    return resources


@pytest.mark.parametrize("method", [BASIC, POST])
@pytest.mark.parametrize("name", PROVIDERS)
def test_where_the_app_is_not_let_in_itself_nothing_is_said_of_the_token(
    real_providers: RealProviders,
    make_app: MakeApp,
    caplog: pytest.LogCaptureFixture,
    name: str,
    method: str,
) -> None:
    real = real_providers[name]
    app = make_app(secrets_replaced(trusting_answers(real, method)))

    answers = [ask(app, real.issue(OPAQUE)) for _ in range(3)]

    assert {(answer.status_code, answer.headers.get("Retry-After")) for answer in answers} == {(503, str(REST))}
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


@pytest.mark.parametrize("name", PROVIDERS)
def test_what_is_revoked_is_refused_once_the_answer_is_no_longer_remembered(
    real_providers: RealProviders, make_app: MakeApp, name: str
) -> None:
    real = real_providers[name]
    app = make_app(trusting_answers(real, cache_ttl=1))
    token = real.issue(OPAQUE)
    assert ask(app, token).status_code == 200

    real.revoke(token)

    answer = until(lambda answer: answer.status_code != 200, lambda: ask(app, token), within=5)
    assert (answer.status_code, answer.json["error_description"]) == (401, "the token is not active")


def test_an_answer_is_remembered(real_providers: RealProviders, make_app: MakeApp) -> None:
    real = real_providers["oidc-provider"]
    with forwarding(real.issuer) as seen:
        app = make_app(trusting_answers(real, endpoint=f"{seen.origin}/token/introspection", cache_ttl=60))
        good, bad = real.issue(OPAQUE), "nobody-has-issued-this"

        statuses = [ask(app, token).status_code for token in (good, bad, good, bad)]

    assert statuses == [200, 401, 200, 401]
    assert len(seen.requests) == 2


def test_a_person_who_has_signed_out_at_keycloak_is_refused(real_providers: RealProviders, make_app: MakeApp) -> None:
    real = real_providers["keycloak"]
    assert isinstance(real, RealKeycloak)
    app = make_app(trusting_answers(real, cache_ttl=1))
    token = real.sign_in()["access_token"]
    assert ask(app, token).status_code == 200

    real.sign_out()

    assert until(lambda status: status != 200, lambda: ask(app, token).status_code, within=5) == 401


def test_no_provider_sees_the_token_of_another(make_app: MakeApp, real_providers: RealProviders) -> None:
    strangers = ("three_0123456789", real_providers["keycloak"].issue("ES256"))
    with (
        of_the_run(prefix="one_") as one,
        of_the_run(prefix="two_") as two,
        forwarding(one.url) as seen_by_one,
        forwarding(two.url) as seen_by_two,
    ):
        first, second = RealOidcProvider(one), RealOidcProvider(two)
        app = make_app(
            [
                *trusting_answers(
                    first, name="one", token_prefix="one_", endpoint=f"{seen_by_one.origin}/token/introspection"
                ),
                *trusting_answers(
                    second, name="two", token_prefix="two_", endpoint=f"{seen_by_two.origin}/token/introspection"
                ),
            ]
        )
        tokens = (first.issue(OPAQUE), second.issue(OPAQUE), *strangers)

        statuses = [ask(app, token).status_code for token in tokens]

    assert statuses == [200, 200, 401, 401]
    assert [[token.encode() in request for token in tokens] for request in seen_by_one.requests] == [
        [True, False, False, False]
    ]
    assert [[token.encode() in request for token in tokens] for request in seen_by_two.requests] == [
        [False, True, False, False]
    ]


def test_a_jwt_that_the_provider_will_not_be_asked_about_is_refused(
    real_providers: RealProviders, make_app: MakeApp
) -> None:
    real = real_providers["oidc-provider"]
    app = make_app(trusting_answers(real))

    assert ask(app, real.issue("ES256")).status_code == 401


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_token_of_a_program_has_a_user_only_where_the_provider_names_one(
    real_providers: RealProviders, make_app: MakeApp, name: str
) -> None:
    real = real_providers[name]
    app = make_app(trusting_answers(real))

    me = ask(app, real.issue(OPAQUE), "/me")

    # Keycloak has a user for each program; oidc-provider says of its tokens which client has them, and no more.
    assert me.status_code == 200
    assert (me.json["user"] is None) is (name == "oidc-provider")


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_token_of_a_person_has_one(real_providers: RealProviders, make_app: MakeApp, name: str) -> None:
    real = real_providers[name]
    app = make_app(trusting_answers(real))

    me = ask(app, real.issue_to_ann(OPAQUE), "/me")

    assert me.status_code == 200
    assert me.json["user"] is not None


def test_a_light_token_of_keycloak_says_by_itself_too_little_to_be_let_in(
    real_providers: RealProviders, make_app: MakeApp
) -> None:
    real = real_providers["keycloak"]
    assert isinstance(real, RealKeycloak)
    token = real.issue_light()

    verified = ask(make_app(trusting_keys(real)), token)
    asked_about = ask(make_app(trusting_answers(real)), token, "/me")

    assert (verified.status_code, verified.json["error_description"]) == (401, "aud is missing")
    assert asked_about.status_code == 200
    assert asked_about.json["user"] is not None
