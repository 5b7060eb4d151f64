"""The algorithm comes from the keys: a token that names another one, or none, is refused (RFC 8725, section 3.1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ..apps import AUDIENCE, SECRET, SECRET_ISSUER, introspector, policy
from ..conftest import MakeApp
from ..introspection.provider import Provider, running
from ..introspection.signing import jwk, key_for
from .target import (
    Target,
    assert_refused,
    by_secret,
    claims,
    encoded,
    hmac_text,
    present,
    public_texts,
    sign_text,
    trusting,
)

ASYMMETRIC = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def current(algorithm: str) -> str:
    """The name that `algorithm` has now (RFC 9864, section 2.2)."""
    return algorithm.replace("EdDSA", "Ed25519")


# ---- what is let in


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "Ed25519"])
@pytest.mark.parametrize("head", [{}, {"kid": None}, {"typ": None}, {"typ": "at+jwt"}])
def test_a_good_token_is_let_in(target: Target, algorithm: str, head: dict[str, Any]) -> None:
    target.lets_in(target.sign(target.header(algorithm, **head), algorithm=algorithm))


def test_a_token_signed_with_the_secret_is_let_in(target: Target) -> None:
    target.lets_in(by_secret())


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_secret_serves_the_algorithm_that_its_resource_names_and_no_other(make_app: MakeApp, algorithm: str) -> None:
    jwt = {"iss": SECRET_ISSUER, "secret": SECRET * 2, "algorithms": [algorithm]}
    app = make_app([introspector("secret", None, jwt=jwt), policy("all")])
    parts = {name: f"{encoded({'alg': name})}.{encoded(claims(SECRET_ISSUER))}" for name in DIGESTS}

    answers = {
        name: present(app, f"Bearer {hmac_text(parts[name], (SECRET * 2).encode(), digest)}")
        for name, digest in DIGESTS.items()
    }

    assert answers.pop(algorithm).status_code == 200
    for answer in answers.values():
        assert_refused(answer)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """One with a key for each algorithm there is."""
    with running(Provider(*(jwk(algorithm) for algorithm in ASYMMETRIC if algorithm != "EdDSA"))) as provider:
        yield provider


def token_of(provider: Provider, algorithm: str, kid: str | None = None) -> str:
    head = {"alg": algorithm, "kid": current(kid or algorithm)}
    return sign_text(f"{encoded(head)}.{encoded(claims(provider.url))}", algorithm, key_for(algorithm))


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_key_serves_its_own_algorithm_and_no_other(make_app: MakeApp, provider: Provider, algorithm: str) -> None:
    app = make_app(trusting(provider))
    assert present(app, f"Bearer {token_of(provider, algorithm)}").status_code == 200
    asked = provider.requests

    for kid in {*map(current, ASYMMETRIC)} - {current(algorithm)}:
        assert_refused(present(app, f"Bearer {token_of(provider, algorithm, kid)}"))

    assert provider.requests == asked


def test_only_algorithms_that_the_resource_names_are_let_in(make_app: MakeApp, provider: Provider) -> None:
    app = make_app(trusting(provider, algorithms=["PS256", "EdDSA"]))

    answers = {name: present(app, f"Bearer {token_of(provider, name)}") for name in ASYMMETRIC}

    assert [name for name, answer in answers.items() if answer.status_code == 200] == ["PS256", "EdDSA", "Ed25519"]
    for answer in answers.values():
        if answer.status_code != 200:
            assert_refused(answer)


# ---- none, and what does not exist

NONE = [
    *("none", "None", "NONE", "nOnE", "nonE", " none", "none ", "none\x00", "n\u043ene", "", "null", "undefined", "0"),
    *(["none"], ["RS256"], ["RS256", "none"], {"none": 1}, {"RS256": 1}, 0, 256, True, False, 1e300),
]
UNKNOWN = [
    *("rs256", "RS256 ", " RS256", "RS256\x00", "RS1", "RS257", "HS1", "HS255", "SHA256", "HMAC"),
    *("ES256K", "ES224", "ES521", "Ed448", "ed25519", "ML-DSA-44", "RSA1_5", "RSA-OAEP", "dir", "A256KW", "A256GCM"),
    *("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "../../dev/null", "__proto__", "RS256,none"),
]


@pytest.mark.parametrize("algorithm", NONE, ids=ascii)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("head", [{}, {"kid": None}])
def test_none_in_any_spelling_is_refused(
    target: Target, algorithm: object, signed: bool, head: dict[str, object]
) -> None:
    text, _, signature = target.sign(target.header(**{**head, "alg": algorithm})).rpartition(".")

    target.refuses(f"{text}.{signature if signed else ''}")


@pytest.mark.parametrize("head", [{}, {"kid": None}, {"typ": "none"}])
def test_no_algorithm_at_all_is_refused(target: Target, head: dict[str, object]) -> None:
    text, _, signature = target.sign(target.header(**{**head, "alg": None})).rpartition(".")

    target.refuses(f"{text}.{signature}")
    target.refuses(f"{text}.")


def test_null_is_no_algorithm(target: Target) -> None:
    target.refuses(target.sign(json.dumps({**target.header(), "alg": None}).encode()))


@pytest.mark.parametrize("algorithm", UNKNOWN)
def test_an_algorithm_that_is_not_known_is_refused(target: Target, algorithm: str) -> None:
    target.refuses(target.sign(target.header(alg=algorithm)))


def test_an_unsigned_token_of_an_issuer_with_a_secret_is_refused(target: Target) -> None:
    for algorithm in ("none", "HS256", "RS256"):
        text = f"{encoded({'alg': algorithm})}.{encoded(claims(SECRET_ISSUER))}"
        target.refuses(f"{text}.")
        target.refuses(hmac_text(text, b""))


@pytest.mark.parametrize("algorithm", [*NONE, *UNKNOWN, *ASYMMETRIC, "HS384", "HS512"], ids=ascii)
def test_another_name_over_a_good_hmac_is_refused(target: Target, algorithm: object) -> None:
    target.lets_in(by_secret({"alg": "HS256"}))

    target.refuses(by_secret({"alg": algorithm}))


# ---- the public key taken for a secret


@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("algorithm", DIGESTS)
@pytest.mark.parametrize("named", [True, False], ids=["with kid", "without kid"])
def test_the_public_key_is_no_secret(target: Target, kind: str, algorithm: str, named: bool) -> None:
    head = {"alg": algorithm, "typ": "JWT", **({"kid": target.key(kind).kid} if named else {})}
    text = f"{encoded(head)}.{encoded(target.claims())}"
    target.lets_in(target.sign(algorithm=kind))

    for form in public_texts(target.key(kind)).values():
        target.refuses(hmac_text(text, form, DIGESTS[algorithm]))


def test_the_public_key_is_no_secret_even_where_symmetric_ones_are_asked_for(make_app: MakeApp, target: Target) -> None:
    asked = {"iss": target.issuer.issuer, "algorithms": ["HS256", "RS256"]}
    app = make_app([introspector("first", None, jwt=asked, jwks_uri=target.issuer.jwks_uri), policy("all")])
    text = f"{encoded({'alg': 'HS256', 'kid': target.key().kid})}.{encoded(target.claims())}"
    assert present(app, f"Bearer {target.sign()}").status_code == 200

    for form in public_texts(target.key()).values():
        assert_refused(present(app, f"Bearer {hmac_text(text, form)}"))


# ---- a key used for what it is not for


@pytest.mark.parametrize("head", [{}, {"kid": None}])
@pytest.mark.parametrize("algorithm", ["PS256", "PS384", "PS512", "RS384", "RS512"])
def test_a_key_for_rs256_serves_no_other_algorithm_of_rsa(
    target: Target, algorithm: str, head: dict[str, object]
) -> None:
    target.refuses(target.sign(target.header(**{**head, "alg": algorithm}), algorithm=algorithm))


@pytest.mark.parametrize(
    ("signed", "called"),
    [(one, other) for one in ("RS256", "ES256", "EdDSA") for other in ASYMMETRIC if current(one) != current(other)],
)
def test_a_signature_under_the_name_of_another_algorithm_is_refused(target: Target, signed: str, called: str) -> None:
    for kid in (target.key(signed).kid, target.key(called).kid, None):
        target.refuses(target.sign(target.header(signed, alg=called, kid=kid), algorithm=signed))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_an_asymmetric_signature_does_not_pass_where_a_secret_is(target: Target, algorithm: str) -> None:
    body = claims(SECRET_ISSUER, aud=AUDIENCE)

    target.refuses(target.sign(body=body, algorithm=algorithm))
    target.refuses(target.sign(target.header(algorithm, alg="HS256"), body, algorithm))
