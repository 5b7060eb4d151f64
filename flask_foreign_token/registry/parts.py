"""From one resource to what the package works with, without a look at any other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from ..errors import Issue, RegistryUnavailable, Rejected
from ..faults import Faults
from ..http import Http
from ..introspection.keys import KeySource, VerificationKey
from ..introspection.static_keys import StaticKeys, UnusableSecret
from ..policies.engines import Engines
from ..policies.policy import CompiledPolicy, compile_policy
from ..printable import shown
from ..shared_cache import Sharing
from ..users.provider import Provider
from ..users.to_scim import Path, Targets, check_to_scim
from ..users.userinfo import TokenClaims, UserinfoEndpoint, UserinfoSource
from .endpoints import ENDPOINTS, Endpoints
from .resources import AccessPolicy, IdentityProvider, JwtSettings, PlacedSecret, Resource, TokenIntrospector, load
from .schemas import AccessPolicySchema
from .secret_sources import Readings, stored_version

_POLICY = AccessPolicySchema()


class ProviderPart(NamedTuple):
    """A provider, and what users need of it."""

    version: str
    settings: IdentityProvider
    provider: Provider


class NoKeys:
    """A :class:`.KeySource` without any: that of an introspector whose secret must not be used, or of a provider whose
    keys nobody knows where to fetch.

    Nothing can be said of what its issuer signs, and whatever else is registered goes on.

    :param issues: what is wrong with the secret, or what is missing.
    """

    def __init__(self, issues: Sequence[Issue]) -> None:
        self.issues = tuple(issues)

    @property
    def serves_until(self) -> float:
        """Past: none serves."""
        return -math.inf

    def find(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """:raises RegistryUnavailable: always; the hint names what is wrong."""
        raise RegistryUnavailable("the token introspector is out of service", hint="; ".join(map(str, self.issues)))


def issues_of(keys: KeySource | None) -> tuple[Issue, ...]:
    """Why an introspector with these keys is out of service."""
    return keys.issues if isinstance(keys, NoKeys) else ()


class IntrospectorPart(NamedTuple):
    """An introspector, and the keys that it brings itself, if it does.

    :param keys: none: they are fetched, or it has no need of any.
    """

    version: str
    settings: TokenIntrospector
    keys: KeySource | None


class PolicyPart(NamedTuple):
    """A policy, compiled if it can be.

    :param settings: none: they cannot be told, not even whether it is active, and it is out of service.
    :param policy: none: it is out of service, and allows nothing.
    :param issues: why it is.
    """

    version: str
    settings: AccessPolicy | None
    policy: CompiledPolicy | None
    issues: tuple[Issue, ...] = ()

    @property
    def in_force(self) -> CompiledPolicy | None:
        """The policy where it is active, and nothing is wrong with it."""
        return self.policy if self.settings is not None and self.settings.active else None


Part = ProviderPart | IntrospectorPart | PolicyPart
"""What became of one resource; the version is that of :meth:`.Readings.version_of`."""


class PartMaker:
    """Checks and compiles resources one by one.

    :param require_audience: whether an introspector that takes JWTs meant for anybody is refused.
    :param default_audience: of introspectors that name neither audience nor client.
    :param engines: those that policies may name.
    :param targets: what of the app's model ``toScim`` can reach.
    :param sharing: where workers leave for each other what they fetch.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        http: Http,
        endpoints: Endpoints,
        engines: Engines,
        *,
        require_audience: bool,
        default_audience: str | None,
        targets: Targets,
        sharing: Sharing,
        clock: Callable[[], float],
    ) -> None:
        self._http = http
        self._clock = clock
        self._sharing = sharing
        self._endpoints = endpoints
        self._engines = engines
        self._targets = targets
        self._needs_audience = require_audience and default_audience is None

    def make(self, resource: Resource, secrets: Readings) -> Part:
        """
        :param secrets: where references to secrets lead.
        :raises Rejected: names the resource and every fault in it; not of a policy, which hides no other.
        """
        try:
            settings = load(resource)
        except Rejected as rejected:
            if resource.type != "AccessPolicy":
                raise
            return PolicyPart(resource.version, None, None, self._all_faults_of_policy(resource, rejected))
        version = secrets.version_of(resource)
        try:
            if isinstance(settings, IdentityProvider):
                return ProviderPart(version, settings, self._provider(settings, version))
            if isinstance(settings, TokenIntrospector):
                return IntrospectorPart(version, settings, self._introspector(settings, resource, secrets))
            return PolicyPart(resource.version, settings, *self._compiled(resource))
        except Rejected as rejected:
            raise rejected.within(resource.name) from None

    def _compiled(self, resource: Resource) -> tuple[CompiledPolicy | None, tuple[Issue, ...]]:
        """A policy, or why there is none."""
        try:
            return compile_policy(resource.id, resource.version, resource.body, self._engines), ()
        except Rejected as rejected:
            return None, rejected.within(resource.name).issues

    def _all_faults_of_policy(self, resource: Resource, rejected: Rejected) -> tuple[Issue, ...]:
        """What is wrong with a policy, with what its engine finds besides, so that all is named at once."""
        # Of the others, enough is said already.
        left = set(_POLICY.names(resource.body)) - {_attribute(issue) for issue in rejected.issues}
        body = {name: value for name, value in resource.body.items() if name in left}
        _, issues = self._compiled(replace(resource, body=body))
        return (*rejected.issues, *(issue for issue in issues if _attribute(issue) in left))

    def _provider(self, settings: IdentityProvider, version: str) -> Provider:
        faults = Faults()
        self._check_addresses({name: getattr(settings, name) for name in ENDPOINTS}, faults)
        for key, reason in check_to_scim(settings.to_scim, self._targets):
            faults.add("", f"toScim.{shown(key)}", reason)
        userinfo: UserinfoSource = TokenClaims()
        with faults.gathered():
            userinfo = self._userinfo(settings, f"{settings.id} {stored_version(version)}")
        faults.raise_any()
        return Provider(
            id=settings.id,
            version=version,
            system=settings.system,
            to_scim=cast("Mapping[str, Path]", settings.to_scim),
            create_user=settings.create_user,
            userinfo=userinfo,
            match_by=settings.match_by,
            userinfo_refresh=settings.userinfo_refresh,
        )

    def _userinfo(self, settings: IdentityProvider, shared_as: str) -> UserinfoSource:
        if settings.userinfo_source == "id-token":
            return TokenClaims()
        endpoint = self._endpoints.userinfo(settings)
        return UserinfoEndpoint(
            self._http,
            endpoint,
            settings.userinfo_header,
            sharing=self._sharing,
            shared_as=shared_as,
            clock=self._clock,
        )

    def _introspector(self, settings: TokenIntrospector, resource: Resource, secrets: Readings) -> KeySource | None:
        """The keys that it brings itself, if it does."""
        faults = Faults()
        keys: KeySource | None = None
        endpoint = settings.introspection_endpoint
        if settings.type == "jwt":
            with faults.gathered():
                self._check_audience(settings.jwt)
        asked = None if endpoint is None else endpoint.url
        self._check_addresses({"jwks_uri": settings.jwks_uri, "introspection_endpoint.url": asked}, faults)
        with faults.gathered():
            keys = _static_keys(settings.jwt, resource, secrets)
        faults.raise_any()
        return keys

    def _check_audience(self, jwt: JwtSettings) -> None:
        if self._needs_audience and not jwt.aud and not jwt.client_id:
            raise Rejected.at(
                "jwt.aud",
                "is required, or tokens meant for other applications would be taken; name what aud must hold, or in "
                "jwt.client_id the clients whose tokens are taken. FOREIGN_TOKEN_REQUIRE_AUDIENCE = False lifts this",
            )

    def _check_addresses(self, addresses: Mapping[str, str | None], faults: Faults) -> None:
        """
        :param addresses: by their paths; `None`: it is not given.
        """
        for path, url in addresses.items():
            try:
                if url is not None:
                    self._http.check_url(url)
            except ValueError as reason:
                faults.add("", path, str(reason))


def _attribute(issue: Issue) -> str:
    return issue.path.partition(".")[0]


def _static_keys(jwt: JwtSettings, resource: Resource, secrets: Readings) -> KeySource | None:
    def text(secret: PlacedSecret) -> str:
        # Of a blank no key is made, so that what lacks is found along with whatever else is wrong.
        return secret if isinstance(secret, str) else secrets.of(secret).text or ""

    try:
        if jwt.secret is not None:
            return StaticKeys.from_secret(text(jwt.secret), jwt.algorithms)
        if jwt.keys:
            return StaticKeys.from_jwt_keys([{name: text(value) for name, value in key.items()} for key in jwt.keys])
    except Rejected as rejected:
        lacking = {issue.path: issue for issue in secrets.faults_of(resource)}
        named = type(rejected)([lacking.get(issue.path, issue) for issue in rejected.issues]).within(resource.name)
        if isinstance(named, UnusableSecret):
            return NoKeys(named.issues)
        raise named from None
    return None
