"""A key that verifies, what it may verify, and the seam to where keys come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

MIN_RSA_BITS = 2048
"""A shorter modulus is refused (:rfc:`7518#section-3.3`)."""


class Algorithm(NamedTuple):
    """What a signature algorithm demands of its key.

    :param key_type: `kty` (:rfc:`7518#section-6.1`).
    :param curve: `crv`, for elliptic curves.
    :param hash_size: octets of the hash, which a symmetric key must have at least (:rfc:`7518#section-3.2`).
    """

    key_type: str
    curve: str | None
    hash_size: int


ALGORITHMS: Mapping[str, Algorithm] = {
    "RS256": Algorithm("RSA", None, 32),
    "RS384": Algorithm("RSA", None, 48),
    "RS512": Algorithm("RSA", None, 64),
    "PS256": Algorithm("RSA", None, 32),
    "PS384": Algorithm("RSA", None, 48),
    "PS512": Algorithm("RSA", None, 64),
    "ES256": Algorithm("EC", "P-256", 32),
    "ES384": Algorithm("EC", "P-384", 48),
    "ES512": Algorithm("EC", "P-521", 64),
    "Ed25519": Algorithm("OKP", "Ed25519", 64),
    "HS256": Algorithm("oct", None, 32),
    "HS384": Algorithm("oct", None, 48),
    "HS512": Algorithm("oct", None, 64),
}
"""Every algorithm there is, by its name."""

_PKCS1: Final = PKCS1v15()
_PKCS1_HASHES: Final[Mapping[str, HashAlgorithm]] = {"RS256": SHA256(), "RS384": SHA384(), "RS512": SHA512()}

_OLD_NAMES = {"EdDSA": "Ed25519"}

# CVE-2017-15361: a family of chips made moduli whose remainders are all powers of 65537, and which can be factored.
_ROCA_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA_REMAINDERS = {prime: {pow(65537, power, prime) for power in range(prime)} for prime in _ROCA_PRIMES}


class UnusableKey(Exception):
    """A key that must not verify anything; the text is the reason, fixed and without a part of the key."""


@dataclass(slots=True, eq=False)
class VerificationKey:
    """One key that serves one algorithm (:rfc:`8725#section-3.1`); what a verified token rests on.

    :param key_id: `kid`, if it has one.
    :param algorithm: a name in :data:`ALGORITHMS`.
    :param withdrawn: set once its source does not offer it any more.
    """

    key_id: str | None
    algorithm: str
    key: Key = field(repr=False)
    withdrawn: bool = False
    _public_key: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._public_key = self.key.get_op_key("verify")

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether this key made `signature` over `signing_input`."""
        pkcs1_hash = _PKCS1_HASHES.get(self.algorithm)
        if pkcs1_hash is None:
            # It knows how long a signature of ECDSA must be, and what PSS is to be salted with.
            return JWSRegistry.algorithms[self.algorithm].verify(signing_input, signature, self.key)
        # Most tokens are signed so, and in a request that object would add 1.7 µs to these 20.
        try:
            self._public_key.verify(signature, signing_input, _PKCS1, pkcs1_hash)
        except InvalidSignature:
            return False
        return True


class KeySource(Protocol):
    """Knows the keys of one issuer."""

    def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the keys that could have made a signature, in the order in which to try them.

        :param key_id: the token's `kid`; without one, every key that serves `algorithm` is a candidate.
        :param algorithm: the token's `alg`.
        :raises ProviderUnavailable: the keys cannot be had.
        """

    @property
    def serves_until(self) -> float:
        """When the keys found now serve no more unless they are renewed, in seconds since the epoch; infinite: they
        stand as they are.
        """


class KeyIndex:
    """Keys filed under what a token's header says of them.

    :param keys: in the order in which they are to be tried.
    """

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        self._keys: dict[tuple[str | None, str], list[VerificationKey]] = {}
        for key in keys:
            for name in spellings(key.algorithm):
                for key_id in {key.key_id, None}:
                    self._keys.setdefault((key_id, name), []).append(key)

    def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        return self._keys.get((key_id, algorithm), ())


def check_modulus(modulus: int) -> None:
    """Let the modulus of an RSA key pass.

    :raises UnusableKey: it is shorter than :data:`MIN_RSA_BITS`, or known to be weak.
    """
    if modulus.bit_length() < MIN_RSA_BITS:
        raise UnusableKey(f"an RSA key of less than {MIN_RSA_BITS} bits")
    if all(modulus % prime in remainders for prime, remainders in _ROCA_REMAINDERS.items()):
        raise UnusableKey("an RSA key that can be factored (ROCA)")


def canonical(name: str) -> str:
    """The name in :data:`ALGORITHMS` for one that may be older: `EdDSA` is now `Ed25519` (:rfc:`9864#section-2.2`)."""
    return _OLD_NAMES.get(name, name)


def spellings(algorithm: str) -> frozenset[str]:
    """Every name under which a token may ask for `algorithm`."""
    return frozenset([algorithm, *(old for old, new in _OLD_NAMES.items() if new == algorithm)])
