"""Introspectors and providers together: what one resource cannot say by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from ..errors import Rejected
from ..http import Http
from ..introspection.endpoints import Endpoint
from ..introspection.introspection_endpoint import IntrospectionEndpoint
from ..introspection.jwt import JwtIntrospector, JwtRules
from ..introspection.keys import KeySource
from ..introspection.opaque import OpaqueIntrospector, OpaqueRules
from ..introspection.remote_keys import RemoteKeys
from ..introspection.token import Versioned
from ..shared_cache import Sharing
from ..users.signed_userinfo import SignedUserinfo
from ..users.userinfo import UserinfoEndpoint
from .dependence import Dependence
from .endpoints import Endpoints
from .holdings import Holdings, IntrospectorHolding
from .inquiry import Inquiry, inquiry_of
from .links import Linked, Links, RemoteSource
from .parts import IntrospectorPart, NoKeys, Part, ProviderPart
from .resources import IdentityProvider, JwtSettings, Key, Resource, TokenIntrospector, digest
from .secret_sources import Readings, stored_version
from .uniqueness import Blame, second_issuers, shared_issuers, shared_prefixes, shared_systems

USERINFO_KEYS_TTL = 300
"""Seconds of the life of keys that are fetched for userinfo alone, the default of `cache_ttl`. That of an introspector
which asks about tokens says how long answers are good, and may be a second."""


class Linker:
    """Links introspectors to their providers, to their keys and to those whom they ask, for one snapshot.

    :param default_audience: of introspectors that name no audience.
    :param key_grace: seconds for which keys that are due still serve while their provider is down.
    :param cache_size: opaque tokens of which each introspector remembers what was said.
    :param sharing: where workers leave for each other what they fetch.
    :param clock: seconds since the epoch.
    :param secrets: where references to secrets lead.
    :param previous: of the snapshot before; what did not change is used again.
    """

    def __init__(
        self,
        http: Http,
        endpoints: Endpoints,
        *,
        default_audience: str | None,
        key_grace: float,
        cache_size: int,
        sharing: Sharing,
        clock: Callable[[], float],
        secrets: Readings,
        previous: Iterable[Linked],
    ) -> None:
        self._http = http
        self._endpoints = endpoints
        self._default_audiences = frozenset(() if default_audience is None else (default_audience,))
        self._key_grace = key_grace
        self._cache_size = cache_size
        self._sharing = sharing
        self._clock = clock
        self._secrets = secrets
        self._known = {linked.introspector.introspector: linked for linked in previous}
        self._before = {linked.settings.id: linked for linked in self._known.values()}
        # Keys outlive a change of anything else, so that an edit while the provider is down does not lose them.
        self._sources = {
            linked.source: linked.introspector.keys
            for linked in self._known.values()
            if linked.source and isinstance(linked.introspector, JwtIntrospector)
        }
        # Apart from those, which are withdrawn once no introspector rests on them.
        self._signed_sources = {
            linked.signed_source: linked.signed.keys
            for linked in self._known.values()
            if linked.signed_source and linked.signed
        }

    def link(
        self,
        parts: Collection[Part],
        faulty: Collection[Resource],
        blame: Blame,
        *,
        unreadable: Collection[Key] = (),
        deleted: Collection[Key] = (),
    ) -> Links:
        """Link every introspector, and check what must hold between them and their providers.

        :param parts: what became of the resources that have no fault of their own.
        :param faulty: the others. A reference to one of them is none to nothing, and what they say of themselves is
            theirs.
        :param blame: what is wrong already; gets whatever is found.
        :param unreadable: what else is held; nobody knows what it is.
        :param deleted: what was held a moment ago, so that a reference to it is told from one that never led anywhere.
        """
        providers = {part.settings.id: part for part in parts if isinstance(part, ProviderPart)}
        introspectors = [part for part in parts if isinstance(part, IntrospectorPart)]
        holdings = Holdings(providers.values(), introspectors, faulty, unreadable)
        blame.clashes(shared_systems(holdings.providers))
        dependence = Dependence.on(providers, holdings, deleted)
        linked = self._linked_one_by_one(introspectors, providers, holdings, dependence, blame)
        held = holdings.introspectors({link.settings.name: link.introspector.issuer for link in linked})
        for check in (second_issuers, shared_issuers, shared_prefixes):
            blame.clashes(check(held))
        linked = [link for link in linked if link.settings.name not in blame.names]
        complete = [self._with_signed_userinfo(link, linked, providers) for link in linked]
        return Links(tuple(complete), _reserved(held, linked))

    def _linked_one_by_one(
        self,
        introspectors: Iterable[IntrospectorPart],
        providers: Mapping[str, ProviderPart],
        holdings: Holdings,
        dependence: Dependence,
        blame: Blame,
    ) -> list[Linked]:
        """Those that can be linked, before they are compared with each other."""
        issuers, named = holdings.issuers_of_providers, holdings.named_issuers
        linked: list[Linked] = []
        for part in introspectors:
            name = part.settings.identity_provider
            with blame.gathered():
                dependence.refuse_unmet(part.settings, blame)
                if name is None or name in providers:
                    provider = None if name is None else providers[name]
                    linked.append(self._link(part, provider, issuers, named))
        return linked

    def _link(
        self, part: IntrospectorPart, provider: ProviderPart | None, issuers: Mapping[str, str], named: frozenset[str]
    ) -> Linked:
        """
        :param issuers: see :attr:`.Holdings.issuers_of_providers`.
        :param named: every issuer that somebody names.
        """
        versions = [part.version]
        issuer = part.settings.jwt.iss
        if provider is not None:
            versions.append(provider.version)
            if issuer is None and (issuer := issuers.get(provider.settings.id)):
                # Another introspector may have named it.
                versions.append(f"issuer={digest(issuer)}")
        foreign = frozenset[str]() if issuer is not None else named
        if foreign:
            names = "\n".join(sorted(foreign))
            versions.append(f"foreign={digest(names)}")
        versioned = Versioned(part.settings.id, "+".join(versions))
        known = self._known.get(versioned)
        if known is not None:
            return known
        try:
            if part.settings.type == "opaque":
                stored = "+".join(map(stored_version, versions))
                return self._opaque(versioned, stored, part.settings, provider, issuer, foreign)
            return self._jwt(versioned, part, provider)
        except Rejected as rejected:
            raise rejected.within(part.settings.name) from None

    def _jwt(self, versioned: Versioned, part: IntrospectorPart, provider: ProviderPart | None) -> Linked:
        settings = part.settings
        described = None if provider is None else provider.settings
        keys, source = self._keys(part, described)
        return Linked(
            settings=settings,
            introspector=JwtIntrospector(versioned, self._jwt_rules(settings, described), keys, self._clock),
            provider=None if provider is None else provider.provider,
            in_force=_is_in_force(settings, described),
            source=source,
            issuer=settings.jwt.issuer,
            inquiry=None,
        )

    def _opaque(
        self,
        versioned: Versioned,
        stored_version: str,
        settings: TokenIntrospector,
        provider: ProviderPart | None,
        issuer: str | None,
        foreign_issuers: frozenset[str],
    ) -> Linked:
        described = None if provider is None else provider.settings
        inquiry = inquiry_of(settings, described, self._endpoints, self._secrets)
        introspector = OpaqueIntrospector(
            versioned,
            self._opaque_rules(settings, described, issuer, foreign_issuers, inquiry.endpoint),
            self._introspection_endpoint(settings, inquiry),
            sharing=self._sharing,
            shared_as=f"{versioned.id} {stored_version} {inquiry.said_apart}",
            size=self._cache_size,
            clock=self._clock,
        )
        return Linked(
            settings=settings,
            introspector=introspector,
            provider=None if provider is None else provider.provider,
            in_force=_is_in_force(settings, described),
            source=None,
            issuer=issuer,
            inquiry=inquiry,
        )

    def _keys(self, part: IntrospectorPart, provider: IdentityProvider | None) -> tuple[KeySource, RemoteSource | None]:
        if part.keys is not None:
            return part.keys, None
        settings = part.settings
        endpoint = self._endpoints.keys(settings, provider)
        source = RemoteSource(endpoint, settings.cache_ttl, settings.jwt.algorithms or ("RS256",))
        return self._keys_at(source, self._sources), source

    def _keys_at(self, source: RemoteSource, sources: dict[RemoteSource, KeySource]) -> KeySource:
        if source not in sources:
            sources[source] = RemoteKeys(
                self._http,
                source.endpoint,
                ttl=source.ttl,
                grace=self._key_grace,
                rsa_algorithms=source.rsa_algorithms,
                sharing=self._sharing,
                clock=self._clock,
            )
        return sources[source]

    def _with_signed_userinfo(
        self, link: Linked, linked: Iterable[Linked], providers: Mapping[str, ProviderPart]
    ) -> Linked:
        """`link`, whose provider may sign userinfo."""
        name = link.settings.identity_provider
        part = None if name is None else providers[name]
        if part is None or not isinstance(part.provider.userinfo, UserinfoEndpoint):
            return link
        keys, algorithms, source = self._userinfo_keys(link, linked, part.settings)
        client = part.settings.client
        signed = SignedUserinfo(
            keys,
            algorithms,
            client_id=None if client is None else client.id,
            leeway=link.settings.jwt.leeway,
            clock=self._clock,
        )
        provider = replace(part.provider, userinfo=part.provider.userinfo.verifying(signed))
        return link._replace(provider=provider, signed=signed, signed_source=source)

    def _userinfo_keys(
        self, link: Linked, linked: Iterable[Linked], provider: IdentityProvider
    ) -> tuple[KeySource, frozenset[str] | None, RemoteSource | None]:
        """What verifies userinfo, which algorithms are permitted, and where the keys are fetched for that alone.

        The introspector's own keys, or those of another one of the provider that is in force, or else the provider's.
        """
        for other in (link, *linked):
            introspector = other.introspector
            is_its = other.settings.identity_provider == provider.id and (other is link or other.in_force)
            if is_its and isinstance(introspector, JwtIntrospector):
                return introspector.keys, introspector.rules.algorithms, None
        try:
            endpoint = self._endpoints.userinfo_keys(provider)
        except Rejected as rejected:
            return NoKeys(rejected.within(f"IdentityProvider/{provider.id}").issues), None, None
        source = RemoteSource(endpoint, USERINFO_KEYS_TTL, ("RS256",))
        return self._keys_at(source, self._signed_sources), None, source

    def _introspection_endpoint(self, settings: TokenIntrospector, inquiry: Inquiry) -> IntrospectionEndpoint:
        before = self._before.get(settings.id)
        if before is not None and before.inquiry == inquiry and isinstance(before.introspector, OpaqueIntrospector):
            # It knows that it was refused, and leaves the provider alone for a while; an edit changes nothing there.
            return before.introspector.endpoint
        return IntrospectionEndpoint(
            self._http, inquiry.endpoint, inquiry.authentication, owner=inquiry.owner, clock=self._clock
        )

    def _jwt_rules(self, settings: TokenIntrospector, provider: IdentityProvider | None) -> JwtRules:
        jwt = settings.jwt
        audiences, stated_audiences = self._audiences(jwt)
        return JwtRules(
            issuer=jwt.issuer,
            audiences=audiences,
            stated_audiences=stated_audiences,
            client_ids=frozenset(jwt.client_id),
            algorithms=None if jwt.algorithms is None else frozenset(jwt.algorithms),
            typ=jwt.typ,
            leeway=jwt.leeway,
            cache_ttl=settings.cache_ttl,
            subject_claim=_subject_claim(provider),
        )

    def _opaque_rules(
        self,
        settings: TokenIntrospector,
        provider: IdentityProvider | None,
        issuer: str | None,
        foreign_issuers: frozenset[str],
        endpoint: Endpoint,
    ) -> OpaqueRules:
        jwt = settings.jwt
        audiences, stated_audiences = self._audiences(jwt)
        return OpaqueRules(
            issuer=_address_of(endpoint) if issuer is None else issuer,
            named_issuer=issuer,
            audiences=audiences,
            stated_audiences=stated_audiences,
            client_ids=frozenset(jwt.client_id),
            leeway=jwt.leeway,
            cache_ttl=settings.cache_ttl,
            subject_claim=_subject_claim(provider),
            token_type=settings.token_type,
            foreign_issuers=foreign_issuers,
        )

    def _audiences(self, jwt: JwtSettings) -> tuple[frozenset[str], frozenset[str]]:
        """What `aud` must name, and what it must name where it is there at all."""
        default = self._default_audiences
        if jwt.aud or not jwt.client_id:
            return frozenset(jwt.aud) or default, frozenset()
        # A client id is for providers without `aud`. Where nobody said who we are, there is nothing to compare it with.
        return frozenset(), default.union(jwt.client_id) if default else default


def _reserved(held: Iterable[IntrospectorHolding], linked: Iterable[Linked]) -> frozenset[str]:
    """What the opaque tokens of introspectors begin with that are not linked."""
    names = {link.settings.name for link in linked}
    return frozenset(holding.prefix for holding in held if holding.name not in names and holding.prefix is not None)


def _is_in_force(introspector: TokenIntrospector, provider: IdentityProvider | None) -> bool:
    return introspector.active and (provider is None or provider.active)


def _address_of(endpoint: Endpoint) -> str:
    """What stands for an issuer that nobody names.

    :raises Rejected: the address must be discovered; then it is at an issuer that somebody names.
    """
    if endpoint.known is None:
        raise Rejected.at("introspection_endpoint", "is required, or nothing stands for the issuer of its tokens")
    return endpoint.known


def _subject_claim(provider: IdentityProvider | None) -> str:
    return "sub" if provider is None else provider.subject_claim
