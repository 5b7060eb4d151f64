"""Whether the provider issues a token, this app takes it, and userinfo answers to it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from ..errors import InsufficientScope, InvalidToken, Issue, ProviderUnavailable, Refusal, Rejected
from ..http import Answer, Http
from ..introspection.choosing import UnknownIssuer
from ..introspection.client_authentication import ClientAuthentication
from ..introspection.token import Credential, Introspector, Token
from ..printable import in_ascii
from ..registry.fields import MASK, SecretReference
from ..registry.links import Linked
from ..registry.resources import IdentityProvider
from ..registry.secret_sources import Reading
from ..users.userinfo import UserinfoEndpoint
from . import remedies
from .clock import ClockCheck
from .commands import rewriting
from .discovered import Failures, Location
from .findings import Finding

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
    :param client_is_stored: whether nobody said as whom to ask, so that it is the provider's stored client.
    :param secret_is_stored: whether `client_secret` is the registry's, and not of whoever asks.
    """

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    scope: str = SCOPE
    secret_is_stored: bool = False
    client_is_stored: bool = False

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

    def completed(self, provider: IdentityProvider, secrets: Mapping[SecretReference, Reading]) -> Login:
        """With what the `client` stored at `provider` has, where nothing else was given.

        :param secrets: where the references of `provider` led.
        :raises Rejected: its secret is needed and cannot be read; names the reference.
        """
        client = provider.client
        if client is None or self.client_id not in (None, client.id):
            return self
        if self.client_secret or not client.secret:
            return replace(self, client_id=client.id)
        secret = client.secret
        if isinstance(secret, SecretReference):
            secret = _followed(secrets[secret], f"IdentityProvider/{provider.id}")
        named = replace(self, client_is_stored=not self.is_given)
        return replace(named, client_id=client.id, client_secret=secret, secret_is_stored=True)

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
    :param is_stored: whether the registry gives it.
    """

    http: Http
    url: str
    auth_methods: Sequence[str] = ()
    is_stored: bool = False

    def ask(self, login: Login, form: Mapping[str, str]) -> Answer:
        """What it answers to `form`.

        :raises ProviderUnavailable: it does not answer.
        """
        if not login.client_secret:
            return self.http.post_form(self.url, {**form, "client_id": login.client_id or ""})
        if self.auth_methods and "client_secret_post" not in self.auth_methods:
            client = _basic(login)
        else:
            client = ClientAuthentication.post(login.client_id or "", login.client_secret)
        return self.http.post_form(self.url, {**form, **client.form}, headers=client.headers)


class GrantChecks:
    """Goes the way of a token: from its issue to the user it stands for.

    :param introspector: all that are in force, as requests have them.
    :param links: of the TokenIntrospectors of the provider, one of which must vouch for it.
    :param userinfo: where userinfo is asked for; none: users are made from the claims of their tokens.
    :param clock: is told when tokens were issued.
    :param program: how the command line is called, for remedies that are commands.
    """

    def __init__(
        self,
        http: Http,
        provider: IdentityProvider,
        introspector: Introspector,
        links: Sequence[Linked],
        userinfo: Location | None,
        *,
        clock: ClockCheck,
        failures: Failures,
        program: str,
    ) -> None:
        self._http = http
        self._provider = provider
        self._introspector = introspector
        self._links = links
        self._userinfo_location = userinfo
        self._clock = clock
        self._failures = failures
        self._program = program

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
            yield _taken(f"{grant}: token", taken)
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
            location = self._location_of(endpoint)
            return self._failures.of(grant, "", location, unavailable, remedies.TOKEN_ENDPOINT)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            return self._refused(grant, endpoint, answer, login)
        token = answer.json.get("access_token") if isinstance(answer.json, dict) else None
        if not isinstance(token, str) or not token:
            return Finding(grant, "failed", f"{address} answers without an access_token", remedies.TOKEN_ENDPOINT)
        return Credential("bearer", token)

    def _location_of(self, endpoint: TokenEndpoint) -> Location:
        return Location.of_token_endpoint(endpoint.url, self._provider, is_stored=endpoint.is_stored)

    def _refused(self, grant: str, endpoint: TokenEndpoint, answer: Answer, login: Login) -> Finding:
        said = answer.refusal or {}
        error, description = _said(said.get("error"), login), _said(said.get("error_description"), login)
        words = f'"{description}"' if description else "without a description"
        found = f"{in_ascii(endpoint.url)} answers {answer.status}, {error or 'no error code'}, {words}"
        if grant == CLIENT_CREDENTIALS and remedies.denies_grant(error, description):
            if login.client_is_stored:
                return Finding(grant, "skipped", f"{self._without_tokens()}: {found}")
            if login.username:
                return Finding(grant, "skipped", f"the client gets no token but for users: {found}")
        remedy = remedies.for_token_endpoint(error, description)
        if answer.status == HTTPStatus.NOT_FOUND:
            instead, command = self._failures.elsewhere(self._location_of(endpoint))
            return Finding(grant, "failed", found, (*instead, *(remedy or remedies.TOKEN_ENDPOINT)), command)
        if not login.secret_is_stored or not remedies.is_about_client(error, description, answer.status):
            return Finding(grant, "failed", found, remedy)
        key = ("IdentityProvider", self._provider.id)
        stored = (f"It is the client.secret that is stored at {'/'.join(key)}.", *remedies.SECRET)
        return Finding(grant, "failed", found, (*remedy, *stored), rewriting(self._program, key))

    def _without_tokens(self) -> str:
        asks = any(link.inquiry is not None and link.settings.introspection_endpoint is None for link in self._links)
        if asks:
            return "the stored client may ask about tokens but gets none; name one with --client-id"
        return "the stored client gets no token of its own; name one with --client-id"

    def _introspect(self, check: str, credential: Credential) -> Token | Finding:
        try:
            token = self._introspector.introspect(credential)
        except InvalidToken as refusal:
            reason = str(refusal.description)
            return Finding(check, "failed", f"it is refused: {reason}", *self._remedy_for(refusal, reason))
        except Refusal as refusal:
            remedy = remedies.for_outage(refusal, "") if isinstance(refusal, ProviderUnavailable) else ()
            return Finding(check, "failed", f"it cannot be checked: {refusal.hint or refusal.description}", remedy)
        if all(token.introspector.id != link.settings.id for link in self._links):
            # It is another provider's, and no business of this one's userinfo.
            names = " or ".join(link.settings.name for link in self._links)
            reason = f"it is taken by TokenIntrospector/{token.introspector.id}, not by {names}"
            return Finding(check, "failed", reason, *self._failures.of_issuer())
        return token

    def _remedy_for(self, refusal: InvalidToken, reason: str) -> tuple[remedies.Remedy, tuple[str, ...]]:
        """What mends it, and the command for that."""
        if isinstance(refusal, UnknownIssuer) and all(link.settings.jwt.iss is None for link in self._links):
            return remedies.JWT_FOR_NOBODY, ()
        remedy = remedies.for_introspection(reason)
        return self._failures.of_issuer() if remedy is remedies.ISSUER_AND_ADDRESS else (remedy, ())

    def _userinfo(self, check: str, token: Token, credential: Credential) -> Finding:
        location, provider = self._userinfo_location, self._provider
        if token.subject is None:
            return Finding(check, "ok", "is not asked; a token that names no subject has no user")
        if location is None:
            return Finding(check, "ok", "is not asked; users are made from the claims of their tokens")
        # A new one each time, since it remembers for a while that it was refused.
        [signed] = [link.signed for link in self._links if link.settings.id == token.introspector.id]
        endpoint = UserinfoEndpoint(self._http, location.endpoint, provider.userinfo_header, signed=signed)
        try:
            claims = endpoint.userinfo(token, credential)
        except InsufficientScope:
            return Finding(check, "failed", f"{location.shown} answers 403", remedies.OPENID)
        except InvalidToken as refusal:
            remedy = remedies.for_introspection(str(refusal.description))
            return Finding(check, "failed", f"{location.shown}: {refusal.description}", remedy)
        except ProviderUnavailable as unavailable:
            return self._failures.of(check, "", location, unavailable, remedies.USERINFO)
        return Finding(check, "ok", f"{location.shown} speaks of the same subject, in {_counted(claims)}")


def _followed(reading: Reading, provider: str) -> str:
    """
    :raises Rejected: there is no secret.
    """
    if reading.text is None:
        raise Rejected([Issue(provider, "client.secret", reading.fault)])
    return reading.text


def _taken(check: str, token: Token) -> Finding:
    found = f"TokenIntrospector/{token.introspector.id} takes it; it has {_counted(token.claims)}"
    if token.subject is None:
        found += ", and names no subject, so that it has no user"
    return Finding(check, "ok", found)


def _counted(claims: Mapping[str, object]) -> str:
    return f"{len(claims)} claim" if len(claims) == 1 else f"{len(claims)} claims"


def _said(text: object, login: Login) -> str:
    """What the provider said, without a secret that it repeats."""
    if not isinstance(text, str):
        return ""
    secrets = sorted(filter(None, (login.client_secret, login.password)), key=len, reverse=True)
    patterns = [_pattern_of(secret) for secret in secrets]
    if login.client_secret:
        basic = _basic(login).headers["Authorization"].removeprefix("Basic ").rstrip("=")
        patterns = [re.escape(basic), *patterns]
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


def _basic(login: Login) -> ClientAuthentication:
    return ClientAuthentication.basic(login.client_id or "", login.client_secret or "")
