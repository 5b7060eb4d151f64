"""What is attacked: an app that lets in every token it can verify, and providers that count who asks them what."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, request
from joserfc.jwk import Key, RSAKey
from joserfc.jws import JWSRegistry
from werkzeug.test import TestResponse

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer

from .. import challenges
from ..apps import AUDIENCE, SECRET, SECRET_ISSUER, Resource, introspector, policy, protected, provider, users_in
from ..introspection.provider import Provider
from ..introspection.signing import encoded

Part = Mapping[str, object] | bytes
Members = dict[str, Any]

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""Of base64url, in the order of the values."""

ERRORS = {400: "invalid_request", 401: "invalid_token"}
"""What a refusal says by its status (RFC 6750, section 3.1)."""


class Target:
    """An app that trusts two issuers, each with keys for RS256, ES256 and EdDSA, and a third that signs with a secret.

    Whoever is let in becomes a user, so a token that is believed leaves a trace: the app asks for userinfo.

    :param issuer: the one whose tokens are forged.
    :param other: one that is trusted as well, and for its own tokens only.
    """

    def __init__(self, app: Flask, issuer: Issuer, other: Issuer) -> None:
        self.app = app
        self.issuer = issuer
        self.other = other

    @property
    def asked(self) -> Counter[str]:
        """How often the providers were asked, by endpoint."""
        return self.issuer.requests + self.other.requests

    def header(self, algorithm: str = "RS256", **changes: object) -> Members:
        """The header of a good token; a member that is `None` is left out."""
        good = {"alg": algorithm, "typ": "JWT", "kid": self.key(algorithm).kid}
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def claims(self, **changes: object) -> Members:
        """The claims of a good token; a member that is `None` is left out."""
        return claims(self.issuer.issuer, **changes)

    def key(self, algorithm: str = "RS256") -> Key:
        """The issuer's key that serves `algorithm`, or the RSA key where none does."""
        name = {"Ed25519": "EdDSA"}.get(algorithm, algorithm)
        return self.issuer.keys.find(name if name in ("RS256", "ES256", "EdDSA") else "RS256")

    def sign(
        self, head: Part | None = None, body: Part | None = None, algorithm: str = "RS256", key: Key | None = None
    ) -> str:
        """A token of `head` and `body`, signed with `algorithm` whatever `head` says; without `key` by the issuer."""
        head = self.header(algorithm) if head is None else head
        body = self.claims() if body is None else body
        return sign_text(f"{encoded(head)}.{encoded(body)}", algorithm, key or self.key(algorithm))

    def lets_in(self, token: str, **options: Any) -> None:
        """Hold the app to letting `token` in."""
        answer = present(self.app, f"Bearer {token}", **options)
        assert answer.status_code == 200, answer.text

    def refuses(self, token: str, status: int = 401, **options: Any) -> TestResponse:
        """Hold the app to refusing `token`: see :meth:`refuses_header`."""
        return self.refuses_header(f"Bearer {token}", status, **options)

    def refuses_header(self, authorization: str, status: int = 400, **options: Any) -> TestResponse:
        """Hold the app to refusing a request with `status`, asking no provider, and making no user.

        :return: the answer.
        """
        asked, users = self.asked, users_in(self.app)
        answer = present(self.app, authorization, **options)
        assert_refused(answer, status)
        assert self.asked == asked, "a refused token made the app ask a provider"
        assert users_in(self.app) == users, "a refused token left a user behind"
        return answer


def present(app: Flask, authorization: str, path: str = "/patients", **options: Any) -> TestResponse:
    """The answer to a request whose header says `authorization`, which may hold what no client would send."""
    environ = {"HTTP_AUTHORIZATION": authorization}
    return app.test_client().open(path, environ_overrides=environ, buffered=True, **options)


