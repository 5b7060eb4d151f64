"""An introspection endpoint on a real socket, which says whatever a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from werkzeug.wrappers import Request, Response

from flask_foreign_token.http import Http
from flask_foreign_token.introspection.client_authentication import ClientAuthentication
from flask_foreign_token.introspection.endpoints import StoredEndpoint
from flask_foreign_token.introspection.introspection_endpoint import IntrospectionEndpoint
from flask_foreign_token.introspection.opaque import OpaqueIntrospector, OpaqueRules
from flask_foreign_token.introspection.token import Versioned

from ..publishing import listening
from .signing import AUDIENCE, ISSUER, NOW

CLIENT = "app"
CLIENT_SECRET = "a secret that nobody may see"


@dataclass(frozen=True)
class Odd:
    """What is answered as it stands."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"


class Introspecting:
    """Answers at every path.

    `answers` are by token, and so is what is `odd`; of others it says that they are not active.
    """

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, object] = {}
        self.odd: dict[str, Odd] = {}
        self.status = 200
        self.body: bytes | None = None
        """What to answer in place of `answers`."""
        self.content_type = "application/json"
        self.headers: dict[str, str] = {}
        self.forms: list[dict[str, str]] = []
        self.seen: list[Mapping[str, str]] = []
        """The header fields of each request, names in lower case."""
        self.lines: list[str] = []
        """Method and address of each request, ``POST /introspect``."""
        self.asked = threading.Semaphore(0)
        """Released once for each request that arrives."""
        self._open = threading.Event()
        self._open.set()

    @property
    def calls(self) -> int:
        return len(self.forms)

    def hold(self) -> None:
        """Let requests wait until :meth:`release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def answer_plainly(self) -> None:
        """From now on nothing is wrong any more."""
        self.status, self.body, self.content_type, self.headers = 200, None, "application/json", {}

    @Request.application
    def __call__(self, request: Request) -> Response:
        form = request.form.to_dict() if request.method == "POST" else {}
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        self.lines.append(f"{request.method} {request.full_path.removesuffix('?')}")
        self.forms.append(form)
        self.asked.release()
        self._open.wait(10)
        odd = self.odd.get(form.get("token", ""))
        if odd is not None:
            return Response(odd.body, odd.status, content_type=odd.content_type)
        said = self.answers.get(form.get("token", ""), {"active": False})
        body = json.dumps(said).encode() if self.body is None else self.body
        return Response(body, self.status, self.headers, content_type=self.content_type)


@contextmanager
def introspecting() -> Iterator[Introspecting]:
    """One that listens at its `url`."""
    provider = Introspecting()
    with listening(provider) as origin:
        provider.url = f"{origin}/introspect"
        try:
            yield provider
        finally:
            provider.release()


RULES = OpaqueRules(
    issuer=ISSUER,
    named_issuer=ISSUER,
    audiences=frozenset([AUDIENCE]),
    stated_audiences=frozenset(),
    client_ids=frozenset(),
    leeway=30.0,
    subject_claim="sub",
    cache_ttl=300.0,
)


def introspector(
    provider: Introspecting, http: Http, clock: Callable[[], float], *, size: int = 100, **rules: Any
) -> OpaqueIntrospector:
    """One that asks `provider`, with :data:`RULES` but for `rules`."""
    authentication = ClientAuthentication.basic(CLIENT, CLIENT_SECRET)
    endpoint = IntrospectionEndpoint(http, StoredEndpoint(provider.url), authentication, clock=clock)
    return OpaqueIntrospector(Versioned("opaque", "1"), replace(RULES, **rules), endpoint, size=size, clock=clock)


def active(**changes: object) -> dict[str, object]:
    """What is said of a good token; a member that is `None` is left out."""
    good = {"active": True, "token_type": "Bearer", "iss": ISSUER, "sub": "anna", "aud": AUDIENCE, "client_id": "app"}
    times = {"iat": NOW, "exp": NOW + 3600}
    return {name: value for name, value in {**good, **times, **changes}.items() if value is not None}
