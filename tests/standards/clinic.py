"""An app that trusts one provider, whose published keys a test chooses, and tokens as that provider signs them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask
from joserfc.jwk import Key

from ..apps import Resource, ask, introspector, policy, provider
from ..conftest import MakeApp
from ..introspection.signing import ISSUER, claims, header, jwk, sign
from ..publishing import Publisher

AUDIENCE = "https://api.example"
KEYS = "/certs"

Head = Mapping[str, object] | bytes | None


class Clinic:
    """Makes apps that trust what `publisher` publishes."""

    def __init__(self, publisher: Publisher, make_app: MakeApp) -> None:
        self.publisher = publisher
        self._make_app = make_app

    def resources(self, *policies: Resource, jwt: Mapping[str, object] = {}, **attributes: object) -> list[Resource]:
        """Whoever has a token of the issuer gets in, unless `policies` say otherwise; `jwt` is the introspector's and
        `attributes` are the provider's.
        """
        rules = {"iss": ISSUER, "aud": AUDIENCE, **jwt}
        keys = {} if {"secret", "keys"} & rules.keys() else {"jwks_uri": f"{self.publisher.origin}{KEYS}"}
        return [
            provider(**attributes),
            introspector("clinic", jwt=rules, **keys),
            *(policies or [policy("bearers", {"jwt": "present?"})]),
        ]

    def app(self, *keys: object, jwt: Mapping[str, object] = {}, **config: object) -> Flask:
        """An app that trusts the issuer of `keys`, by default one for RS256."""
        self.publish(*(keys or [jwk("RS256")]))
        return self._make_app(self.resources(jwt=jwt), **config)

    def publish(self, *keys: object) -> None:
        self.publisher.publish(KEYS, {"keys": list(keys)})


def said(**changes: object) -> dict[str, Any]:
    """The claims of a token that is good now, but for `changes`; `None` leaves one out."""
    now = int(time.time())
    return claims(**{"exp": now + 300, "iat": now, "aud": AUDIENCE, **changes})


def token(
    head: Head = None, body: bytes | None = None, *, algorithm: str = "RS256", key: Key | None = None, **changes: object
) -> str:
    """A token that is good now, but for `changes` of its claims; `None` leaves one out."""
    head = header(algorithm) if head is None else head
    return sign(head, said(**changes) if body is None else body, algorithm=algorithm, key=key)


def statuses(app: Flask, *tokens: str | None, path: str = "/patients") -> list[int]:
    return [ask(app, sent, path).status_code for sent in tokens]


def refusal(app: Flask, sent: str | None) -> tuple[int, Any]:
    """Status and error of the answer."""
    answer = ask(app, sent)
    return answer.status_code, answer.json.get("error")


def all_refused(app: Flask, tokens: Sequence[str]) -> bool:
    """Whether each of `tokens` is refused for what it is."""
    return [refusal(app, sent) for sent in tokens] == [(401, "invalid_token")] * len(tokens)
