"""Resources: as somebody wrote them, and as the rest of the package uses them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from sys import intern
from typing import Any, Literal

from marshmallow import ValidationError

from ..errors import Issue, Rejected
from ..printable import shown
from .fields import SecretReference, flatten, nearest
from .schemas import ID, NO_ID, SCHEMAS, target

_ID = re.compile(ID)

Key = tuple[str, str]
"""Type and id of a resource."""

PlacedSecret = str | SecretReference
"""What stands in a secret's place: the secret itself, or where it is."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it is kept.

    :param type: ``"AccessPolicy"``; what :func:`identify` found.
    :param id: unique within its type.
    :param version: changes whenever the body does.
    :param body: what was written, without ``meta``.
    :param last_updated: seconds since the epoch; unknown in a file.
    """

    type: str
    id: str
    version: str
    body: Mapping[str, object] = field(repr=False)
    last_updated: float | None = None

    @property
    def key(self) -> Key:
        return self.type, self.id

    @property
    def name(self) -> str:
        """As an :class:`~.errors.Issue` and a reference name it, ``"AccessPolicy/readers"``."""
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Client:
    """What this application is to the provider."""

    id: str | None = None
    secret: PlacedSecret | None = field(default=None, repr=False)
    auth_method: str | None = None
    redirect_uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    """Who issues tokens, and what becomes of their subjects.

    :param system: the identifier system of its users, 1 to 255 characters.
    :param issuer: a text; called only to discover an endpoint that is needed and not there.
    :param userinfo_source: ``"userinfo-endpoint"``, which then is there, or an `issuer`; or ``"id-token"``: the token's
        own claims.
    :param userinfo_header: the word before the token when userinfo is asked for.
    :param to_scim: userinfo key → path in the user.
    :param subject_claim: the claim that names the user.
    :param create_user: whether unknown subjects become users; none: as the application says.
    :param match_by: ``"email"``, or none.
    :param userinfo_refresh: seconds, 0 to 31 536 000.
    """

    id: str
    active: bool
    system: str
    userinfo_source: str
    userinfo_header: str
    to_scim: Mapping[str, object]
    subject_claim: str
    title: str | None = None
    issuer: str | None = None
    authorize_endpoint: str | None = None
    token_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    introspection_endpoint: str | None = None
    jwks_uri: str | None = None
    revocation_endpoint: str | None = None
    scopes: tuple[str, ...] = ()
    client: Client | None = None
    create_user: bool | None = None
    match_by: Literal["email"] | None = None
    userinfo_refresh: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """What an introspector asks of a token. An opaque one has `iss`, `aud`, `client_id` and `leeway` at most.

    :param iss: the token's issuer, character by character; none: it is an opaque token, of an issuer that has no name.
        Called only to discover keys that are not there.
    :param secret: of HMAC signatures. At most one of `secret`, `keys` and the introspector's `jwks_uri` is there.
    :param keys: as they are written, `kty`, `alg`, `format` and `pub` or `k`, which may be a reference.
    :param aud: any of which the token must name; empty: see `client_id`.
    :param client_id: one of which the token's `azp` or `client_id` must be; empty: not looked at.
    :param algorithms: which alone are taken; none: those of the keys.
    :param typ: of the token's header (:rfc:`8725#section-3.11`); none: not looked at.
    :param leeway: seconds by which clocks may differ, 0 to 300.
    """

    iss: str | None = None
    leeway: int = 30
    secret: PlacedSecret | None = field(default=None, repr=False)
    keys: tuple[Mapping[str, PlacedSecret], ...] = field(default=(), repr=False)
    aud: tuple[str, ...] = ()
    client_id: tuple[str, ...] = ()
    algorithms: tuple[str, ...] | None = None
    typ: str | None = None

    @property
    def issuer(self) -> str:
        """`iss` of JWTs, which the schema sees to.

        :raises Rejected: it is not there.
        """
        if self.iss is None:
            raise Rejected.at("jwt.iss", "is required, since type is jwt")
        return self.iss


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionEndpointSettings:
    """Who is asked about opaque tokens, and how this application shows who it is: by `authorization`, or as a client.

    :param authorization: the header as it is sent; none: `client_id` and `client_secret` are there.
    :param auth_method: ``"client_secret_basic"`` or ``"client_secret_post"``.
    """

    url: str
    authorization: PlacedSecret | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: PlacedSecret | None = field(default=None, repr=False)
    auth_method: str = "client_secret_basic"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIntrospector:
    """How tokens of one issuer are checked.

    :param type: ``"jwt"``, where `jwt` names the issuer, or ``"opaque"``.
    :param cache_ttl: age of a key set, and of what was found out about a token, in seconds, 1 to 86 400.
    :param identity_provider: id of the linked provider; none: its tokens have no user.
    :param token_prefix: what opaque tokens begin with.
    :param token_type: what must be named as theirs; none: it may be left out.
    :param introspection_endpoint: who is asked about them; none: the linked provider.
    """

    id: str
    active: bool
    type: str
    cache_ttl: int
    jwt: JwtSettings = JwtSettings()
    identity_provider: str | None = None
    jwks_uri: str | None = None
    token_prefix: str | None = None
    token_type: Literal["Bearer"] | None = None
    introspection_endpoint: IntrospectionEndpointSettings | None = None

    @property
    def name(self) -> str:
        """As an :class:`~.errors.Issue` and a reference name it."""
        return f"TokenIntrospector/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicy:
    """What there is to know of a policy beside what its engine makes of it."""

    id: str
    active: bool
    engine: str
    description: str | None = None


Loaded = IdentityProvider | TokenIntrospector | AccessPolicy


def identify(body: object) -> Key:
    """Type and id of what somebody wrote.

    :raises Rejected: it is no object, or `resourceType` or `id` is missing or none that this version knows.
    """
    if not isinstance(body, Mapping):
        raise Rejected.at("", "must be an object with resourceType and id")
    return _type_of(body), _id_of(body)


def load(resource: Resource) -> Loaded:
    """Check a resource by itself and turn it into what the rest of the package uses.

    References, addresses, keys, patterns and ``toScim`` are checked where they are put to use.

    :raises Rejected: names the resource and every fault in it.
    """
    try:
        data = SCHEMAS[resource.type].load(dict(resource.body))
    except ValidationError as error:
        faults = sorted(flatten(error.messages))
        raise Rejected([Issue(resource.name, path, reason) for path, reason in faults]) from None
    data.pop("meta", None)
    if (data.pop("type_name", resource.type), data.pop("id", resource.id)) != resource.key:
        raise Rejected([Issue(resource.name, "id", "resourceType and id must be those that it is kept under")])
    return _MAKERS[resource.type](resource.id, data)


def stored_form(body: Mapping[str, object]) -> dict[str, object]:
    """`body` as it is kept: without ``meta``, and each reference in the form ``{"reference": "Type/id"}``."""
    kept = {name: value for name, value in body.items() if name != "meta"}
    links = kept.get("link")
    if isinstance(links, Sequence) and not isinstance(links, str):
        kept["link"] = [_long_form(link) for link in links]
    if "identity_provider" in kept:
        kept["identity_provider"] = _long_form(kept["identity_provider"])
    return kept


def canonical(body: Mapping[str, object]) -> str:
    """The one JSON text of `body`: members sorted, ASCII, no blanks. Equal bodies have equal texts.

    :raises Rejected: it holds what JSON cannot, or nests without end.
    """
    try:
        return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise Rejected.at("", "cannot be written as JSON") from None


def sharing_texts(resources: Iterable[Resource]) -> list[Resource]:
    """The same resources, with one text in place of equal ones: policies are many, and say much the same."""
    texts: dict[str, str] = {}
    return [
        replace(resource, body={intern(name): _shared(value, texts) for name, value in resource.body.items()})
        for resource in resources
    ]


def digest(text: str) -> str:
    """A short name of `text`, 16 characters, from which it cannot be read."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def version_of(body: Mapping[str, object]) -> str:
    """A version that depends on the body alone, for registries that count none."""
    return digest(canonical(body))


