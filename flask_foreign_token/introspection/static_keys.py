"""Keys that stand in the configuration: `jwt.secret` and `jwt.keys`."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_public_key,
)
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from ..errors import Issue, Rejected
from .keys import ALGORITHMS, KeyIndex, UnusableKey, VerificationKey, canonical, check_modulus

_PEM_LABEL = re.compile(r"-----BEGIN ([^-]*)-----")
_PUBLIC_KEY_LABELS = ("PUBLIC KEY", "RSA PUBLIC KEY")
# PEM, SSH2, SSH and JWK. No JSON parser for the last: whatever stands around a key, it is not a secret.
_KEY_MARK = re.compile(rb'---- ?BEGIN |ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-|"(?:kty|keys)\\?"\s*:')
_FROM_BASE64URL = bytes.maketrans(b"-_", b"+/")
_EC_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_DER_LOADERS: Sequence[Callable[[bytes], object]] = (
    load_der_public_key,
    lambda der: load_der_private_key(der, None),
    x509.load_der_x509_certificate,
)


class UnusableSecret(Rejected):
    """A secret that must not verify anything, in a resource that is otherwise right."""


class StaticKeys:
    """Keys that do not change; a token's `kid` says nothing about them.

    :param keys: all symmetric or all asymmetric.
    """

    serves_until = math.inf
    """They stand as they are."""

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._index = KeyIndex(keys)

    def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        return self._index.find(None, algorithm)

    @classmethod
    def from_secret(cls, secret: str, algorithms: Collection[str] | None) -> StaticKeys:
        """One shared secret, used as its octets in UTF-8.

        :param algorithms: the introspector's `jwt.algorithms`; one of HS256, HS384 and HS512, since a key serves one
            algorithm. Without any it is HS256.
        :raises Rejected: `algorithms` is anything else.
        :raises UnusableSecret: the secret is empty, blank, shorter than the hash (:rfc:`7518#section-3.2`) or the text
            of a key (:rfc:`8725#section-2.1`).
        """
        return cls([_shared_key(secret, _algorithm_of_secret(algorithms), "jwt.secret")])

    @classmethod
    def from_jwt_keys(cls, keys: Sequence[Mapping[str, str]]) -> StaticKeys:
        """Keys with `kty`, `alg`, `format` and `pub` (a public key in PEM) or `k` (a secret as it stands).

        :raises Rejected: a member is missing, or a key cannot be used; every fault found, with its path.
        :raises UnusableSecret: nothing is wrong but secrets; see :meth:`from_secret`.
        """
        if not keys:
            raise Rejected.at("jwt.keys", "no key is given")
        usable: list[VerificationKey] = []
        issues: list[Issue] = []
        refusal: type[Rejected] = UnusableSecret
        for position, entry in enumerate(keys):
            try:
                usable.append(_read_entry(entry))
            except Rejected as rejected:
                issues += rejected.within("", f"jwt.keys.{position}").issues
                refusal = refusal if isinstance(rejected, UnusableSecret) else Rejected
        if len({entry.get("kty") == "OCT" for entry in keys}) > 1:
            issues.append(Issue("", "jwt.keys", "symmetric and asymmetric keys do not stand together"))
            refusal = Rejected
        if issues:
            raise refusal(issues)
        return cls(usable)


def secret_key(secret: str, algorithm: str) -> VerificationKey:
    """The key that a shared secret in text form is.

    :param algorithm: HS256, HS384 or HS512.
    :raises UnusableKey: see :meth:`StaticKeys.from_secret`.
    """
    if not secret.strip():
        raise UnusableKey("the secret is empty or blank")
    if _is_key_material(secret):
        raise UnusableKey("the secret is the text of a key; a public key belongs into jwt.keys")
    try:
        octets = secret.encode()
    except UnicodeEncodeError:
        raise UnusableKey("the secret is not text in UTF-8") from None
    return symmetric_key(octets, algorithm)


def symmetric_key(octets: bytes, algorithm: str) -> VerificationKey:
    """The key that a shared secret is.

    :param octets: as many as the hash has, or more.
    :param algorithm: HS256, HS384 or HS512.
    :raises UnusableKey: there are fewer (:rfc:`7518#section-3.2`), or `algorithm` is another.
    """
    if not _is_symmetric(algorithm):
        raise UnusableKey("a secret serves HS256, HS384 or HS512")
    needed = ALGORITHMS[algorithm].hash_size
    if len(octets) < needed:
        raise UnusableKey(f"the secret is shorter than the {needed} octets that {algorithm} needs")
    return VerificationKey(None, algorithm, OctKey.import_key(octets))


def _shared_key(secret: str, algorithm: str, path: str) -> VerificationKey:
    try:
        return secret_key(secret, algorithm)
    except UnusableKey as reason:
        raise UnusableSecret.at(path, str(reason)) from None


def _algorithm_of_secret(algorithms: Collection[str] | None) -> str:
    if not algorithms:
        return "HS256"
    algorithm, *others = algorithms
    if others or not _is_symmetric(algorithm):
        raise Rejected.at("jwt.algorithms", "a secret serves one algorithm: give HS256, HS384 or HS512")
    return algorithm


def _is_symmetric(algorithm: str) -> bool:
    return algorithm in ALGORITHMS and ALGORITHMS[algorithm].key_type == "oct"


def _is_key_material(secret: str) -> bool:
    # Consoles show a public key as the inside of a PEM file, other tools encode it once more: all invite pasting.
    octets = secret.encode(errors="replace")
    return any(map(_is_key, (octets, _base64_decoded(octets), _hex_decoded(octets))))


def _is_key(octets: bytes) -> bool:
    return _KEY_MARK.search(octets) is not None or _loads_as_der(octets)


def _base64_decoded(text: bytes) -> bytes:
    """In either alphabet, with padding or without."""
    try:
        return base64.b64decode(text.translate(_FROM_BASE64URL) + b"==")
    except ValueError:
        return b""


def _hex_decoded(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii").replace(":", ""))
    except ValueError:
        return b""


def _loads_as_der(octets: bytes) -> bool:
    for load in _DER_LOADERS:
        try:
            load(octets)
        except ValueError:
            continue
        except (TypeError, UnsupportedAlgorithm):
            return True  # encrypted, or of a kind that is not supported, and a key all the same
        else:
            return True
    return False


def _read_entry(entry: Mapping[str, str]) -> VerificationKey:
    key_type, algorithm = entry.get("kty"), canonical(entry.get("alg", ""))
    if key_type not in ("RSA", "EC", "OKP", "OCT"):
        raise Rejected.at("kty", "must be RSA, EC, OKP or OCT")
    if algorithm not in ALGORITHMS:
        raise Rejected.at("alg", f"must be one of {', '.join(ALGORITHMS)}")
    if ALGORITHMS[algorithm].key_type.upper() != key_type:
        raise Rejected.at("alg", f"does not fit kty {key_type}")
    if key_type == "OCT":
        return _shared_key(_member(entry, "plain", "k"), algorithm, "k")
    pem = _member(entry, "PEM", "pub")
    try:
        return _public_key(pem, algorithm)
    except UnusableKey as reason:
        raise Rejected.at("pub", str(reason)) from None


def _member(entry: Mapping[str, str], form: str, member: str) -> str:
    if entry.get("format") != form:
        raise Rejected.at("format", f"must be {form} for kty {entry['kty']}")
    if member not in entry:
        raise Rejected.at(member, f"is required for kty {entry['kty']}")
    return entry[member]


def _public_key(pem: str, algorithm: str) -> VerificationKey:
    labels = _PEM_LABEL.findall(pem)
    if any("PRIVATE" in label for label in labels):
        raise UnusableKey("a private key does not belong here; give the public one")
    if len(labels) != 1 or labels[0] not in _PUBLIC_KEY_LABELS:
        raise UnusableKey("must be one public key in PEM, which begins with -----BEGIN PUBLIC KEY-----")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey("is not a public key in PEM") from None
    return VerificationKey(None, algorithm, _fitting(key, algorithm))


def _fitting(key: object, algorithm: str) -> Key:
    key_type = ALGORITHMS[algorithm].key_type
    if key_type == "RSA" and isinstance(key, RSAPublicKey):
        check_modulus(key.public_numbers().n)
        return RSAKey.import_key(key)
    if key_type == "EC" and isinstance(key, EllipticCurvePublicKey) and key.curve.name == _EC_CURVES[algorithm]:
        return ECKey.import_key(key)
    if key_type == "OKP" and isinstance(key, Ed25519PublicKey):
        return OKPKey.import_key(key)
    raise UnusableKey(f"the key does not fit {algorithm}")
