"""Whether the provider issues a token, this app takes it, and userinfo answers to it."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import quote_plus

from ..errors import InsufficientScope, InvalidToken, ProviderUnavailable, Refusal
from ..http import Answer, Http
from ..introspection.token import Credential, Introspector, Token
from ..printable import in_ascii
from ..registry.fields import MASK
from ..registry.linking import Linked
from ..registry.resources import IdentityProvider
from ..users.userinfo import UserinfoEndpoint
from . import remedies
from .clock import ClockCheck
from .findings import Finding
from .reach import out_of_reach

CLIENT_CREDENTIALS = "client credentials"
PASSWORD = "password"  # noqa: S105 - the grant's own name
SCOPE = "openid profile email"
"""What tokens are asked for with: as much as userinfo knows of."""

_SHORTEST_ANYWHERE = 6
# Characters of a secret that is masked inside of words too.


@dataclass(frozen=True, slots=True)
class Login:
    """What to ask a provider for tokens with.

    :param client_id: none: nothing can be asked.
    :param client_secret: none: a public client, which has no grant of its own.
    :param username: of whom to ask with `password`; none: nobody.
    :param scope: separated by single spaces.
    :param secret_is_stored: whether `client_secret` is the registry's, and not of whoever asks.
    """

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    scope: str = SCOPE
    secret_is_stored: bool = False

    @property
    def is_given(self) -> bool:
        """Whether somebody said as whom to ask."""
        return self.client_id is not None or self.username is not None

    @property
    def given(self) -> list[str]:
        """The options that were given."""
        options = {"--client-id": self.client_id, "--client-secret": self.client_secret, "--username": self.username}
        return [option for option, value in options.items() if value]

    @property
    def lacking(self) -> list[str]:
        """The options without which no grant is possible."""
        parts = {"--client-id": self.client_id, "--client-secret or --username": self.client_secret or self.username}
        return [options for options, value in parts.items() if not value]

    def completed(self, provider: IdentityProvider) -> Login:
        """With what the `client` stored at `provider` has, where nothing else was given."""
        client = provider.client
        if client is None or self.client_id not in (None, client.id):
            return self
        if self.client_secret or not client.secret:
            return replace(self, client_id=client.id)
        return replace(self, client_id=client.id, client_secret=client.secret, secret_is_stored=True)

    def forms(self) -> Iterator[tuple[str, dict[str, str]]]:
        """The name of each grant, and what its form holds beside the client."""
        if self.client_secret:
            yield CLIENT_CREDENTIALS, {"grant_type": "client_credentials", "scope": self.scope}
        if self.username and self.password:
            user = {"username": self.username, "password": self.password}
            yield PASSWORD, {"grant_type": "password", "scope": self.scope, **user}


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Where tokens are asked for.

    :param auth_methods: how a client may authenticate (:rfc:`8414#section-2`); empty: it is not known.
    """

    http: Http
    url: str
    auth_methods: Sequence[str] = ()

    def ask(self, login: Login, form: Mapping[str, str]) -> Answer:
        """What it answers to `form`.

        :raises ProviderUnavailable: it does not answer.
        """
        if not login.client_secret:
            return self.http.post_form(self.url, {**form, "client_id": login.client_id or ""})
        if self.auth_methods and "client_secret_post" not in self.auth_methods:
            return self.http.post_form(self.url, form, headers={"Authorization": _basic(login)})
        client = {"client_id": login.client_id or "", "client_secret": login.client_secret}
        return self.http.post_form(self.url, {**form, **client})


