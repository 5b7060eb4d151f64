"""What is trusted at one moment: checked as a whole, compiled, and never changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ..errors import Issue, Rejected
from ..faults import Faults
from ..http import Http
from ..introspection.choosing import Introspectors, IssuerIntrospector
from ..introspection.jwt import JwtIntrospector
from ..introspection.opaque import OpaqueIntrospector
from ..introspection.remote_keys import KeySourceState, RemoteKeys
from ..introspection.remote_metadata import MetadataDirectory
from ..introspection.token import Versioned
from ..policies.decisions import Policies
from ..policies.engines import Engines
from ..shared_cache import ALONE, Sharing
from ..users.provider import Provider
from ..users.to_scim import NO_MODEL, Targets
from .endpoints import Endpoints
from .fields import SecretReference
from .linking import Linker
from .links import Linked, Links
from .parts import IntrospectorPart, Part, PartMaker, PolicyPart, issues_of
from .resources import Key, Resource
from .secret_sources import NOTHING_TO_NAME, Absence, Reading, Readings, SecretSources
from .uniqueness import Blame


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """One state of the registry.

    An introspector is in force when it is active, and so is the provider that it is linked to, if there is one.

    :param version: of the contents that it was built from.
    :param resources: by type and id, inactive ones and those that are left out too.
    :param introspection: the introspectors in force.
    :param policies: those that are active and not out of service.
    :param providers: the provider of each introspector in force; none: its tokens have no user.
    :param out_of_service: why introspectors cannot check a token: their secrets must not be used; why policies allow
        nothing: what they say cannot be used; and what is left out.
    :param left_out: what counts as if it were not there, since it cannot be read or something is wrong with it.
    :param parts: what became of each resource without faults of its own, for the next snapshot to take what did not
        change.
    :param linked: what became of each introspector that is not left out, likewise.
    :param secrets: where the references to secrets led.
    """

    version: str
    resources: Mapping[Key, Resource] = field(repr=False)
    introspection: Introspectors = field(repr=False)
    policies: Policies = field(repr=False)
    providers: Mapping[Versioned, Provider | None] = field(repr=False)
    out_of_service: tuple[Issue, ...]
    left_out: frozenset[Key]
    parts: Mapping[Key, Part] = field(repr=False)
    linked: tuple[Linked, ...] = field(repr=False)
    secrets: Mapping[SecretReference, Reading] = field(repr=False)
    mark: object = field(default_factory=object, repr=False, compare=False)
    """What stands for this snapshot to those who keep what rests on it, and need not keep it."""

    @property
    def issuers(self) -> list[str]:
        """Whose tokens are accepted, as far as somebody says so; each once, sorted."""
        return sorted({link.issuer for link in self.linked if link.in_force and link.issuer is not None})

    @property
    def key_sources(self) -> list[KeySourceState]:
        """How things stand with the keys that are fetched for introspectors in force, each source once; those too that
        verify nothing but signed userinfo."""
        found: dict[RemoteKeys, list[str]] = {}
        for link in self.linked:
            keys = (_fetched_keys(link) or _fetched_for_userinfo(link)) if link.in_force else None
            if keys is not None:
                found.setdefault(keys, []).append(link.settings.id)
        return [replace(keys.state, introspectors=tuple(ids)) for keys, ids in found.items()]

    @property
    def policy_bodies(self) -> dict[str, Mapping[str, object]]:
        """Every stored AccessPolicy by its id, as it was written, inactive ones and those out of service too."""
        return {id_: resource.body for (type_, id_), resource in self.resources.items() if type_ == "AccessPolicy"}

    def vouches(self, introspector: Versioned) -> bool:
        """Whether that introspector is in force, in that very version."""
        return introspector in self.providers

    def provider_of(self, introspector: Versioned) -> Provider | None:
        """The provider that an introspector in force is linked to; none: its tokens have no user."""
        return self.providers.get(introspector)

    def issuer_of(self, system: str) -> str | None:
        """Whose tokens lead to identifiers of `system`, as the tokens have it; none: nobody's."""
        for link in self.linked:
            if link.in_force and link.provider is not None and link.provider.system == system:
                return link.introspector.issuer
        return None

    def absence_of_policy(self, id_: str) -> str | None:
        """Why the policy of that id allows nothing, ``"is not active"`` say; none: it is in force."""
        part = self.parts.get(("AccessPolicy", id_))
        if not isinstance(part, PolicyPart):
            return "the registry does not hold"
        if part.in_force is not None:
            return None
        return "is out of service" if part.settings is None or part.settings.active else "is not active"


@dataclass(frozen=True, slots=True)
class _Checked:
    """Resources that were checked one by one and all together.

    :param faults: what is wrong with those that are left out.
    :param left_out: those with a fault, and what cannot be read.
    """

    held: Mapping[Key, Resource]
    secrets: Readings
    parts: Mapping[Key, Part]
    links: Links
    faults: tuple[Issue, ...]
    left_out: frozenset[Key]

    @property
    def unusable(self) -> tuple[Issue, ...]:
        """Why others are out of service.

        Keys are of one resource, linked or not; whom to ask, and as whom, is known of what is linked.
        """
        own = [issue for part in self.parts.values() for issue in _issues_of(part)]
        inquiries = [link.inquiry for link in self.links.linked if link.inquiry is not None]
        return (*own, *(issue for inquiry in inquiries for issue in inquiry.issues))


