"""What the schemas see to is not taken for granted where it matters to whom a token or a secret is sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.introspection.endpoints import Endpoint
from flask_foreign_token.introspection.remote_metadata import MetadataDirectory
from flask_foreign_token.registry.endpoints import Endpoints
from flask_foreign_token.registry.resources import IdentityProvider, JwtSettings, TokenIntrospector

from .snapshots import HTTP

ENDPOINTS = Endpoints(HTTP, MetadataDirectory(HTTP, grace=0))
PROVIDER = IdentityProvider(
    id="k",
    active=True,
    system="k",
    userinfo_source="userinfo-endpoint",
    userinfo_header="Bearer",
    to_scim={},
    subject_claim="sub",
)
INTROSPECTOR = TokenIntrospector(id="i", active=True, type="jwt", cache_ttl=300)


@pytest.mark.parametrize(
    ("find", "path"),
    [
        (lambda: ENDPOINTS.userinfo(PROVIDER), "userinfo_endpoint"),
        (lambda: ENDPOINTS.introspection(PROVIDER), "introspection_endpoint"),
        (lambda: ENDPOINTS.keys(INTROSPECTOR, None), "jwt.iss"),
    ],
)
def test_nothing_is_discovered_without_an_issuer(find: Callable[[], Endpoint], path: str) -> None:
    with pytest.raises(Rejected) as caught:
        find()

    assert [issue.path for issue in caught.value.issues] == [path]


def test_jwts_have_an_issuer() -> None:
    assert JwtSettings(iss="https://idp.example").issuer == "https://idp.example"
    with pytest.raises(Rejected, match=r"jwt\.iss: is required"):
        _ = JwtSettings().issuer
