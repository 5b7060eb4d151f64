"""The issuer: an OpenID provider that tests start, ask for tokens, and make fail."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

from joserfc.jwk import Key

from . import claims as claim_sets
from .accounts import TUTORIAL_CLIENT, TUTORIAL_PERSON, Client, Person
from .endpoints import ENDPOINTS, create_app
from .keys import SigningKeys, sign
from .references import References
from .server import HOST, Server

_DEFAULT_PATH = "/realms/myrealm"


class Issuer:
    """An OpenID provider on a port of 127.0.0.1, served by a thread. Every method may be called from any thread.

    ::

        with Issuer() as issuer:
            issuer.token(sub="alice")                                   # a token that is good
            issuer.token(sub="alice", lifetime=-60)                     # one that has expired
            issuer.token(aud="another-api")                             # one that is for somebody else
            issuer.token(exp=None)                                      # one that never ends
            issuer.token(algorithm="none")                              # one that nobody signed
            issuer.token(key=RSAKey.generate_key(2048))                 # one that somebody else signed
            issuer.token(headers={"crit": ["b64"], "kid": None})        # one with a header of its own
            assert issuer.requests["jwks"] == 1

            token = issuer.opaque_token(sub="alice")                    # one that only introspection explains
            issuer.opaque_token(cnf={"jkt": "…"})                       # one that is bound to a key
            issuer.opaque_token(token_type=None, exp=None)              # one whose type and end nobody says
            issuer.revoke(token)                                        # from now on it is not active

    It has discovery (OpenID Connect Discovery 1.0 and :rfc:`8414`), a JWK Set with a key each for RS256, ES256 and
    EdDSA, a token endpoint (client credentials and password grants; the client authenticates by Basic or in the form),
    userinfo and introspection (:rfc:`7662`; 401 to a client that is not known). Paths, claims and manners are those of
    Keycloak.

    :param issuer: its `iss`, when that is not the address it is served at, like that of a provider in a container; its
        path is the path served. Default: :attr:`url`.
    :param port: 0 for a free one.
    :param clients: at least one; the first is who :meth:`token` issues tokens to. Default: ``my-client`` with the
        secret ``my-client-secret``.
    :param people: the first is who :meth:`token` speaks of unless `sub` says otherwise. Default: ``testuser`` with the
        password ``testpass123``, called Test User, and the e-mail address ``testuser@example.com``.
    :param userinfo_signed_response_alg: ``RS256``, ``ES256`` or ``EdDSA``: userinfo is a JWT signed with that, for the
        client that the token was issued to (OpenID Connect Core 1.0, 5.3.2). Default: userinfo is JSON.
    :raises ValueError: there are no clients, or no key for that algorithm.
    """

    delay: float
    """Seconds that every answer is held back."""
    requests: Counter[str]
    """How many came for each endpoint: ``discovery``, ``jwks``, ``token``, ``userinfo``, ``introspection``."""

    def __init__(
        self,
        issuer: str | None = None,
        *,
        port: int = 0,
        clients: Sequence[Client] = (TUTORIAL_CLIENT,),
        people: Sequence[Person] = (TUTORIAL_PERSON,),
        userinfo_signed_response_alg: str | None = None,
    ) -> None:
        if not clients:
            raise ValueError("an issuer has at least one client")
        self.delay = 0.0
        self.requests = Counter()
        self.clients = {client.id: client for client in clients}
        self.people = {person.username: person for person in people}
        self.path = _DEFAULT_PATH if issuer is None else urlsplit(issuer).path.rstrip("/")
        self.keys = SigningKeys()
        if userinfo_signed_response_alg is not None:
            self.keys.find(userinfo_signed_response_alg)
        self.userinfo_signed_response_alg = userinfo_signed_response_alg
        self.references = References()
        self._issuer = issuer
        self._azp = clients[0].id
        accounts = [*people, *(client.service_account for client in clients)]
        self._subject = accounts[0].subject
        self._profiles = {account.subject: account.profile for account in accounts}
        self._failing: dict[str, int] = {}
        self._counting = threading.Lock()
        self._server = Server(create_app(self), port)

    def start(self) -> None:
        """Begin to serve; returns when connections are taken.

        :raises RuntimeError: it serves already.
        :raises OSError: the port is in use.
        """
        self._server.start()

    def stop(self) -> None:
        """Close the socket, once every request has been answered. It may be started again, on the same port."""
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address it is served at, ``http://127.0.0.1:49152/realms/myrealm``; its endpoints are below.

        :raises RuntimeError: it was never started, so its port is not known.
        """
        if not self._server.port:
            raise RuntimeError("the issuer has no address before it is started")
        return f"http://{HOST}:{self._server.port}{self.path}"

    @property
    def issuer(self) -> str:
        """The `iss` of its tokens."""
        return self.url if self._issuer is None else self._issuer

    @property
    def discovery_url(self) -> str:
        return self.url + ENDPOINTS["discovery"]

    @property
    def jwks_uri(self) -> str:
        return self.url + ENDPOINTS["jwks"]

    @property
    def token_endpoint(self) -> str:
        return self.url + ENDPOINTS["token"]

    @property
    def userinfo_endpoint(self) -> str:
        return self.url + ENDPOINTS["userinfo"]

    @property
    def introspection_endpoint(self) -> str:
        return self.url + ENDPOINTS["introspection"]

    def resources(
        self,
        id: str = "keycloak",  # noqa: A002 - the resource's own word
        system: str | None = None,
        *,
        kind: Literal["jwt", "opaque"] = "jwt",
    ) -> list[dict[str, object]]:
        """The resources by which an app trusts this issuer; a policy is not among them.

        :param id: of the IdentityProvider; the TokenIntrospector is called ``{id}-jwt-introspector``, or
            ``{id}-opaque-introspector``.
        :param system: the identifier system of its users; default: `id`.
        :param kind: of the TokenIntrospector: ``"jwt"`` verifies signatures with the issuer's keys and takes no opaque
            tokens; ``"opaque"`` asks the issuer, about opaque tokens and JWTs alike, as the first of its clients.
        :return: ready for a registry's file, or one by one for its database.
        """
        introspector = {
            "resourceType": "TokenIntrospector",
            "id": f"{id}-{kind}-introspector",
            "type": kind,
            "jwt": {"iss": self.issuer, "aud": claim_sets.AUDIENCE},
            "identity_provider": {"reference": f"IdentityProvider/{id}"},
        }
        return [
            {
                "resourceType": "IdentityProvider",
                "id": id,
                "title": "Keycloak",
                "system": system or id,
                "scopes": ["profile", "openid"],
                "userinfo_endpoint": self.userinfo_endpoint,
                "userinfo-source": "userinfo-endpoint",
            },
            {**introspector, **self._asked(kind)},
        ]

    def token(
        self,
        *,
        algorithm: str = "RS256",
        key_id: str | None = None,
        key: Key | None = None,
        headers: Mapping[str, object] | None = None,
        lifetime: float = claim_sets.LIFETIME,
        **claims: object,
    ) -> str:
        """A signed access token that says whatever the test wants.

        What is not given is what Keycloak would say. Without `sub` the token speaks of the first of `people`; what the
        issuer knows of a `sub` stands in the token as far as `scope` covers it. Userinfo and introspection answer for
        the token, as long as its key is served and its times hold.

        :param algorithm: ``RS256``, ``ES256``, ``EdDSA``; ``none``, for no signature; any that `key` can do.
        :param key_id: the issuer's key of that name, even one that was rotated away; default: the newest.
        :param key: one that is not the issuer's, from joserfc: ``OctKey.import_key(secret)`` for HS256.
        :param headers: further header parameters, `kid` or `typ` among them; one that is ``None`` is left out.
        :param lifetime: seconds from now; below zero, the token has expired.
        :param claims: `sub`, `scope` (default ``openid profile email``) and any others; one that is ``None`` is left
            out.
        :raises ValueError: the issuer has no such key.
        """
        if key is None and algorithm != "none":
            key = self.keys.find(algorithm, key_id)
        header = {"alg": algorithm, "typ": "JWT", "kid": key and key.kid, **(headers or {})}
        return sign(_given({**self._claims(claims, lifetime), **claims}), _given(header), key)

    def opaque_token(self, *, prefix: str = "", lifetime: float = claim_sets.LIFETIME, **claims: object) -> str:
        """An access token that says nothing itself: what it stands for is told by introspection (:rfc:`7662`).

        Introspection answers what it would to :meth:`token`, as long as the times that it names hold; userinfo takes it
        too. The issuer remembers it until its own end.

        :param prefix: what it begins with, ``"ory_at_"``.
        :param lifetime: seconds from now; below zero, the token has expired.
        :param claims: members of the answer, also `token_type` (default ``Bearer``), `client_id`, `username` and even
            `active`; one that is ``None`` is left out.
        """
        answer = claim_sets.of_introspection(_given({**self._claims(claims, lifetime), **claims}))
        return self.references.issue(_given({**answer, **claims}), prefix)

    def revoke(self, token: str) -> None:
        """From now on introspection says that `token` is not active, and userinfo refuses it.

        Whoever verifies a JWT by its signature alone does not notice.
        """
        self.references.revoke(token)

    def key_id(self, algorithm: str = "RS256") -> str:
        """The `kid` of the newest key for `algorithm`."""
        return str(self.keys.find(algorithm).kid)

    def userinfo(self, claims: Mapping[str, object]) -> dict[str, object]:
        """What its userinfo endpoint answers to a token with these `claims`."""
        return claim_sets.of_userinfo(claims, self._profile(claims.get("sub")))

    def signed_userinfo(self, claims: Mapping[str, object], algorithm: str) -> str:
        """The same as a JWT, signed with the newest key for `algorithm`."""
        key = self.keys.find(algorithm)
        said = {**self.userinfo(claims), "iss": self.issuer, "aud": claims.get("azp") or claims.get("client_id")}
        return sign(_given(said), {"alg": algorithm, "typ": "JWT", "kid": key.kid}, key)

    def _asked(self, kind: Literal["jwt", "opaque"]) -> dict[str, object]:
        """Where an introspector of `kind` asks."""
        if kind == "jwt":
            return {"jwks_uri": self.jwks_uri}
        client = self.clients[self._azp]
        endpoint = {"url": self.introspection_endpoint, "client_id": client.id, "client_secret": client.secret}
        return {"introspection_endpoint": endpoint}

    def _claims(self, given: Mapping[str, object], lifetime: float) -> dict[str, object]:
        profile = self._profile(given.get("sub", self._subject))
        scope = given.get("scope", claim_sets.SCOPE)
        return claim_sets.of_access_token(self.issuer, self._azp, profile, str(scope or ""), int(time.time()), lifetime)

    def _profile(self, subject: object) -> Mapping[str, object]:
        return self._profiles.get(subject, {}) if isinstance(subject, str) else {}

    @contextmanager
    def down(self) -> Iterator[None]:
        """Within the block its socket is closed, so that connections are refused; afterwards it serves again."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def fail(self, endpoint: str, status: int) -> Iterator[None]:
        """Within the block `endpoint` answers every request with `status`.

        :param endpoint: one of those that :attr:`requests` counts.
        :param status: an HTTP status, ``500``.
        :raises ValueError: there is no such endpoint.
        """
        if endpoint not in ENDPOINTS:
            raise ValueError(f"no endpoint {endpoint!r}; there are {', '.join(ENDPOINTS)}")
        before = self._failing.get(endpoint, 0)
        self._failing[endpoint] = status
        try:
            yield
        finally:
            self._failing[endpoint] = before

    def rotate(self, *, keep: bool = False) -> None:
        """Make new keys, which sign from now on.

        :param keep: whether the keys served so far go on being served beside the new ones; otherwise they are
            withdrawn, and what they signed is no longer good.
        """
        self.keys.rotate(keep=keep)

    def receive(self, endpoint: str) -> int:
        """Count a request and hold it up; its app calls this first.

        :return: the status to fail with; 0 to answer.
        """
        with self._counting:
            self.requests[endpoint] += 1
        self._server.pause(self.delay)
        return self._failing.get(endpoint, 0)


def _given(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