class SnapshotBuilder:
    """Builds snapshots from resources, and from the secrets that they refer to. It does no other I/O.

    :param http: checks addresses; what providers say is fetched through it once it is needed.
    :param require_audience: whether an introspector that takes JWTs meant for anybody is refused.
    :param default_audience: of introspectors that name no audience.
    :param key_grace: seconds for which what is fetched, and due, still serves while its provider is down.
    :param cache_size: see :class:`.Linker`.
    :param engines: those that policies may name; none: those of this package.
    :param targets: what of the app's model ``toScim`` can reach.
    :param sources: of the secrets that resources refer to; none: no reference leads to any.
    :param sharing: where workers leave for each other what they fetch.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        http: Http,
        *,
        require_audience: bool,
        default_audience: str | None,
        key_grace: float,
        cache_size: int = 10_000,
        engines: Engines | None = None,
        targets: Targets = NO_MODEL,
        sources: SecretSources = NOTHING_TO_NAME,
        sharing: Sharing = ALONE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._default_audience = default_audience
        self._key_grace = key_grace
        self._cache_size = cache_size
        self._sources = sources
        self._sharing = sharing
        self._clock = clock
        self._endpoints = Endpoints(http, MetadataDirectory(http, grace=key_grace, sharing=sharing, clock=clock))
        self._maker = PartMaker(
            http,
            self._endpoints,
            engines or Engines(),
            require_audience=require_audience,
            default_audience=default_audience,
            targets=targets,
            sharing=sharing,
            clock=clock,
        )

    def build(
        self,
        resources: Iterable[Resource],
        version: str,
        previous: RegistrySnapshot | None = None,
        *,
        tolerant: bool = False,
        unreadable: Sequence[Issue] = (),
    ) -> RegistrySnapshot:
        """Check resources one by one and all together, and compile them.

        An inactive resource is checked too, and only what would hold between active ones is not asked of it.

        :param version: of the whole.
        :param previous: built here before and now to be replaced; what became of resources whose version is the same is
            taken from it, and the fetched keys that are left over are withdrawn.
        :param tolerant: whether a resource with a fault is left out, named, and the others go on without it; all those
            are at fault that have what only one may have, and those that cannot be without one that is. What is left
            out still has what it says that it has, so that nobody else gets it.
        :param unreadable: what is wrong with what is held besides; named as well.
        :raises Rejected: names every fault, where there is one and faults are not tolerated.
        """
        linked_before = () if previous is None else previous.linked
        checked = self._checked(resources, previous, linked_before, unreadable=_keys_of(unreadable), tolerant=tolerant)
        out_of_service = (*unreadable, *checked.faults, *checked.unusable)
        if checked.faults and not tolerant:
            raise Rejected(out_of_service)
        linked = checked.links.linked
        in_force = [link for link in linked if link.in_force]
        snapshot = RegistrySnapshot(
            version=version,
            resources=MappingProxyType(checked.held),
            introspection=_introspectors(checked.links),
            policies=_policies(checked.parts, previous),
            providers=MappingProxyType({link.introspector.introspector: link.provider for link in in_force}),
            out_of_service=out_of_service,
            left_out=checked.left_out,
            parts=MappingProxyType(checked.parts),
            linked=linked,
            secrets=checked.secrets.read,
        )
        if previous is not None:
            _retire_sources(previous, snapshot)
        return snapshot

    def faults(
        self,
        resources: Iterable[Resource],
        unreadable: Iterable[Key] = (),
        deleted: Collection[Key] = (),
        *,
        known: RegistrySnapshot | None = None,
    ) -> tuple[Issue, ...]:
        """Everything that is wrong with `resources`: why they must not be used, why introspectors in them could not
        check a token, and why policies would allow nothing.

        :param unreadable: what else is kept, so that a reference to it is not taken for one to nothing.
        :param deleted: see :meth:`.Linker.link`.
        :param known: built here before; what became of resources whose version is the same is taken from it.
        """
        checked = self._checked(resources, known, unreadable=frozenset(unreadable), deleted=deleted)
        of_secrets = (issue for resource in checked.held.values() for issue in checked.secrets.faults_of(resource))
        found = dict.fromkeys((*checked.faults, *of_secrets, *checked.unusable))
        # A resource may be stored before its secret is there.
        return tuple(issue for issue in found if not isinstance(issue, Absence))

    def is_current(self, snapshot: RegistrySnapshot) -> bool:
        """Whether the secrets that resources refer to are those that `snapshot` was built with."""
        return all(self._sources.read(reference) == reading for reference, reading in snapshot.secrets.items())

    def _checked(
        self,
        resources: Iterable[Resource],
        known: RegistrySnapshot | None,
        linked_before: Iterable[Linked] = (),
        *,
        unreadable: frozenset[Key],
        deleted: Collection[Key] = (),
        tolerant: bool = False,
    ) -> _Checked:
        """Check resources one by one and all together.

        :param known: see :meth:`faults`.
        :param linked_before: see :class:`.Linker`.
        :param unreadable: see :meth:`faults`.
        :param deleted: see :meth:`.Linker.link`.
        :param tolerant: see :class:`.Blame`.
        """
        faults = Faults()
        held = _by_key(resources, faults)
        secrets = Readings(self._sources) if known is None else Readings(self._sources, known.secrets)
        parts = self._parts(held, known, secrets, faults)
        faulty = [resource for key, resource in held.items() if key not in parts]
        blame = Blame(faults, [*(resource.key for resource in faulty), *unreadable], tolerant=tolerant)
        linker = self._linker(linked_before, secrets)
        links = linker.link(parts.values(), faulty, blame, unreadable=unreadable, deleted=deleted)
        left_out = unreadable.union(_named(blame.names, held.values()))
        return _Checked(held, secrets, parts, links, tuple(faults.issues), left_out)

    def _linker(self, linked_before: Iterable[Linked], secrets: Readings) -> Linker:
        return Linker(
            self._http,
            self._endpoints,
            default_audience=self._default_audience,
            key_grace=self._key_grace,
            cache_size=self._cache_size,
            sharing=self._sharing,
            clock=self._clock,
            secrets=secrets,
            previous=linked_before,
        )

    def _parts(
        self, held: Mapping[Key, Resource], previous: RegistrySnapshot | None, secrets: Readings, faults: Faults
    ) -> dict[Key, Part]:
        known = previous.parts if previous is not None else {}
        parts: dict[Key, Part] = {}
        for key, resource in held.items():
            part = known.get(key)
            if part is not None and part.version == secrets.version_of(resource):
                parts[key] = part
                continue
            with faults.gathered():
                parts[key] = self._maker.make(resource, secrets)
        return parts


def _policies(parts: Mapping[Key, Part], previous: RegistrySnapshot | None) -> Policies:
    in_force = (part.in_force for part in parts.values() if isinstance(part, PolicyPart))
    active = [policy for policy in in_force if policy is not None]
    return Policies(active) if previous is None else previous.policies.after(active)


def _introspectors(links: Links) -> Introspectors:
    by_issuer: dict[str, IssuerIntrospector] = {}
    by_prefix: dict[str, OpaqueIntrospector] = {}
    reserved = set(links.reserved)
    for link in links.linked:
        prefix = link.settings.token_prefix
        if not link.in_force:
            reserved |= {prefix} if prefix is not None else set()
            continue
        if link.settings.jwt.iss is not None:
            by_issuer[link.settings.jwt.iss] = link.introspector
        if isinstance(link.introspector, OpaqueIntrospector):
            by_prefix[prefix or ""] = link.introspector
    return Introspectors(by_issuer, by_prefix, reserved)


def _keys_of(unreadable: Iterable[Issue]) -> frozenset[Key]:
    """What cannot be read; of that nothing but the name is known."""
    names = (issue.resource.partition("/") for issue in unreadable)
    return frozenset((type_, id_) for type_, _, id_ in names)


def _issues_of(part: Part) -> tuple[Issue, ...]:
    if isinstance(part, PolicyPart):
        return part.issues
    return issues_of(part.keys) if isinstance(part, IntrospectorPart) else ()


def _retire_sources(previous: RegistrySnapshot, current: RegistrySnapshot) -> None:
    """Withdraw the keys that nobody renews any more.

    Else what they verified would count again once the very same introspector is back, whatever the provider has
    withdrawn meanwhile.
    """
    kept = {link.source for link in current.linked}
    for link in previous.linked:
        keys = _fetched_keys(link)
        if keys is not None and link.source not in kept:
            keys.retire()


def _fetched_keys(link: Linked) -> RemoteKeys | None:
    keys = link.introspector.keys if isinstance(link.introspector, JwtIntrospector) else None
    return keys if isinstance(keys, RemoteKeys) else None


def _fetched_for_userinfo(link: Linked) -> RemoteKeys | None:
    keys = link.signed.keys if link.signed is not None and link.signed_source is not None else None
    return keys if isinstance(keys, RemoteKeys) else None


def _by_key(resources: Iterable[Resource], faults: Faults) -> dict[Key, Resource]:
    given = tuple(resources)
    held = {(resource.type, resource.id): resource for resource in given}
    if len(held) < len(given):
        for name in {resource.name for resource in given if held[resource.key] is not resource}:
            faults.add(name, "", "is there twice")
    return held


def _named(names: Collection[str], resources: Iterable[Resource]) -> list[Key]:
    """The keys of those that are called so."""
    return [resource.key for resource in resources if resource.name in names] if names else []
