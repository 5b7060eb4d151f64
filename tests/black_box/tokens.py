"""What the tests of tokens are made of: keys, tokens signed by hand, and servers that answer whatever a test wants."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from werkzeug.serving import make_server
from werkzeug.test import TestResponse
from werkzeug.wrappers import Request, Response

from ..apps import AUDIENCE, Resource, ask, introspector, policy, provider
from .publishing import Quiet

ISSUER = "https://issuer.example"
OPAQUE = "a-token-that-says-nothing-itself"

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES: Mapping[str, tuple[type[ec.EllipticCurve], int]] = {
    "P-256": (ec.SECP256R1, 32),
    "P-384": (ec.SECP384R1, 48),
    "P-521": (ec.SECP521R1, 66),
}
CURVE_OF = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

Answer = Callable[[Request], object]


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@cache
def made(kind: str, name: str, size: int = 2048) -> Any:
    """One key for each name, made when it is first asked for."""
    if kind in CURVES:
        return ec.generate_private_key(CURVES[kind][0]())
    return ed25519.Ed25519PrivateKey.generate() if kind == "Ed25519" else rsa.generate_private_key(65537, size)


def rsa_key(name: str = "first", size: int = 2048) -> rsa.RSAPrivateKey:
    return made("RSA", name, size)


def ec_key(curve: str = "P-256", name: str = "first") -> ec.EllipticCurvePrivateKey:
    return made(curve, name)


def ed_key(name: str = "first") -> ed25519.Ed25519PrivateKey:
    return made("Ed25519", name)


def key_for(algorithm: str, name: str = "first") -> Any:
    if algorithm in CURVE_OF:
        return ec_key(CURVE_OF[algorithm], name)
    return ed_key(name) if algorithm in {"EdDSA", "Ed25519"} else rsa_key(name)


def octets(number: int, length: int | None = None) -> str:
    return b64(number.to_bytes(length or (number.bit_length() + 7) // 8, "big"))


def jwk(key: Any, kid: str | None = "first", **members: object) -> dict[str, object]:
    """The public half of `key`; a member that is None is left out."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        body: dict[str, object] = {"kty": "RSA", "n": octets(numbers.n), "e": octets(numbers.e)}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        curve = next(name for name, (kind, _) in CURVES.items() if isinstance(public.curve, kind))
        point, length = public.public_numbers(), CURVES[curve][1]
        body = {"kty": "EC", "crv": curve, "x": octets(point.x, length), "y": octets(point.y, length)}
    else:
        curve = "Ed448" if isinstance(public, ed448.Ed448PublicKey) else "Ed25519"
        body = {"kty": "OKP", "crv": curve, "x": b64(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
    return {name: value for name, value in {"kid": kid, **body, **members}.items() if value is not None}


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def signature(algorithm: str, key: Any, signed: bytes) -> bytes:
    if algorithm in {"EdDSA", "Ed25519"}:
        return bytes(key.sign(signed))
    if algorithm.startswith("HS"):
        return hmac.digest(key if isinstance(key, bytes) else key.encode(), signed, f"sha{algorithm[2:]}")
    digest = HASHES[algorithm[2:]]()
    if algorithm.startswith("ES"):
        length = CURVES[CURVE_OF[algorithm]][1]
        numbers = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(digest)))
        return b"".join(number.to_bytes(length, "big") for number in numbers)
    if algorithm.startswith("PS"):
        return bytes(key.sign(signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest))
    return bytes(key.sign(signed, padding.PKCS1v15(), digest))


