"""OpenID Connect Core: whose user a token leads to."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.errors import Rejected
from flask_foreign_token.testing import Issuer

from ..apps import (
    SECRET,
    Resource,
    ask,
    introspector,
    policy,
    provider,
    registry_of,
    secret_token,
    store,
    trusting_a_secret,
    users_in,
    write_registry,
)
from ..conftest import MakeApp
from ..introspection.signing import jwk
from .clinic import Clinic, token

OTHER = "https://other.example"


def user_of(app: Flask, sent: str) -> Any:
    answer = ask(app, sent, "/me")
    assert answer.status_code == 200, answer.text
    return answer.json["user"]


@pytest.mark.requirement("OIDC Core", "5.3.2")
@pytest.mark.parametrize("sub", ["bert", "ANNA", "anna ", "", None, ["anna"], 7])
def test_userinfo_of_somebody_else_makes_nobody(clinic: Clinic, make_app: MakeApp, sub: object) -> None:
    endpoint = {
        "userinfo-source": "userinfo-endpoint",
        "userinfo_endpoint": f"{clinic.publisher.origin}/userinfo",
    }
    clinic.publish(jwk("RS256"))
    app = make_app(clinic.resources(**endpoint))

    clinic.publisher.publish("/userinfo", {"sub": sub, "email": "a@example.org"})
    refused = ask(app, token(), "/me")
    clinic.publisher.publish("/userinfo", {"email": "a@example.org"})
    nameless = ask(app, token(), "/me")

    assert (refused.status_code, nameless.status_code, users_in(app)) == (401, 401, 0)
    clinic.publisher.publish("/userinfo", {"sub": "anna", "email": "a@example.org"})
    assert user_of(app, token(jti="later")) is not None


def two_providers(system: str = "second") -> list[Resource]:
    return [
        *trusting_a_secret(policy("all")),
        provider("second", system=system),
        introspector("second", "second", jwt={"iss": OTHER, "secret": SECRET}),
    ]


@pytest.mark.requirement("OIDC Core", "5.7")
@pytest.mark.requirement("OWASP ASVS 5.0", "10.3.3")
def test_a_user_is_issuer_and_subject_together(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(two_providers())

    same = {"sub": "ann", "email": "ann@example.org", "preferred_username": "ann"}
    one, other = user_of(app, secret_token(issuer, **same)), user_of(app, secret_token(issuer, **same, iss=OTHER))
    third = user_of(app, secret_token(issuer, **{**same, "sub": "Ann"}))

    assert len({one, other, third}) == users_in(app) == 3
    assert user_of(app, secret_token(issuer, sub="ann", email="changed@example.org")) == one


@pytest.mark.requirement("OIDC Core", "5.7")
@pytest.mark.requirement("OWASP ASVS 5.0", "10.3.3")
def test_two_providers_with_one_system_are_refused(make_app: MakeApp) -> None:
    app = make_app()

    with pytest.raises(Rejected, match="system"):
        store(app, two_providers(system="keycloak"))
    store(app, two_providers())


@pytest.mark.requirement("OIDC Core", "5.7")
@pytest.mark.requirement("OWASP ASVS 5.0", "10.3.3")
def test_a_provider_that_is_pointed_at_another_issuer_takes_no_users_along(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")), FOREIGN_TOKEN_REGISTRY_POLL=0, FOREIGN_TOKEN_USER_TTL=0)
    user = user_of(app, secret_token(issuer, sub="ann"))

    write_registry(registry_of(app), trusting_a_secret(policy("all"), jwt={"iss": OTHER}))

    assert ask(app, secret_token(issuer, sub="ann", iss=OTHER), "/me").status_code == 401
    assert user_of(app, secret_token(issuer, sub="new", iss=OTHER)) not in (None, user)


@pytest.mark.requirement("OIDC Core", "5.7")
@pytest.mark.requirement("OWASP ASVS 5.0", "10.3.3")
def test_a_subject_that_looks_like_the_key_of_a_user_is_another_user(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(two_providers())
    user = user_of(app, secret_token(issuer, sub="ann"))

    for claims in ({"sub": user}, {"sub": user, "iss": OTHER}, {"sub": "ann", "iss": OTHER, "box_user": user}):
        assert user_of(app, secret_token(issuer, **claims)) not in (None, user)