def assert_refused(answer: TestResponse, status: int = 401) -> None:
    """Hold an answer to `status`, and to the challenge and body that belong to it (RFC 6750, section 3)."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    challenge = challenges.bearer(answer)
    assert challenge["error"] == answer.json["error"] == ERRORS[status]
    assert challenge["error_description"] == answer.json["error_description"]
    assert answer.headers["Cache-Control"] == "no-store"


@contextmanager
def attacked(folder: Path) -> Iterator[Target]:
    """A target whose keys are known to the app."""
    with Issuer() as issuer, Issuer() as other:
        app = Flask("clinic", root_path=str(folder), instance_path=str(folder / "instance"))
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        secret = [
            provider("secret"),
            introspector("secret", "secret", jwt={"iss": SECRET_ISSUER, "secret": SECRET}),
        ]
        trusted = [*asking_for_userinfo(issuer, "first"), *asking_for_userinfo(other, "second"), *secret]
        somebody = policy("somebody", {"jwt": {"sub": "present?"}})
        target = Target(protected(app, [*trusted, somebody]), issuer, other)
        app.add_url_rule("/body", view_func=require_policy(body), methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
        for known in (issuer, other):
            target.lets_in(known.token(sub="ann"))
        yield target
        for known in (issuer, other):
            target.lets_in(known.token(sub="ann"))


def body() -> bytes | str:
    """A view that returns the body where the query says ``read``, and leaves it alone otherwise."""
    return request.get_data() if "read" in request.args else "left alone"


def asking_for_userinfo(issuer: Issuer, name: str) -> list[Resource]:
    """`issuer` trusted, and asked for its userinfo about whoever is let in."""
    endpoints = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": issuer.userinfo_endpoint}
    return [
        provider(name, **endpoints),
        introspector(f"{name}-jwt", name, jwt={"iss": issuer.issuer}, jwks_uri=issuer.jwks_uri),
    ]


def trusting(provider: Provider, **jwt: object) -> list[Resource]:
    """`provider` trusted, as an issuer by the name of its address; `jwt` adds to the introspector's."""
    return [introspector("it", None, jwt={"iss": provider.url, **jwt}, jwks_uri=provider.url), policy("all")]


def claims(issuer: str, **changes: object) -> Members:
    """The claims of a good token of `issuer`; a member that is `None` is left out."""
    now = int(time.time())
    good = {"iss": issuer, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300, "jti": "1"}
    good |= {"azp": "my-client", "client_id": "my-client", "scope": "openid"}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def with_text(members: Mapping[str, object], text: str, *, before: bool) -> bytes:
    """`members` as JSON, and `text`, which holds more of them, before or behind."""
    body = json.dumps(members)[1:-1]
    return f"{{{text}, {body}}}".encode() if before else f"{{{body}, {text}}}".encode()


def sign_text(text: str, algorithm: str, key: Key) -> str:
    """`text` and a signature that is right for it, be it two parts of a token or something else."""
    signature = JWSRegistry.algorithms[algorithm].sign(text.encode(), key)
    return f"{text}.{encoded(signature)}"


def hmac_text(text: str, secret: bytes, digest: str = "sha256") -> str:
    """`text` and its HMAC under whatever `secret`, which no library would take for one."""
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), digest))}"


def by_secret(head: Part | None = None, body: Part | None = None, secret: str = SECRET) -> str:
    """A token of :data:`~tests.apps.SECRET_ISSUER` signed with `secret`, by default one that is let in."""
    head = {"alg": "HS256", "typ": "JWT"} if head is None else head
    body = claims(SECRET_ISSUER) if body is None else body
    return hmac_text(f"{encoded(head)}.{encoded(body)}", secret.encode())


def public_texts(key: Key) -> dict[str, bytes]:
    """The forms in which anybody can have the public part of `key`, and a careless library might use as a secret."""
    described: Any = key.as_dict(private=False)
    number = described.get("n", described.get("x"))
    pem, der = key.as_pem(private=False), key.as_der(private=False)
    texts = {
        "PEM": pem,
        "PEM without the last line end": pem.strip(),
        "PEM with CR LF": pem.replace(b"\n", b"\r\n"),
        "PEM in one line": b"".join(pem.splitlines()),
        "DER": der,
        "DER in base64": base64.b64encode(der),
        "JWK": json.dumps(described).encode(),
        "compact JWK": json.dumps(described, separators=(",", ":")).encode(),
        "sorted JWK": json.dumps(described, separators=(",", ":"), sort_keys=True).encode(),
        "JWK set": json.dumps({"keys": [described]}).encode(),
        "its number": number.encode(),
        "its number, decoded": base64.urlsafe_b64decode(number + "=="),
        "thumbprint": key.thumbprint().encode(),
        "kid": str(key.kid).encode(),
    }
    if isinstance(key, RSAKey):
        public = key.public_key
        texts["PKCS #1 in PEM"] = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        texts["PKCS #1 in DER"] = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        texts["SSH"] = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return texts
