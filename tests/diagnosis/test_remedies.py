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
        ("Realm does not exist", "", "The realm is not there"),
        ("Realm does not exist", "", "--replace` finds it anew"),
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


REFUSED = ProviderUnavailable(hint="http://x/: the connection is refused")
UNKNOWN = ProviderUnavailable(hint="no host of that name is known here")


@pytest.mark.parametrize("address", ["http://localhost:8180/", "http://127.0.0.1:8180", "http://keycloak:8080/x"])
@pytest.mark.parametrize("outage", [REFUSED, UNKNOWN])
def test_an_outage_of_a_local_address_comes_with_the_ways_out_of_a_container(
    address: str, outage: ProviderUnavailable
) -> None:
    remedy = "\n".join(remedies.for_outage(outage, address))

    for words in ("http://keycloak:8080", "keycloak:host-gateway", "same network", "--backchannel", "iss"):
        assert words in remedy


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("the connection is refused", "listens there"),
        ("no answer in time", "listens there"),
        ("no way leads there", "listens there"),
        ("no host of that name is known here", "spelt right?"),
        ("its certificate is not trusted", "SSL_CERT_FILE"),
        ("no TLS can be agreed upon", "begins with http://"),
        ("an answer in malformed HTTP", "begins with https://"),
        ("the connection was closed before an answer came", "hangs up"),
        ("status 302", "sends elsewhere"),
        ("a body that does not call itself JSON", "page for people"),
        ("status 404", "the path is right"),
        ("status 429", "more often than it allows"),
        ("must be https; plain http is for some hosts", "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS"),
        ("status 503", "its log"),
    ],
)
def test_an_outage_of_any_other_address_has_one_remedy(reason: str, words: str) -> None:
    [remedy] = remedies.for_outage(ProviderUnavailable(hint=f"https://id.example/x: {reason}"), "https://id.example/x")

    assert words in remedy


def test_a_host_that_answers_needs_no_way_out_of_a_container() -> None:
    assert len(remedies.for_outage(ProviderUnavailable(hint="status 503"), "http://localhost:8180")) == 1
    assert remedies.for_outage(ProviderUnavailable(), "http://localhost:8180") == ()


def test_names_come_first_in_what_an_account_lacks() -> None:
    first, *_ = remedies.for_token_endpoint("invalid_grant", "Account is not fully set up")

    assert "First name and Last name" in first


def test_no_client_scope_is_asked_for() -> None:
    assert "Keycloak needs no client scope of that name." in remedies.OPENID
    assert any("--scope" in line for line in remedies.OPENID)
