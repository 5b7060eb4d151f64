"""What providers and introspectors have to themselves: what no other may have beside them, in service or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from marshmallow import ValidationError
from marshmallow.fields import Field

from .parts import IntrospectorPart, ProviderPart
from .resources import Key, Resource
from .schemas import SCHEMAS, JwtSchema

_PROVIDER_ISSUER = SCHEMAS["IdentityProvider"].fields["issuer"]
_TOKEN_PREFIX = SCHEMAS["TokenIntrospector"].fields["token_prefix"]
_ISS = JwtSchema().fields["iss"]


class ProviderHolding(NamedTuple):
    """What an IdentityProvider has to itself.

    :param name: of the resource.
    :param active: as far as anybody can tell.
    :param system: none: nobody can tell.
    :param issuer: none: it names none.
    :param hides_issuer: whether it names an issuer, and nobody can tell which.
    """

    name: str
    active: bool
    system: str | None
    issuer: str | None
    hides_issuer: bool = False

    @property
    def id(self) -> str:
        """The resource's."""
        return self.name.partition("/")[2]

    @classmethod
    def of(cls, part: ProviderPart) -> ProviderHolding:
        """That of a provider without faults of its own."""
        settings = part.settings
        return cls(f"IdentityProvider/{settings.id}", settings.active, settings.system, settings.issuer)

    @classmethod
    def read(cls, resource: Resource) -> ProviderHolding:
        """That of a provider that has faults, as far as it can be read."""
        body = resource.body
        issuer = _told(_PROVIDER_ISSUER, body, "issuer")
        hides_issuer = issuer is None and "issuer" in body
        return cls(resource.name, _active(body), _text(body.get("system")), issuer, hides_issuer)


class IntrospectorHolding(NamedTuple):
    """What a TokenIntrospector has to itself.

    :param name: of the resource.
    :param type: none: nobody can tell.
    :param in_force: whether it is active, and its provider too, as far as anybody can tell.
    :param provider: the id of the one that it is linked to.
    :param iss: the issuer that it names.
    :param issuer: whose tokens it takes; none: nobody can tell.
    :param prefix: what its opaque tokens begin with; none: anything.
    :param hides_issuer: whether it names an issuer, and nobody can tell which.
    :param hides_provider: whether it is linked to a provider, and nobody can tell which.
    :param hides_prefix: whether nobody can tell what its opaque tokens begin with, should it have any.
    """

    name: str
    type: str | None
    in_force: bool
    provider: str | None
    iss: str | None
    issuer: str | None
    prefix: str | None
    hides_issuer: bool = False
    hides_provider: bool = False
    hides_prefix: bool = False

    @classmethod
    def of(cls, part: IntrospectorPart) -> IntrospectorHolding:
        """That of an introspector without faults of its own."""
        settings = part.settings
        iss = settings.jwt.iss
        link = settings.identity_provider
        return cls(settings.name, settings.type, settings.active, link, iss, iss, settings.token_prefix)

    @classmethod
    def read(cls, resource: Resource) -> IntrospectorHolding:
        """That of an introspector that has faults, as far as it can be read.

        What is not there, and need not be, is not hidden: an attribute that was taken away, or is misspelt, is gone as
        after an edit.
        """
        body = resource.body
        type_ = _type(body)
        link = _link(body)
        jwt = body.get("jwt", {})
        iss = _told(_ISS, jwt, "iss") if isinstance(jwt, Mapping) else None
        is_nameless = type_ == "opaque" and isinstance(jwt, Mapping) and "iss" not in jwt
        prefix = _told(_TOKEN_PREFIX, body, "token_prefix")
        may_have_a_prefix = "token_prefix" in body or (type_ is None and not _has_keys(body))
        return cls(
            name=resource.name,
            type=type_,
            in_force=_active(body),
            provider=link,
            iss=iss,
            issuer=iss,
            prefix=prefix,
            hides_issuer=iss is None and not is_nameless,
            hides_provider=link is None and "identity_provider" in body,
            hides_prefix=prefix is None and may_have_a_prefix,
        )