class GrantChecks:
    """Goes the way of a token: from its issue to the user it stands for.

    :param link: of the TokenIntrospector that must vouch for it.
    :param clock: is told when tokens were issued.
    """

    def __init__(
        self, http: Http, provider: IdentityProvider, introspector: Introspector, link: Linked, clock: ClockCheck
    ) -> None:
        self._http = http
        self._provider = provider
        self._introspector = introspector
        self._link = link
        self._name = f"TokenIntrospector/{link.settings.id}"
        self._clock = clock

    def run(self, endpoint: TokenEndpoint, login: Login) -> Iterator[Finding]:
        """Ask for a token with each grant that `login` allows, and try what is issued."""
        for grant, form in login.forms():
            before = time.time()
            issued = self._issue(endpoint, login, grant, form)
            after = time.time()
            if isinstance(issued, Finding):
                yield issued
                continue
            yield Finding(grant, "ok", f"{in_ascii(endpoint.url)} issued a token")
            taken = self._introspect(f"{grant}: token", issued)
            if isinstance(taken, Finding):
                yield taken
                continue
            yield Finding(f"{grant}: token", "ok", f"{self._name} takes it; it has {len(taken.claims)} claims")
            issued_at = taken.claims.get("iat")
            if isinstance(issued_at, int | float):
                self._clock.told(issued_at, before, after)
            yield self._userinfo(f"{grant}: userinfo", taken, issued)

    def _issue(
        self, endpoint: TokenEndpoint, login: Login, grant: str, form: Mapping[str, str]
    ) -> Credential | Finding:
        address = in_ascii(endpoint.url)
        try:
            answer = endpoint.ask(login, form)
        except ProviderUnavailable as unavailable:
            return out_of_reach(grant, endpoint.url, unavailable)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            return _refused(grant, address, answer, login)
        token = answer.json.get("access_token") if isinstance(answer.json, dict) else None
        if not isinstance(token, str) or not token:
            return Finding(grant, "failed", f"{address} answers without an access_token")
        return Credential("bearer", token)

    def _introspect(self, check: str, credential: Credential) -> Token | Finding:
        try:
            token = self._introspector.introspect(credential)
        except InvalidToken as refusal:
            reason = str(refusal.description)
            return Finding(check, "failed", f"it is refused: {reason}", remedies.for_introspection(reason))
        except Refusal as refusal:
            return Finding(check, "failed", f"it cannot be checked: {refusal.hint or refusal.description}")
        if token.introspector.id != self._link.settings.id:
            # It is another provider's, and no business of this one's userinfo.
            reason = f"it is taken by TokenIntrospector/{token.introspector.id}, not by {self._name}"
            return Finding(check, "failed", reason, remedies.ISSUER_AND_ADDRESS)
        return token

    def _userinfo(self, check: str, token: Token, credential: Credential) -> Finding:
        provider = self._provider
        if provider.userinfo_source == "id-token" or provider.userinfo_endpoint is None:
            return Finding(check, "ok", "is not asked; users are made from the claims of their tokens")
        address = in_ascii(provider.userinfo_endpoint)
        # A new one each time, since it remembers for a while that it was refused.
        endpoint = UserinfoEndpoint(self._http, provider.userinfo_endpoint, provider.userinfo_header)
        try:
            claims = endpoint.userinfo(token, credential)
        except InsufficientScope:
            return Finding(check, "failed", f"{address} answers 403", remedies.OPENID)
        except InvalidToken as refusal:
            return Finding(check, "failed", f"{address}: {refusal.description}", remedies.ISSUER_AND_ADDRESS)
        except ProviderUnavailable as unavailable:
            return out_of_reach(check, provider.userinfo_endpoint, unavailable)
        return Finding(check, "ok", f"{address} speaks of the same subject, in {len(claims)} claims")


def _refused(grant: str, address: str, answer: Answer, login: Login) -> Finding:
    said = answer.refusal or {}
    error, description = _said(said.get("error"), login), _said(said.get("error_description"), login)
    words = f'"{description}"' if description else "without a description"
    found = f"{address} answers {answer.status}, {error or 'no error code'}, {words}"
    return Finding(grant, "failed", found, remedies.for_token_endpoint(error, description))


def _said(text: object, login: Login) -> str:
    """What the provider said, without a secret that it repeats."""
    if not isinstance(text, str):
        return ""
    secrets = sorted(filter(None, (login.client_secret, login.password)), key=len, reverse=True)
    patterns = [_pattern_of(secret) for secret in secrets]
    if login.client_secret:
        patterns = [re.escape(_basic(login).removeprefix("Basic ").rstrip("=")), *patterns]
    return in_ascii(re.sub("|".join(patterns), MASK, text) if patterns else text)


def _pattern_of(secret: str) -> str:
    """Where `secret` is, also in the spelling of a form, in which it was sent.

    A short one stands alone there: it would be found in words that have nothing to do with it.
    """
    spelt = "".join(map(_spellings, secret))
    return spelt if len(secret) >= _SHORTEST_ANYWHERE else rf"(?<!\w){spelt}(?!\w)"


def _spellings(character: str) -> str:
    """A pattern for `character` as it is, and as a form has it."""
    octets = "".join(f"%{octet:02x}" for octet in character.encode(errors="replace"))
    plus = r"|\+" if character == " " else ""
    return f"(?:{re.escape(character)}|(?i:{octets}){plus})"


def _basic(login: Login) -> str:
    """:rfc:`6749#section-2.3.1`"""
    both = f"{quote_plus(login.client_id or '')}:{quote_plus(login.client_secret or '')}"
    return f"Basic {b64encode(both.encode()).decode()}"
