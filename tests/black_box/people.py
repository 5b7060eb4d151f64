"""What the tests of users are made of: a provider whose userinfo answers anything, and what is known of users."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse
from werkzeug.wrappers import Request, Response

from ..apps import Resource, ask, introspector, policy, provider, rows
from .callers import ids, read
from .tokens import ISSUER, Server, jwk, rsa_key, serving, token_of, unb64

USERINFO = "/userinfo"

_numbers = count()


class People(Server):
    """A provider with one RSA key; :meth:`says` is what its userinfo tells of everybody, with the token's own `sub`."""

    def says(self, **claims: object) -> None:
        self.pages[USERINFO] = lambda request: {"sub": sub_of(request), **claims}

    def answers(self, page: object) -> None:
        self.pages[USERINFO] = page

    @property
    def asked(self) -> int:
        return self.count(USERINFO)

    def resources(self, name: str = "keycloak", iss: str = ISSUER, **attributes: object) -> list[Resource]:
        """It is trusted for tokens of `iss`, and asked for userinfo; `attributes` are the provider's."""
        asked = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": self.url + USERINFO}
        return [
            provider(name, **{**asked, **attributes}),
            introspector(f"{name}-jwt", name, jwt={"iss": iss}, jwks_uri=f"{self.url}/keys"),
            policy(f"{name}-tokens", {"jwt": {"iss": iss}}),
        ]


@contextmanager
def people_serving() -> Iterator[People]:
    with serving() as server:
        people = People(server.url, server.pages, server.calls)
        people.keys(jwk(rsa_key()))
        people.says()
        yield people


def token(sub: Any = "ada", **more: Any) -> str:
    """A token that lives for a day, and differs from every other of the same subject in its `jti`."""
    return token_of(sub=sub, **{"exp": int(time.time()) + 86400, "jti": str(next(_numbers)), **more})


def claims_in(text: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(unb64(text.split(".")[1]))
    return claims


def sub_of(request: Request) -> Any:
    return claims_in(request.headers["Authorization"].split()[1])["sub"]


def raw(body: bytes | str, content_type: str = "application/json", status: int = 200, **headers: str) -> Response:
    return Response(body, status, headers, content_type=content_type)


def users(app: Flask) -> list[Resource]:
    return [entry["resource"] for entry in read(app, "User?_count=1000")["entry"]]


def user_of(app: Flask, subject: str = "ada", system: str = "keycloak") -> Resource:
    pair = {"system": system, "value": subject}
    [found] = [user for user in users(app) if pair in user.get("identifier", [])]
    return found


def counts(app: Flask) -> tuple[int, int]:
    """How many users and identifiers there are, by the operator's endpoints and in the tables."""
    identifiers = rows(app, "SELECT count(*) FROM foreign_token_identifier")[0][0]
    shown = users(app)
    assert sum(len(user.get("identifier", [])) for user in shown) == identifiers
    return len(shown), identifiers


def nobody_in(app: Flask) -> None:
    assert ids(app, "User") == []
    assert rows(app, "SELECT count(*) FROM foreign_token_identifier") == [(0,)]
    if "foreign_token_user" in {name for (name,) in rows(app, "SELECT name FROM sqlite_master")}:
        assert rows(app, "SELECT count(*) FROM foreign_token_user") == [(0,)]


def me(app: Flask, token: str) -> str | None:
    """The id of the user that a view sees."""
    answer = ask(app, token, "/me")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    user: str | None = answer.json["user"]
    return user


def insufficient(answer: TestResponse) -> None:
    assert (answer.status_code, answer.json["error"]) == (403, "insufficient_scope")
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="openid"' in challenge


def version(user: Mapping[str, Any]) -> tuple[str, str]:
    return user["meta"]["versionId"], user["meta"]["lastUpdated"]
