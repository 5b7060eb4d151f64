"""The issuer's keys: they sign, they are served, they are rotated."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping

from joserfc import jwt
from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, Key, KeySet, KeySetSerialization, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, serialize_compact

ALGORITHMS = ("RS256", "ES256", "EdDSA")


class SigningKeys:
    """One key for each of :data:`ALGORITHMS`, and those that they replaced.

    Both tuples hold the newest first and are only ever replaced, so that reading them takes no lock.
    """

    def __init__(self) -> None:
        self._rotating = threading.Lock()
        self._every = self._served = _generate()

    def rotate(self, *, keep: bool) -> None:
        """Make new keys; `keep` says whether those served so far go on being served."""
        fresh = _generate()
        with self._rotating:
            self._served = fresh + self._served if keep else fresh
            self._every = fresh + self._every

    def find(self, algorithm: str, key_id: str | None = None) -> Key:
        """The newest key for `algorithm`, or the one called `key_id`, even if it is served no more.

        :raises ValueError: there is none.
        """
        for key in self._every:
            if key.alg == algorithm and key_id in (None, key.kid):
                return key
        raise ValueError(f"the issuer has no {algorithm} key{f' called {key_id}' if key_id else ''}; pass `key`")

    def served(self) -> KeySetSerialization:
        """The JWK Set (:rfc:`7517#section-5`): public parts only."""
        return KeySet(list(self._served)).as_dict(private=False)

    def verify(self, token: str) -> Mapping[str, object]:
        """The claims of a token that a served key signed and whose times hold.

        :raises JoseError: it is not that (or :exc:`ValueError`, when it is not a token at all).
        """
        claims = jwt.decode(token, KeySet(list(self._served)), registry=_Verifying()).claims
        jwt.JWTClaimsRegistry(exp={"essential": True}).validate(claims)
        return claims


def sign(claims: Mapping[str, object], headers: Mapping[str, object], key: Key | None) -> str:
    """A compact JWS of `claims` under `headers`, which are taken as they are; no `key` for ``"none"``."""
    return serialize_compact(dict(headers), json.dumps(claims, separators=(",", ":")), key, registry=_Signing())


def _generate() -> tuple[Key, ...]:
    return (
        RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True),
        ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True),
        OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "EdDSA"}, auto_kid=True),
    )


class _Signing(JWSRegistry):
    """Signs what no honest issuer would, since refusing it is what gets tested."""

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name]

    def check_header(self, header: Mapping[str, object]) -> None:
        """Unknown, critical and misshapen parameters pass."""


class _Verifying(JWSRegistry):
    """Takes the issuer's algorithms, without the warning that EdDSA has a new name (:rfc:`9864`)."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]
