"""Secrets that everybody knows or can guess: an operator may write one, and nobody gets in by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from ..apps import SECRET, SECRET_ISSUER, Resource, introspector, policy
from ..conftest import MakeApp
from .target import Target, assert_refused, by_secret, claims, encoded, hmac_text, present, public_texts

DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def written_as_secret(secret: str, algorithm: str = "HS256") -> dict[str, object]:
    return {"iss": SECRET_ISSUER, "secret": secret, "algorithms": [algorithm]}


def written_as_key(secret: str, algorithm: str = "HS256") -> dict[str, object]:
    return {"iss": SECRET_ISSUER, "keys": [{"kty": "OCT", "alg": algorithm, "format": "plain", "k": secret}]}


Written = Callable[..., dict[str, object]]
PLACES = pytest.mark.parametrize("written", [written_as_secret, written_as_key], ids=["jwt.secret", "jwt.keys"])


@pytest.fixture
def app_with(make_app: MakeApp, target: Target) -> Callable[[dict[str, object]], Flask]:
    """Makes apps with an introspector for `SECRET_ISSUER`, and one for the target's issuer beside it."""

    def make(jwt: dict[str, object]) -> Flask:
        trusted: list[Resource] = [
            introspector("secret", None, jwt=jwt),
            introspector("first", None, jwt={"iss": target.issuer.issuer}, jwks_uri=target.issuer.jwks_uri),
        ]
        return make_app([*trusted, policy("all")])

    return make


def forged(secret: bytes, algorithm: str = "HS256") -> str:
    """What somebody signs who knows `secret`."""
    return hmac_text(f"{encoded({'alg': algorithm})}.{encoded(claims(SECRET_ISSUER))}", secret, DIGESTS[algorithm])


@PLACES
@pytest.mark.parametrize(("algorithm", "octets"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_as_long_as_the_hash_lets_in(
    app_with: Callable[..., Flask], written: Written, algorithm: str, octets: int
) -> None:
    secret = SECRET * 2

    app = app_with(written(secret[:octets], algorithm))

    assert present(app, f"Bearer {forged(secret[:octets].encode(), algorithm)}").status_code == 200
    assert_refused(present(app, f"Bearer {forged(secret[: octets - 1].encode(), algorithm)}"))


WEAK: dict[str, Any] = {
    "empty": "",
    "a space": " ",
    "blank": " " * 64,
    "blank in Unicode": "\u00a0\u2003" * 32,
    "line ends": "\r\n\t" * 30,
    "one octet too short": "s" * 31,
    "characters that are not octets": "\u00e4" * 15,
    "a password": "secret",
}


@PLACES
@pytest.mark.parametrize("secret", WEAK.values(), ids=WEAK.keys())
def test_a_weak_secret_lets_nobody_in_and_leaves_the_others_alone(
    app_with: Callable[..., Flask], target: Target, written: Written, secret: str
) -> None:
    app = app_with(written(secret))

    answer = present(app, f"Bearer {forged(secret.encode())}")

    assert answer.status_code == 503
    assert present(app, f"Bearer {target.sign()}").status_code == 200


@PLACES
@pytest.mark.parametrize(("algorithm", "octets"), [("HS384", 47), ("HS512", 63)])
def test_a_secret_shorter_than_a_longer_hash_lets_nobody_in(
    app_with: Callable[..., Flask], target: Target, written: Written, algorithm: str, octets: int
) -> None:
    secret = (SECRET * 2)[:octets]

    app = app_with(written(secret, algorithm))

    assert present(app, f"Bearer {forged(secret.encode(), algorithm)}").status_code == 503
    assert present(app, f"Bearer {target.sign()}").status_code == 200


@PLACES
@pytest.mark.parametrize(
    "form",
    [
        *("PEM", "PEM without the last line end", "PEM with CR LF", "PEM in one line", "DER in base64"),
        *("JWK", "compact JWK", "sorted JWK", "JWK set", "PKCS #1 in PEM", "SSH"),
    ],
)
def test_a_public_key_written_as_a_secret_lets_nobody_in(
    app_with: Callable[..., Flask], target: Target, written: Written, form: str
) -> None:
    public = public_texts(target.key())[form]

    app = app_with(written(public.decode()))

    # Nothing can be said of tokens of that issuer, so one that was forged is no worse than a good one.
    assert present(app, f"Bearer {forged(public)}").status_code == 503
    assert present(app, f"Bearer {target.sign()}").status_code == 200


@pytest.mark.parametrize("secret", ["", " ", "secret", "s" * 31, SECRET[:-1], SECRET + "\n", SECRET.upper()])
@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_token_signed_with_a_guess_is_refused(target: Target, secret: str, algorithm: str) -> None:
    target.lets_in(by_secret())

    target.refuses(forged(secret.encode(), algorithm))
