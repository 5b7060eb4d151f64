"""A provider's key set, read key by key: what cannot be used is left out, the rest serves (:rfc:`7517#section-5`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from ..errors import ProviderUnavailable
from . import base64url
from .keys import ALGORITHMS, KeyIndex, UnusableKey, VerificationKey, canonical, check_modulus
from .parse import MAX_KEY_ID

# What makes the public part of a key (RFC 7518 section 6, RFC 8037 section 2). Nothing else of it is read.
_PUBLIC_MEMBERS: Mapping[str, Sequence[str]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_BY_CURVE = {(spec.key_type, spec.curve): name for name, spec in ALGORITHMS.items() if spec.curve}


class SkippedKey(NamedTuple):
    """A key that does not serve.

    :param key_id: its `kid`, where that is one.
    """

    key_id: str | None
    reason: str


class Identity(NamedTuple):
    """What makes two keys the same key.

    :param thumbprint: of the public part (:rfc:`7638`).
    """

    key_id: str | None
    algorithm: str
    thumbprint: str


class KeySet:
    """What one answer of a provider holds. Immutable, except that its keys can be withdrawn."""

    serves_until = math.inf
    """It stands as it is; for how long it is used, whoever fetched it decides."""

    def __init__(self, keys: Mapping[Identity, VerificationKey], skipped: Sequence[SkippedKey]) -> None:
        self.keys = MappingProxyType(dict(keys))
        self.skipped = tuple(skipped)
        self._index = KeyIndex(keys.values())
        self._key_ids = {identity.key_id for identity in keys} | {key.key_id for key in skipped}

    def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """The keys that serve `algorithm`: those with that `key_id`, or all for a token without one."""
        return self._index.find(key_id, algorithm)

    def lists(self, key_id: str) -> bool:
        """Whether some key has this `key_id`, be it one that does not serve."""
        return key_id in self._key_ids

    def withdraw_all(self) -> None:
        """Mark every key."""
        for key in self.keys.values():
            key.withdrawn = True

    def withdraw(self, successor: KeySet) -> None:
        """Mark every key that `successor` does not hold."""
        for identity, key in self.keys.items():
            if identity not in successor.keys:
                key.withdrawn = True


def read_key_set(document: object, rsa_algorithms: Sequence[str], known: KeySet | None = None) -> KeySet:
    """Read a JWK Set.

    :param document: parsed JSON.
    :param rsa_algorithms: an RSA key without `alg` serves the first of them that is one of RSA.
    :param known: the set before this one, whose key objects are used again where the key is the same.
    :raises ProviderUnavailable: it is not a JWK Set (:rfc:`7517#section-5`).
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ProviderUnavailable(hint="the key set: not a JWK Set")
    rsa_algorithm = next((name for name in rsa_algorithms if _is_of_rsa(name)), None)
    keys: dict[Identity, VerificationKey] = {}
    skipped: list[SkippedKey] = []
    for entry in entries:
        try:
            identity, key = _read_key(entry, rsa_algorithm)
        except UnusableKey as reason:
            skipped.append(SkippedKey(_shown_key_id(entry), str(reason)))
        else:
            keys[identity] = known.keys.get(identity, key) if known else key
    return KeySet(keys, skipped)


def _is_of_rsa(name: str) -> bool:
    return name in ALGORITHMS and ALGORITHMS[name].key_type == "RSA"


def _read_key(jwk: object, rsa_algorithm: str | None) -> tuple[Identity, VerificationKey]:
    if not isinstance(jwk, dict):
        raise UnusableKey("not an object")
    key_id = _key_id(jwk)
    _check_purpose(jwk)
    material = _public_part(jwk)
    algorithm = _algorithm(jwk, material, rsa_algorithm)
    key = _import(material)
    identity = Identity(key_id, algorithm, key.thumbprint())
    return identity, VerificationKey(key_id, algorithm, key)


def _key_id(jwk: Mapping[str, object]) -> str | None:
    if "kid" not in jwk:
        return None
    key_id = jwk["kid"]
    if not isinstance(key_id, str):
        raise UnusableKey("kid is not a text")
    if len(key_id) > MAX_KEY_ID:
        raise UnusableKey("kid is longer than 1024 characters")
    return key_id


def _shown_key_id(jwk: object) -> str | None:
    key_id = jwk.get("kid") if isinstance(jwk, dict) else None
    return key_id if isinstance(key_id, str) and len(key_id) <= MAX_KEY_ID else None


def _check_purpose(jwk: Mapping[str, object]) -> None:
    """:rfc:`7517#section-4.2` and 4.3"""
    if jwk.get("use", "sig") != "sig":
        raise UnusableKey("use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("key_ops does not hold verify")


def _public_part(jwk: Mapping[str, object]) -> dict[str, str]:
    key_type = jwk.get("kty")
    if key_type == "oct":
        raise UnusableKey("a symmetric key has no place in a published key set")
    if not isinstance(key_type, str) or key_type not in _PUBLIC_MEMBERS:
        raise UnusableKey("kty is not RSA, EC or OKP")
    material = {"kty": key_type}
    for name in _PUBLIC_MEMBERS[key_type]:
        value = jwk.get(name)
        if not isinstance(value, str):
            raise UnusableKey(f"{name} is missing or not a text")
        material[name] = value
    return material


def _algorithm(jwk: Mapping[str, object], material: Mapping[str, str], rsa_algorithm: str | None) -> str:
    """What the key serves, decided by the key alone (:rfc:`8725#section-3.1`)."""
    kind = material["kty"], material.get("crv")
    if "alg" in jwk:
        name = jwk["alg"]
        specification = ALGORITHMS.get(canonical(name)) if isinstance(name, str) else None
        if not isinstance(name, str) or specification is None:
            raise UnusableKey("alg is not supported")
        if (specification.key_type, specification.curve) != kind:
            raise UnusableKey("alg does not fit the kind of key")
        return canonical(name)
    if kind[0] != "RSA":
        if kind not in _BY_CURVE:
            raise UnusableKey("crv is not supported")
        return _BY_CURVE[kind]
    if rsa_algorithm is None:
        raise UnusableKey("an RSA key without alg, and jwt.algorithms names none of RSA")
    return rsa_algorithm


def _import(material: dict[str, str]) -> Key:
    try:
        if material["kty"] == "RSA":
            # The library warns of a short key and goes on with it.
            check_modulus(int.from_bytes(base64url.decode(material["n"].encode())))
        return JWKRegistry.import_key({**material})
    except (ValueError, JoseError, UnsupportedAlgorithm):
        raise UnusableKey("not a valid key of its kind") from None
