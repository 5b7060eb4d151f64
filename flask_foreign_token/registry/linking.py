"""Introspectors and providers together: what one resource cannot say by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from ..errors import Issue, Rejected
from ..http import Http
from ..introspection.jwt import JwtIntrospector, JwtRules
from ..introspection.keys import KeySource
from ..introspection.remote_keys import RemoteKeys
from ..introspection.token import Versioned
from ..users.provisioning import Provider
from .faults import Faults
from .parts import IntrospectorPart, Part, ProviderPart
from .resources import JwtSettings, Key, TokenIntrospector

_ABSENT = "there is no {name}"
_DELETED = "still refers to {name}; delete or change that first"


class RemoteSource(NamedTuple):
    """Where keys are fetched, and how. Introspectors for which this is the same share the keys.

    :param ttl: seconds.
    :param rsa_algorithms: see :class:`.RemoteKeys`.
    """

    jwks_uri: str
    ttl: int
    rsa_algorithms: tuple[str, ...]


class Linked(NamedTuple):
    """An introspector with the provider that it is linked to.

    :param settings: the resource.
    :param provider: none: its tokens have no user.
    :param in_force: whether it is active, and its provider too. The tokens of a provider that was switched off are
        refused, rather than taken as those of nobody.
    :param source: where its keys come from; none: they are its own.
    """

    settings: TokenIntrospector
    introspector: JwtIntrospector
    provider: Provider | None
    in_force: bool
    source: RemoteSource | None


class Linker:
    """Links introspectors to their providers and to their keys, for one snapshot.

    :param default_audience: of introspectors that name no audience.
    :param key_grace: seconds for which keys that are due still serve while their provider is down.
    :param previous: of the snapshot before; what did not change is used again.
    """

    def __init__(
        self, http: Http, *, default_audience: str | None, key_grace: float, previous: Iterable[Linked]
    ) -> None:
        self._http = http
        self._default_audiences = frozenset(() if default_audience is None else (default_audience,))
        self._key_grace = key_grace
        self._known = {linked.introspector.introspector: linked for linked in previous}
        # Keys outlive a change of anything else, so that an edit while the provider is down does not lose them.
        self._sources = {linked.source: linked.introspector.keys for linked in self._known.values() if linked.source}

    def link(
        self, parts: Iterable[Part], held: Collection[Key], faults: Faults, deleted: Collection[Key] = ()
    ) -> tuple[Linked, ...]:
        """Link every introspector, and check what must hold between them and their providers.

        :param parts: what became of the resources that have no fault of their own.
        :param held: every resource, so that a reference to one with faults is not taken for one to nothing.
        :param deleted: what was held a moment ago, so that a reference to it is told from one that never led anywhere.
        """
        parts = list(parts)
        providers = {part.settings.id: part for part in parts if isinstance(part, ProviderPart)}
        _refuse_shared_systems(providers.values(), faults)
        linked: list[Linked] = []
        for part in parts:
            if not isinstance(part, IntrospectorPart):
                continue
            name = part.settings.identity_provider
            if name is None or name in providers:
                with faults.gathered():
                    linked.append(self._link(part, providers.get(name or "")))
            elif (key := ("IdentityProvider", name)) not in held:
                reason = _DELETED if key in deleted else _ABSENT
                faults.add(_name_of(part.settings), "identity_provider.reference", reason.format(name="/".join(key)))
        _refuse_second_introspectors(linked, faults)
        _refuse_shared_issuers(linked, faults)
        return tuple(linked)

    def _link(self, part: IntrospectorPart, provider: ProviderPart | None) -> Linked:
        version = part.version if provider is None else f"{part.version}+{provider.version}"
        versioned = Versioned(part.settings.id, version)
        return self._known.get(versioned) or self._linked(versioned, part, provider)

    def _linked(self, versioned: Versioned, part: IntrospectorPart, provider: ProviderPart | None) -> Linked:
        settings = part.settings
        keys, source = self._keys(part, provider)
        return Linked(
            settings=settings,
            introspector=JwtIntrospector(versioned, self._rules(settings, provider), keys),
            provider=None if provider is None else provider.provider,
            in_force=settings.active and (provider is None or provider.settings.active),
            source=source,
        )

    def _keys(self, part: IntrospectorPart, provider: ProviderPart | None) -> tuple[KeySource, RemoteSource | None]:
        if part.keys is not None:
            return part.keys, None
        source = _source_of(part.settings, provider)
        return self._keys_at(source), source

    def _keys_at(self, source: RemoteSource) -> KeySource:
        if source not in self._sources:
            self._sources[source] = RemoteKeys(
                self._http,
                source.jwks_uri,
                ttl=source.ttl,
                grace=self._key_grace,
                rsa_algorithms=source.rsa_algorithms,
            )
        return self._sources[source]

    def _rules(self, settings: TokenIntrospector, provider: ProviderPart | None) -> JwtRules:
        jwt = settings.jwt
        audiences, stated_audiences = self._audiences(jwt)
        return JwtRules(
            issuer=jwt.iss,
            audiences=audiences,
            stated_audiences=stated_audiences,
            client_ids=frozenset(jwt.client_id),
            algorithms=None if jwt.algorithms is None else frozenset(jwt.algorithms),
            typ=jwt.typ,
            leeway=jwt.leeway,
            cache_ttl=settings.cache_ttl,
            subject_claim="sub" if provider is None else provider.settings.subject_claim,
        )

    def _audiences(self, jwt: JwtSettings) -> tuple[frozenset[str], frozenset[str]]:
        """What `aud` must name, and what it must name where it is there at all."""
        default = self._default_audiences
        if jwt.aud or not jwt.client_id:
            return frozenset(jwt.aud) or default, frozenset()
        # A client id is for providers without `aud`. Where nobody said who we are, there is nothing to compare it with.
        return frozenset(), default.union(jwt.client_id) if default else default


def _source_of(settings: TokenIntrospector, provider: ProviderPart | None) -> RemoteSource:
    jwks_uri = settings.jwks_uri or (provider and provider.settings.jwks_uri)
    if not jwks_uri:
        reason = (
            "there are no keys; give jwks_uri, jwt.secret or jwt.keys here, or jwks_uri at the linked provider "
            "(`flask foreign-token provider add` finds it out)"
        )
        raise Rejected([Issue(_name_of(settings), "jwks_uri", reason)])
    return RemoteSource(jwks_uri, settings.cache_ttl, settings.jwt.algorithms or ("RS256",))


def _refuse_shared_systems(providers: Iterable[ProviderPart], faults: Faults) -> None:
    """Two providers with one system could each make the other's users."""
    first: dict[str, str] = {}
    for part in providers:
        id_, system = part.settings.id, part.settings.system
        if first.setdefault(system, id_) != id_:
            reason = (
                f"IdentityProvider/{first[system]} has the same; the users of each provider need a system of their own"
            )
            faults.add(f"IdentityProvider/{id_}", "system", reason)


def _refuse_second_introspectors(linked: Iterable[Linked], faults: Faults) -> None:
    """Two issuers behind one provider could each name the other's users."""
    first: dict[str, str] = {}
    for link in linked:
        id_, provider = link.settings.id, link.settings.identity_provider
        if provider is not None and first.setdefault(provider, id_) != id_:
            reason = (
                f"TokenIntrospector/{first[provider]} is linked to IdentityProvider/{provider} already; "
                "the users of each issuer need a provider of their own"
            )
            faults.add(_name_of(link.settings), "identity_provider.reference", reason)


def _refuse_shared_issuers(linked: Iterable[Linked], faults: Faults) -> None:
    """A token goes to one introspector."""
    first: dict[str, str] = {}
    for link in linked:
        id_, issuer = link.settings.id, link.settings.jwt.iss
        if link.in_force and first.setdefault(issuer, id_) != id_:
            reason = f"TokenIntrospector/{first[issuer]} has the same; set active to false for one of the two"
            faults.add(_name_of(link.settings), "jwt.iss", reason)


def _name_of(settings: TokenIntrospector) -> str:
    return f"TokenIntrospector/{settings.id}"