def compact(header: object, claims: object, sign: Callable[[bytes], bytes]) -> str:
    """`header` and `claims` are JSON, or bytes that go as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signed = ".".join(b64(part) for part in parts)
    return f"{signed}.{b64(sign(signed.encode()))}"


def claims_of(iss: str = ISSUER, **changes: object) -> dict[str, object]:
    """What a good token says; a claim that is None is left out."""
    now = int(time.time())
    good = {"iss": iss, "sub": "ada", "aud": AUDIENCE, "iat": now, "exp": now + 300}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token_of(
    key: Any = None,
    algorithm: str = "RS256",
    *,
    kid: object = "first",
    header: Mapping[str, object] = {},
    payload: object = None,
    **claims: Any,
) -> str:
    """A token that is good unless something says otherwise; a header parameter that is None is left out."""
    key = key_for(algorithm) if key is None else key
    parameters = {"alg": algorithm, "kid": kid, **header}
    parameters = {name: value for name, value in parameters.items() if value is not None}
    return compact(
        parameters, claims_of(**claims) if payload is None else payload, lambda text: signature(algorithm, key, text)
    )


def tampered(token: str, **changes: object) -> str:
    """`token` with other claims and the signature that it had."""
    header, payload, tail = token.split(".")
    return ".".join((header, b64(json.dumps({**json.loads(unb64(payload)), **changes}).encode()), tail))


@dataclass
class Call:
    path: str
    method: str
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class Server:
    """Answers by path with documents, responses or what a function makes of the request, and remembers each call."""

    url: str = ""
    pages: dict[str, object] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        call = Call(request.path, request.method, request.form.to_dict(), dict(request.headers))
        self.calls.append(call)
        page = self.pages.get(request.path)
        if callable(page) and not isinstance(page, Response):
            page = page(request)
        if page is None:
            return Response("no", 404)
        return page if isinstance(page, Response) else document(page)

    def count(self, path: str) -> int:
        return sum(call.path == path for call in list(self.calls))

    def keys(self, *keys: Mapping[str, object], **headers: str) -> str:
        """Publish a set of `keys`, and say where."""
        self.pages["/keys"] = document({"keys": list(keys)}, **headers)
        return f"{self.url}/keys"

    @property
    def fetches(self) -> int:
        return self.count("/keys")


def document(body: object, status: int = 200, **headers: str) -> Response:
    response = Response(json.dumps(body), status, content_type="application/json")
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


@contextmanager
def serving(port: int = 0) -> Iterator[Server]:
    server = Server()
    http = make_server("127.0.0.1", port, Request.application(server), threaded=True, request_handler=Quiet)
    server.url = f"http://127.0.0.1:{http.port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def issued_by(jwks_uri: str | None = None, name: str = "own", iss: str = ISSUER, **jwt: object) -> list[Resource]:
    """Tokens of `iss` trusted and let through by a policy; `jwt` adds to the introspector's, None leaves out."""
    trust = introspector(name, jwt={"iss": iss, **jwt}, **({"jwks_uri": jwks_uri} if jwks_uri else {}))
    trust["jwt"] = {member: value for member, value in trust["jwt"].items() if value is not None}
    return [provider(), trust, policy(f"{name}-tokens", {"jwt": {"iss": iss}})]


def asked_at(url: str, name: str = "asked", jwt: object = None, **attributes: object) -> list[Resource]:
    """Opaque tokens asked about at `url`; an attribute that is None is left out."""
    body: Resource = {
        "resourceType": "TokenIntrospector",
        "id": name,
        "type": "opaque",
        "identity_provider": {"reference": "IdentityProvider/keycloak"},
        "introspection_endpoint": {"url": url, "client_id": "clinic", "client_secret": "the-secret-of-the-clinic"},
        "jwt": {"aud": AUDIENCE} if jwt is None else jwt,
        **attributes,
    }
    body = {member: value for member, value in body.items() if value is not None}
    return [provider(), body, policy("asked", {"token": {"active": True}})]


def active(**changes: object) -> dict[str, object]:
    """What an endpoint answers about a good token; a member that is None is left out."""
    return {"active": True, **claims_of(**changes)}


def refused(answer: TestResponse, description: str | None = None) -> None:
    """Refused as a wrong token is: RFC 6750, and never to be kept."""
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token"), answer.get_data(as_text=True)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert answer.headers["Cache-Control"] == "no-store"
    if description is not None:
        assert description in answer.json["error_description"]


def let_in(answer: TestResponse, subject: str | None = "ada") -> None:
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.json["subject"] == subject


def unavailable(answer: TestResponse) -> None:
    """Refused as nobody knows: to be tried again, and no verdict on the token."""
    assert answer.status_code == 503, answer.get_data(as_text=True)
    assert answer.json["error"] == "temporarily_unavailable"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in answer.headers


def at_once(number: int, work: Callable[[int], Any]) -> list[Any]:
    """What `number` threads return that begin `work` together."""
    barrier, results, errors = threading.Barrier(number), [None] * number, []

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = work(index)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors, errors
    return results


def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait for what another thread brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def statuses(app: Flask, tokens: Sequence[str]) -> list[int]:
    return [ask(app, token).status_code for token in tokens]
