from __future__ import annotations

import pytest

from flask_foreign_token.diagnosis import remedies
from flask_foreign_token.errors import ProviderUnavailable


@pytest.mark.parametrize(
    ("error", "description", "words"),
    [
        ("invalid_grant", "Account is not fully set up", "First name and Last name"),
        ("invalid_grant", "Account is not fully set up", "Email verified"),
        ("invalid_grant", "Account is not fully set up", "Required user actions"),
        ("invalid_grant", "Account is not fully set up", "Temporary off"),
        ("unauthorized_client", "Client not enabled to retrieve service account", "Service accounts roles on"),
        ("unauthorized_client", "Public client not allowed to retrieve service account", "Client authentication on"),
        ("unauthorized_client", "Client not allowed for direct access grants", "Direct access grants on"),
        ("invalid_grant", "Invalid user credentials", "Username or password is wrong"),
        ("invalid_grant", "Account disabled", "Enabled on"),
        ("unauthorized_client", "Invalid client or Invalid client credentials", "Client id or secret is wrong"),
        ("invalid_client", "Invalid client or Invalid client credentials", "Client id or secret is wrong"),
        ("invalid_client", "", "Client id or secret is wrong"),
        ("invalid_scope", "Invalid scopes: openid nonsense", "--scope"),
        ("unauthorized_client", "", "Allow the client this grant"),
        ("unsupported_grant_type", "", "does not offer this grant"),
        ("invalid_grant", "", "must not sign in yet"),
    ],
)
def test_each_refusal_of_a_token_endpoint_has_a_remedy(error: str, description: str, words: str) -> None:
    assert words in "\n".join(remedies.for_token_endpoint(error, description))


def test_what_nobody_has_heard_of_has_no_remedy() -> None:
    assert remedies.for_token_endpoint("slow_down", "too fast") == ()
    assert remedies.for_introspection("the token is malformed") == ()


@pytest.mark.parametrize(
    ("description", "remedy"),
    [
        ("the issuer is not known", remedies.ISSUER_AND_ADDRESS),
        ("aud names another audience", remedies.AUDIENCE),
        ("the token was issued to another client", remedies.CLIENT),
        ("no key of the issuer fits the token", remedies.KEYS),
        ("iat lies ahead", remedies.CLOCK),
    ],
)
def test_each_refusal_of_a_token_here_has_a_remedy(description: str, remedy: tuple[str, ...]) -> None:
    assert remedies.for_introspection(description) == remedy


def test_an_outage_comes_with_the_ways_out_of_a_container() -> None:
    remedy = "\n".join(remedies.UNREACHABLE)

    for words in ("http://keycloak:8080", "keycloak:host-gateway", "same network", "--backchannel", "iss"):
        assert words in remedy


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        ("ConnectionRefusedError", "ConnectionRefusedError (nothing listens there)"),
        ("http://x: gaierror", "http://x: gaierror (no host of that name is known here)"),
        ("status 503", "status 503"),
        (None, "the identity provider cannot be reached"),
    ],
)
def test_the_cause_of_an_outage_is_put_in_words(hint: str | None, words: str) -> None:
    assert remedies.explained(ProviderUnavailable(hint=hint)) == words
