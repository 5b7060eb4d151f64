"""Keys of a provider, and tokens as it would sign them, or as nobody should."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from flask_foreign_token.introspection import base64url

ISSUER = "https://id.example/realms/clinic"
AUDIENCE = "https://api.example"
NOW = 1_800_000_000.0
SECRET = "correct horse battery staple, and a little more of it"

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def key_for(algorithm: str, name: str = "current") -> Key:
    """The private key called `name` that signs with `algorithm`; always the same one, and one for all of RSA."""
    return _key("RSA" if algorithm[:2] in ("RS", "PS") else algorithm.replace("EdDSA", "Ed25519"), name)


@cache
def _key(kind: str, name: str) -> Key:
    if kind == "RSA":
        return RSAKey.generate_key(2048)
    if kind == "Ed25519":
        return OKPKey.generate_key(kind)
    return ECKey.generate_key(_CURVES[kind])


def jwk(algorithm: str, key_id: str | None = None, name: str = "current", **members: object) -> dict[str, Any]:
    """The public part of :func:`key_for` as a JWKS holds it; a member that is `None` is left out."""
    described = {**key_for(algorithm, name).as_dict(private=False), "kid": key_id or algorithm, "alg": algorithm}
    described.update({"use": "sig", **members})
    return {name: value for name, value in described.items() if value is not None}


def claims(**changes: object) -> dict[str, Any]:
    """The claims of a good access token; one that is `None` is left out."""
    good = {"iss": ISSUER, "sub": "anna", "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW, "azp": "app", "typ": "Bearer"}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def header(algorithm: str = "RS256", **changes: object) -> dict[str, Any]:
    """The header of a good access token; a member that is `None` is left out."""
    good = {"alg": algorithm, "kid": algorithm, "typ": "JWT"}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def sign(
    head: Mapping[str, object] | bytes | None = None,
    body: Mapping[str, object] | bytes | None = None,
    *,
    algorithm: str = "RS256",
    key: Key | None = None,
) -> str:
    """A token of `head` and `body`, which may be any octets, signed with `algorithm` whatever `head` says."""
    signing_input = (
        encoded(header(algorithm) if head is None else head) + "." + encoded(claims() if body is None else body)
    )
    signature = JWSRegistry.algorithms[algorithm].sign(signing_input.encode(), key or key_for(algorithm))
    return f"{signing_input}.{base64url.encode(signature).decode()}"


def encoded(part: Mapping[str, object] | bytes) -> str:
    """One part of a token."""
    octets = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64url.encode(octets).decode()