def _shared(value: object, texts: dict[str, str]) -> object:
    if isinstance(value, str):
        return texts.setdefault(value, value)
    if isinstance(value, dict):
        return {intern(name): _shared(item, texts) for name, item in value.items()}
    if isinstance(value, list):
        return [_shared(item, texts) for item in value]
    return value


def _type_of(body: Mapping[str, object]) -> str:
    written = body.get("resourceType")
    if written is None:
        raise Rejected.at("resourceType", f"is required, one of {', '.join(SCHEMAS)}")
    if not isinstance(written, str) or written not in SCHEMAS:
        meant = nearest(shown(written), SCHEMAS)
        raise Rejected.at("resourceType", f"must be one of {', '.join(SCHEMAS)}{meant}")
    return written


def _id_of(body: Mapping[str, object]) -> str:
    written = body.get("id")
    if written is None:
        raise Rejected.at("id", "is required")
    if not isinstance(written, str) or not _ID.match(written):
        raise Rejected.at("id", NO_ID)
    return written


def _long_form(reference: object) -> object:
    if not isinstance(reference, Mapping) or set(reference) != {"resourceType", "id"}:
        return reference
    if not all(isinstance(part, str) for part in reference.values()):
        return reference
    return {"reference": f"{reference['resourceType']}/{reference['id']}"}


def _provider(id_: str, data: dict[str, Any]) -> IdentityProvider:
    client = data.pop("client", None)
    scopes = tuple(data.pop("scopes", ()))
    return IdentityProvider(id=id_, client=client and Client(**client), scopes=scopes, **data)


def _introspector(id_: str, data: dict[str, Any]) -> TokenIntrospector:
    jwt: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.pop("jwt", {}).items()
    }
    asked = data.pop("introspection_endpoint", None)
    reference = data.pop("identity_provider", None)
    return TokenIntrospector(
        id=id_,
        jwt=JwtSettings(**jwt),
        introspection_endpoint=asked and IntrospectionEndpointSettings(**asked),
        identity_provider=None if reference is None else target(reference)[1],
        **data,
    )


def _policy(id_: str, data: dict[str, Any]) -> AccessPolicy:
    return AccessPolicy(id=id_, active=data["active"], engine=data["engine"], description=data.get("description"))


_MAKERS: Mapping[str, Callable[[str, dict[str, Any]], Loaded]] = {
    "IdentityProvider": _provider,
    "TokenIntrospector": _introspector,
    "AccessPolicy": _policy,
}
