"""What real providers issue beside access tokens opens nothing, even where its audience is one that is taken."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from example_app.keycloak_server import Keycloak
from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection.claims import check_kind_of_answer

from ..apps import ask
from ..conftest import MakeApp
from .keycloak import Realm
from .oidc_provider import resource
from .real_providers import (
    BASIC,
    OPAQUE,
    RealKeycloak,
    RealOidcProvider,
    RealProvider,
    RealProviders,
    trusting_answers,
    trusting_keys,
)

NO_KEY = "no key of the issuer fits the token"
WRONG_TYPE = "the typ of the header is not the one of an access token"
WRONG_CLAIM = "the claim typ is not the one of an access token"
WRONG_AUDIENCE = "aud names another audience"

AS_JWTS = [
    ("keycloak", "ID token", None, WRONG_CLAIM),
    # Signed with a secret that Keycloak keeps to itself.
    ("keycloak", "refresh token", None, NO_KEY),
    ("keycloak", "offline token", None, NO_KEY),
    ("keycloak", "logout token", None, WRONG_TYPE),
    ("keycloak", "userinfo response", None, "exp is missing"),
    # Nothing but `typ` and `aud` tells its ID tokens from access tokens.
    ("oidc-provider", "ID token", "at+jwt", "the header has no typ"),
    ("oidc-provider", "introspection response", None, WRONG_TYPE),
    ("oidc-provider", "refresh token", None, "the token has not three parts"),
]
INTROSPECTED = [
    ("keycloak", "ID token", WRONG_CLAIM),
    ("keycloak", "refresh token", WRONG_CLAIM),
    ("keycloak", "offline token", WRONG_CLAIM),
    ("keycloak", "logout token", WRONG_TYPE),
    ("oidc-provider", "introspection response", WRONG_TYPE),
    ("oidc-provider", "refresh token", "aud is missing"),
]

OtherTokens = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def other_tokens(real_providers: RealProviders) -> OtherTokens:
    return {name: real.other_tokens() for name, real in real_providers.items()}


def audiences_of(real: RealProvider) -> list[str]:
    """Those of every kind of token that it issues."""
    return [*real.audiences, real.frontend, real.issuer, real.api(BASIC)[0]]


@pytest.mark.parametrize(("name", "token", "typ", "reason"), AS_JWTS)
def test_as_a_jwt_it_is_refused(
    real_providers: RealProviders,
    other_tokens: OtherTokens,
    make_app: MakeApp,
    name: str,
    token: str,
    typ: str | None,
    reason: str,
) -> None:
    real = real_providers[name]
    more = {} if typ is None else {"typ": typ}
    app = make_app(trusting_keys(real, **{"aud": audiences_of(real), **more}))

    answer = ask(app, other_tokens[name][token])

    assert (answer.status_code, answer.json["error_description"]) == (401, reason)


@pytest.mark.parametrize(("name", "token", "reason"), INTROSPECTED)
def test_where_the_provider_is_asked_about_tokens_it_is_refused(
    real_providers: RealProviders,
    other_tokens: OtherTokens,
    make_app: MakeApp,
    name: str,
    token: str,
    reason: str,
) -> None:
    real = real_providers[name]
    app = make_app(trusting_answers(real, jwt={"aud": audiences_of(real)}))

    answer = ask(app, other_tokens[name][token])

    assert (answer.status_code, answer.json["error_description"]) == (401, reason)


@pytest.mark.parametrize("token", ["ID token", "refresh token", "offline token"])
def test_keycloak_calls_it_active_and_that_does_not_count(
    real_providers: RealProviders, other_tokens: OtherTokens, token: str
) -> None:
    real = real_providers["keycloak"]
    assert isinstance(real, RealKeycloak)

    said = real.ask_about(other_tokens["keycloak"][token])

    assert said["active"] is True
    with pytest.raises(InvalidToken):
        check_kind_of_answer(said)


def test_where_access_tokens_must_name_their_type_those_of_oidc_provider_do(
    real_providers: RealProviders, make_app: MakeApp
) -> None:
    real = real_providers["oidc-provider"]
    app = make_app(trusting_keys(real, typ="at+jwt"))

    assert ask(app, real.issue("ES256")).status_code == 200


def test_where_access_tokens_must_name_their_type_keycloaks_do_if_their_client_is_told_to(
    real_providers: RealProviders, make_app: MakeApp
) -> None:
    real = real_providers["keycloak"]
    app = make_app(trusting_keys(real, typ="at+jwt"))

    statuses = [ask(app, real.issue_to_ann(client)).status_code for client in ("my-typed-client", "my-frontend")]

    assert statuses == [200, 401]


def test_an_id_token_of_oidc_provider_is_told_by_its_audience(
    real_providers: RealProviders, other_tokens: OtherTokens, make_app: MakeApp
) -> None:
    app = make_app(trusting_keys(real_providers["oidc-provider"]))

    answer = ask(app, other_tokens["oidc-provider"]["ID token"])

    assert (answer.status_code, answer.json["error_description"]) == (401, WRONG_AUDIENCE)


def test_where_only_the_client_is_checked_a_refresh_token_is_told_by_the_type_that_it_lacks_if_one_is_demanded(
    real_providers: RealProviders, make_app: MakeApp
) -> None:
    real = real_providers["oidc-provider"]
    assert isinstance(real, RealOidcProvider)
    resources = trusting_answers(real, jwt={"client_id": real.frontend})
    del resources[1]["jwt"]["aud"]
    resources[1]["token_type"] = "Bearer"
    app = make_app(resources)
    tokens = real.provider.tokens_of("ann", resource=resource(OPAQUE))

    statuses = [ask(app, tokens[name]).status_code for name in ("refresh_token", "access_token")]

    assert statuses == [401, 200]


def test_an_access_token_of_another_realm_is_refused(
    real_providers: RealProviders, keycloak: Keycloak, make_app: MakeApp
) -> None:
    form = {"client_id": "admin-cli", "username": keycloak.username, "password": keycloak.password}
    token = Realm(keycloak, "master").token(grant_type="password", **form).json()["access_token"]
    app = make_app(trusting_keys(real_providers["keycloak"]))

    answer = ask(app, token)

    assert (answer.status_code, answer.json["error_description"]) == (401, "the issuer is not known")
