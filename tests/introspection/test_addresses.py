from __future__ import annotations

import pytest

from flask_foreign_token.introspection.addresses import at_backchannel, at_origin_of, may_lead_elsewhere, origin_of


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://id.example/realms/x?a=b", "https://id.example"),
        ("HTTPS://ID.example:443/x", "https://id.example"),
        ("http://keycloak:8180", "http://keycloak:8180"),
        ("http://id.example:80", "http://id.example"),
        ("https://id.example:80", "https://id.example:80"),
        ("https://[::1]:8443/x", "https://[::1]:8443"),
        ("https://id.example@evil.example/x", "https://evil.example"),
    ],
)
def test_an_origin_has_one_form(address: str, origin: str) -> None:
    assert origin_of(address) == origin


@pytest.mark.parametrize(
    "text", ["", "clinic", "urn:clinic", "//id.example", "https://", "http://[x", "https://[::1", "https://id:99999/x"]
)
def test_what_is_no_address_has_no_origin(text: str) -> None:
    assert origin_of(text) == ""
    assert at_origin_of("https://id.example/certs", text) == ""
    assert at_origin_of(text, "https://id.example/certs") == ""
    assert at_backchannel("https://id.example/certs", text, "http://idp/x") == "https://id.example/certs"
    assert at_backchannel("https://id.example/certs", "https://id.example/x", text) == "https://id.example/certs"


def test_the_path_of_an_issuer_is_looked_for_at_another_host() -> None:
    assert at_origin_of("http://idp:80/certs?x", "https://id.example/realms/x") == "http://idp/realms/x"


@pytest.mark.parametrize(
    ("address", "moved"),
    [
        ("https://id.example/clinic/certs", "http://idp:80/clinic/certs"),
        ("https://id.example/other/certs", "http://idp:80/other/certs"),
        ("https://ID.example:443/other/certs?a=b", "http://idp:80/other/certs?a=b"),
        ("http://id.example/other/certs", "http://id.example/other/certs"),
        ("https://id.example.evil.example/clinic/certs", "https://id.example.evil.example/clinic/certs"),
        ("https://cdn.example/clinic/certs", "https://cdn.example/clinic/certs"),
    ],
)
def test_what_is_at_the_issuers_own_address_is_called_at_the_backchannel(address: str, moved: str) -> None:
    assert at_backchannel(address, "https://id.example/clinic", "http://idp:80/clinic") == moved


def test_endpoints_beside_the_issuer_stay_where_the_backchannel_has_another_path() -> None:
    address = "https://id.example/other/certs"

    assert at_backchannel(address, "https://id.example/clinic", "http://idp:80/auth/clinic") == address


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("http://localhost:8180/realms/x", True),
        ("http://127.0.0.1:8180", True),
        ("http://[::1]:8180", True),
        ("http://keycloak:8080", True),
        ("https://id.example", False),
        ("https://10.0.0.7", False),
        ("https://[2001:db8::7]", False),
        ("clinic", False),
    ],
)
def test_a_host_without_a_name_of_its_own_in_the_world_may_be_another_elsewhere(address: str, may: bool) -> None:
    assert may_lead_elsewhere(address) is may