class Holdings:
    """What all of them have to themselves.

    Those that are left out count too: a fault in one must not hand to another what is not its own.

    :param faulty: resources with faults of their own.
    :param unreadable: what else is held; nobody knows what it is.
    """

    def __init__(
        self,
        providers: Iterable[ProviderPart],
        introspectors: Iterable[IntrospectorPart],
        faulty: Iterable[Resource],
        unreadable: Iterable[Key],
    ) -> None:
        faulty = tuple(faulty)
        self.providers = [
            *map(ProviderHolding.of, providers),
            *(ProviderHolding.read(resource) for resource in faulty if resource.type == "IdentityProvider"),
        ]
        self._introspectors = [
            *map(IntrospectorHolding.of, introspectors),
            *(IntrospectorHolding.read(resource) for resource in faulty if resource.type == "TokenIntrospector"),
        ]
        self._unreadable = sorted(unreadable)
        self._linkable = {
            None,
            *(holding.id for holding in self.providers),
            *(id_ for type_, id_ in self._unreadable if type_ == "IdentityProvider"),
        }

    @property
    def hides_issuer(self) -> str | None:
        """The name of one that may name an issuer, nobody can tell which; none: there is no such one."""
        hiding = [
            *self._unreadable_names("IdentityProvider", "TokenIntrospector"),
            *(holding.name for holding in self.providers if holding.hides_issuer),
            *(holding.name for holding in self._introspectors if holding.hides_issuer),
        ]
        return hiding[0] if hiding else None

    @property
    def hides_provider(self) -> str | None:
        """The name of one that may speak for the issuer of some provider, nobody can tell of which; none: there is no
        such one."""
        hiding = [holding.name for holding in self._introspectors if self._is_astray(holding)]
        return hiding[0] if hiding else None

    @property
    def hides_prefix(self) -> str | None:
        """The name of one whose opaque tokens may begin with anything, for all that anybody can tell; none: there is
        no such one."""
        hiding = [
            *self._unreadable_names("TokenIntrospector"),
            *(holding.name for holding in self._introspectors if holding.hides_prefix),
        ]
        return hiding[0] if hiding else None

    @property
    def named_issuers(self) -> frozenset[str]:
        """Every issuer that somebody names, in force or not."""
        named = {*(holding.iss for holding in self._introspectors), *(holding.issuer for holding in self.providers)}
        return frozenset(issuer for issuer in named if issuer is not None)

    @property
    def issuers_of_providers(self) -> dict[str, str]:
        """Whose tokens lead to the users of each provider, by its id: what an introspector of it names, active or not,
        else its own `issuer`, unless an introspector may name another for it, and nobody can tell.
        """
        hiding = [holding for holding in self._introspectors if holding.hides_issuer or self._is_astray(holding)]
        issuers = {
            holding.id: holding.issuer
            for holding in self.providers
            if not any(self._may_outdo(holding, introspector) for introspector in hiding)
        }
        for holding in self._introspectors:
            if holding.provider is not None and holding.iss is not None:
                issuers[holding.provider] = holding.iss
        return {id_: issuer for id_, issuer in issuers.items() if issuer is not None}

    def introspectors(self, takers: Mapping[str, str]) -> list[IntrospectorHolding]:
        """What introspectors have to themselves.

        :param takers: whose tokens are taken by those that could be linked, by the names of the resources.
        """
        issuers = self.issuers_of_providers
        inactive = {holding.id for holding in self.providers if not holding.active}
        return [
            holding._replace(
                in_force=holding.in_force and holding.provider not in inactive,
                issuer=takers.get(holding.name) or holding.iss or issuers.get(holding.provider or ""),
            )
            for holding in self._introspectors
        ]

    def _may_outdo(self, provider: ProviderHolding, introspector: IntrospectorHolding) -> bool:
        """Whether, for all that anybody can tell, an introspector may name for a provider another issuer than its
        own."""
        if self._is_astray(introspector):
            return introspector.iss is None or introspector.iss != provider.issuer
        return introspector.hides_issuer and introspector.provider == provider.id

    def _is_astray(self, introspector: IntrospectorHolding) -> bool:
        """Whether an introspector is linked, and nobody can tell to which provider; one that is not there is none."""
        return introspector.hides_provider or introspector.provider not in self._linkable

    def _unreadable_names(self, *types: str) -> list[str]:
        return ["/".join(key) for key in self._unreadable if key[0] in types]


def _active(body: Mapping[str, object]) -> bool:
    return body.get("active") is not False


def _type(body: Mapping[str, object]) -> str | None:
    written = body.get("type")
    if written == "jwt":
        return "jwt"
    is_opaque = written == "opaque" or "token_prefix" in body or "introspection_endpoint" in body
    return "opaque" if is_opaque else None


def _has_keys(body: Mapping[str, object]) -> bool:
    """Whether it verifies tokens itself, and takes none that are opaque."""
    return "jwks_uri" in body or any(_member(body, "jwt", name) is not None for name in ("secret", "keys"))


def _link(body: Mapping[str, object]) -> str | None:
    reference = _member(body, "identity_provider", "reference")
    if reference is None:
        type_, id_ = (_member(body, "identity_provider", name) for name in ("resourceType", "id"))
    else:
        type_, _, id_ = (_text(reference) or "").partition("/")
    return (_text(id_) or None) if type_ == "IdentityProvider" else None


def _told(field: Field[Any], body: Mapping[str, object], name: str) -> str | None:
    """An attribute; none: it is not there, or does not read as one can.

    :param field: the attribute.
    """
    try:
        return _text(field.deserialize(body.get(name)))
    except ValidationError:
        return None


def _member(body: Mapping[str, object], name: str, member: str) -> object:
    inner = body.get(name)
    return inner.get(member) if isinstance(inner, Mapping) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
