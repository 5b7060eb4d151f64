"""Endpoints that no resource gives, found at what real providers publish."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from example_app.keycloak_server import free_port

from ..apps import Resource, ask, introspector, policy, provider, rows
from ..conftest import MakeApp
from .forwarding import forwarding
from .oidc_provider import of_the_run, resource
from .real_providers import BASIC, OPAQUE, RealKeycloak, RealOidcProvider, RealProvider, RealProviders

PROVIDERS = ("keycloak", "oidc-provider")
KNOWN_ISSUER = "known-issuer"


def a_jwt_introspector(real: RealProvider, linked_to: str | None = "real") -> Resource:
    return introspector("real-jwt", linked_to, jwt={"iss": real.issuer, "aud": list(real.audiences)})


def let_in(real: RealProvider, what: str = "jwt") -> Resource:
    return policy(KNOWN_ISSUER, {what: {"iss": real.issuer}})


@pytest.mark.parametrize("name", PROVIDERS)
def test_keys_are_found_at_the_issuer_of_the_linked_provider(
    real_providers: RealProviders, make_app: MakeApp, name: str
) -> None:
    real = real_providers[name]
    app = make_app([provider("real", issuer=real.issuer), a_jwt_introspector(real), let_in(real)])

    assert ask(app, real.issue("ES256")).status_code == 200


@pytest.mark.parametrize("name", PROVIDERS)
def test_keys_are_found_at_the_issuer_that_tokens_name_where_no_provider_is_linked(
    real_providers: RealProviders, make_app: MakeApp, name: str
) -> None:
    real = real_providers[name]
    app = make_app([a_jwt_introspector(real, linked_to=None), let_in(real)])

    assert ask(app, real.issue("ES256")).status_code == 200


@pytest.mark.parametrize("name", PROVIDERS)
def test_where_to_ask_about_tokens_is_found(real_providers: RealProviders, make_app: MakeApp, name: str) -> None:
    real = real_providers[name]
    client, secret = real.api(BASIC)
    app = make_app(
        [
            provider("real", issuer=real.issuer, client={"id": client, "secret": secret}),
            introspector("real-opaque", "real", type="opaque", jwt={"iss": real.issuer, "aud": list(real.audiences)}),
            let_in(real, "token"),
        ]
    )

    assert ask(app, real.issue(OPAQUE)).status_code == 200


def test_userinfo_of_keycloak_is_found(real_providers: RealProviders, make_app: MakeApp) -> None:
    real = real_providers["keycloak"]
    assert isinstance(real, RealKeycloak)
    body: Any = {"resourceType": "IdentityProvider", "id": "real", "system": "real", "issuer": real.issuer}
    app = make_app([body, a_jwt_introspector(real), let_in(real)])

    assert ask(app, real.sign_in(client="ES256")["access_token"]).status_code == 200

    [(data,)] = rows(app, "SELECT data FROM foreign_token_identifier")
    userinfo = json.loads(data)
    assert userinfo["email"] == "ann@example.com"
    assert "exp" not in userinfo


def test_userinfo_of_oidc_provider_is_found_for_a_token_that_is_for_no_other_api(
    real_providers: RealProviders, make_app: MakeApp
) -> None:
    real = real_providers["oidc-provider"]
    assert isinstance(real, RealOidcProvider)
    client, secret = real.api(BASIC)
    body: Any = {"resourceType": "IdentityProvider", "id": "real", "system": "real", "issuer": real.issuer}
    opaque = introspector("real-opaque", "real", type="opaque", jwt={"client_id": real.frontend})
    del opaque["jwt"]["aud"]
    app = make_app([{**body, "client": {"id": client, "secret": secret}}, opaque, let_in(real, "token")])

    answer = ask(app, real.provider.tokens_of("ann")["access_token"], "/me")

    assert answer.status_code == 200
    assert answer.json["subject"] == "ann"
    assert answer.json["user"] is not None


def test_many_who_come_at_once_have_what_is_published_fetched_once(make_app: MakeApp) -> None:
    port = free_port()
    with forwarding(f"http://127.0.0.1:{port}") as seen, of_the_run(port=port, issuer=seen.origin) as running:
        real = RealOidcProvider(running)
        app = make_app([provider("real", issuer=real.issuer), a_jwt_introspector(real), let_in(real)])
        tokens = [real.issue("ES256") for _ in range(16)]

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda token: ask(app, token).status_code, tokens))

    assert set(answers) == {200}
    asked = Counter(request.split(b" ")[1].decode() for request in seen.requests)
    assert asked == {"/.well-known/openid-configuration": 1, "/jwks": 1}


def test_while_the_provider_is_down_nothing_is_said_of_its_tokens(make_app: MakeApp) -> None:
    with of_the_run() as running:
        real = RealOidcProvider(running)
        token = running.token_for(resource("ES256"))
    app = make_app([provider("real", issuer=real.issuer), a_jwt_introspector(real), let_in(real)])

    answer = ask(app, token)

    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
