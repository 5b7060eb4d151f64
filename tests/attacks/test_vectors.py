"""Published attacks by HTTP: none is let in, and the app neither fails nor forgets whom to let in.

Their payloads are no claims, so every text is refused, be its signature right or wrong; what is judged here besides are
their keys, by tokens that are signed with them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from flask import Flask
from joserfc.jwk import JWKRegistry

from .. import vectors
from ..apps import protected
from ..conftest import MakeApp
from ..introspection.provider import Provider, running
from ..introspection.signing import jwk, key_for
from ..introspection.test_cookbook import examples
from ..introspection.test_wycheproof import every
from .target import assert_refused, claims, encoded, present, sign_text, trusting

B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
HEALTHY = "healthy"

Jwk = dict[str, Any]


class Served(NamedTuple):
    """An app, and the provider whose keys it trusts."""

    app: Flask
    provider: Provider

    def refuses(self, text: str) -> None:
        """Hold the app to refusing `text`, and to letting in a good token all the same."""
        asked = self.provider.requests
        answer = present(self.app, f"Bearer {text}")
        # HTTP cannot carry every text.
        assert_refused(answer, 401 if B64TOKEN.fullmatch(text) else 400)
        assert self.provider.requests == asked
        self.lets_in(key_for("RS256"), "RS256", HEALTHY)

    def lets_in(self, key: Any, algorithm: str, kid: str | None) -> None:
        text = f"{encoded({'alg': algorithm, 'kid': kid})}.{encoded(claims(self.provider.url))}"
        answer = present(self.app, f"Bearer {sign_text(text, algorithm, key)}")
        assert answer.status_code == 200, answer.text


@contextmanager
def serving(folder: Path, keys: list[Jwk]) -> Iterator[Served]:
    """An app that trusts `keys` and a healthy one, and knows them all."""
    with running(Provider(*keys, jwk("RS256", HEALTHY))) as provider:
        app = Flask("clinic", root_path=str(folder), instance_path=str(folder / "instance"))
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        served = Served(protected(app, trusting(provider)), provider)
        served.lets_in(key_for("RS256"), "RS256", HEALTHY)
        yield served
        assert provider.requests == 1


# ---- Wycheproof


def wycheproof_texts() -> Iterator[pytest.ParameterSet]:
    for name in (vectors.WYCHEPROOF_SIGNATURES, vectors.WYCHEPROOF_KEYS):
        for number, vector in every(name):
            yield pytest.param(vector.token, id=f"{'key' if 'key' in name else 'signature'} {number}")


def wycheproof_keys() -> Iterator[pytest.ParameterSet]:
    """Each public key with the private one, the header of the first text that it is for, and whether it may serve."""
    for name in (vectors.WYCHEPROOF_SIGNATURES, vectors.WYCHEPROOF_KEYS):
        judged = dict(every(name))
        for group in vectors.read(name)["testGroups"]:
            if "public" in group:
                number = str(group["tests"][0]["tcId"])
                vector = judged[number]
                head = json.loads(base64.urlsafe_b64decode(vector.token.partition(".")[0] + "=="))
                case = only(group["public"]), only(group["private"]), head, vector.valid
                yield pytest.param(case, id=f"{'key' if 'key' in name else 'signature'} {number}")


def only(key: Jwk) -> Jwk:
    """The key itself, where the file has it in a set."""
    return key["keys"][0] if "keys" in key else key


@pytest.fixture(scope="module")
def wycheproof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    keys = [case.values[0][0] for case in wycheproof_keys()]
    with serving(tmp_path_factory.mktemp("wycheproof"), keys) as served:
        yield served


@pytest.mark.parametrize("text", vectors.cases("wycheproof", wycheproof_texts))
def test_a_text_of_wycheproof_is_refused(wycheproof: Served, text: str) -> None:
    wycheproof.refuses(text)


@pytest.mark.parametrize("case", vectors.cases("wycheproof keys", wycheproof_keys))
def test_a_key_of_wycheproof_lets_in_whom_it_should(make_app: MakeApp, case: tuple[Jwk, Jwk, Jwk, bool]) -> None:
    public, private, head, may_serve = case
    with running(Provider(public, jwk("RS256", HEALTHY))) as provider:
        served = Served(make_app(trusting(provider)), provider)
        text = f"{encoded(head)}.{encoded(claims(provider.url))}"

        answer = present(served.app, f"Bearer {text}.{encoded(signature_of(text, head['alg'], private))}")

        if may_serve:
            assert answer.status_code == 200
        else:
            assert_refused(answer)
        served.lets_in(key_for("RS256"), "RS256", HEALTHY)
        assert provider.requests == 1


def signature_of(text: str, algorithm: str, jwk: Jwk) -> bytes:
    """What the holder of the private `jwk` would sign, however unfit that is, so that no library does."""
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]
    if algorithm.startswith("ES"):
        curve, size = {"256": (ec.SECP256R1(), 32), "512": (ec.SECP521R1(), 66)}[algorithm[2:]]
        private = ec.derive_private_key(number(jwk["d"]), curve)
        r, s = utils.decode_dss_signature(private.sign(text.encode(), ec.ECDSA(digest)))
        return r.to_bytes(size) + s.to_bytes(size)
    n, d = number(jwk["n"]), number(jwk["d"])
    if algorithm.startswith("PS"):
        e, p, q, dp, dq, qi = (number(jwk[name]) for name in ("e", "p", "q", "dp", "dq", "qi"))
        key = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n)).private_key()
        return key.sign(text.encode(), padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    # RFC 8017, section 9.2: DER of the hash's name, and the hash.
    name = {
        "256": "0d060960864801650304020105000420",
        "384": "0d060960864801650304020205000430",
        "512": "0d060960864801650304020305000440",
    }[algorithm[2:]]
    size = digest.digest_size
    told = bytes([0x30, size + 17, 0x30]) + bytes.fromhex(name) + hashlib.new(digest.name, text.encode()).digest()
    octets = (n.bit_length() + 7) // 8
    block = b"\x00\x01" + b"\xff" * (octets - len(told) - 3) + b"\x00" + told
    return pow(int.from_bytes(block), d, n).to_bytes(octets)


def number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=="))


# ---- cookbook


def cookbook_texts() -> Iterator[pytest.ParameterSet]:
    for name, example in examples():
        for form, output in example["output"].items():
            text = output if isinstance(output, str) else json.dumps(output)
            yield pytest.param(text, id=f"{name} {form}")


def cookbook_keys() -> Iterator[pytest.ParameterSet]:
    """The asymmetric keys of the examples, each once with its algorithm."""
    keys = {}
    for _name, example in examples():
        described, algorithms = example["input"]["key"], example["input"]["alg"]
        several = zip(described, algorithms, strict=True) if isinstance(described, list) else [(described, algorithms)]
        keys |= {algorithm: key for key, algorithm in several if key["kty"] != "oct"}
    for algorithm, key in keys.items():
        yield pytest.param((key, algorithm), id=algorithm)


def published(key: Jwk, algorithm: str) -> Jwk:
    return {**JWKRegistry.import_key(key).as_dict(private=False), "alg": algorithm, "kid": f"of {algorithm}"}


@pytest.fixture(scope="module")
def cookbook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    keys = [published(*case.values[0]) for case in cookbook_keys()]
    with serving(tmp_path_factory.mktemp("cookbook"), keys) as served:
        yield served


@pytest.mark.parametrize("text", vectors.cases("cookbook", cookbook_texts))
def test_a_text_of_the_cookbook_is_refused(cookbook: Served, text: str) -> None:
    cookbook.refuses(text)


@pytest.mark.parametrize("case", vectors.cases("cookbook keys", cookbook_keys))
def test_a_key_of_the_cookbook_lets_in(cookbook: Served, case: tuple[Jwk, str]) -> None:
    key, algorithm = case

    # EdDSA has another name since RFC 9864.
    for name in {"EdDSA": ("EdDSA", "Ed25519")}.get(algorithm, (algorithm,)):
        cookbook.lets_in(JWKRegistry.import_key(key), name, f"of {algorithm}")
