"""For whom a policy is: the users, clients and operations that it is linked to, and the role that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ..errors import Rejected
from ..faults import Faults
from .condition import Condition, Mismatch
from .matcho.engine import Matches
from .matcho.tree import Contains, Fields, Literal, Node, OneOf
from .paths import standing_at
from .request import RequestView

LINKED_PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {"User": "user", "Client": "client", "Operation": "operation"}
)
"""What a link can name, and the part of the request whose ``id`` it is compared with."""

_ROLES: Final = ("user", "roles")


@dataclass(frozen=True, slots=True)
class Link:
    """Narrows a policy to one user, client or operation.

    :param kind: a key of :data:`LINKED_PARTS`.
    :param id: the user's id, the token's ``azp`` or ``client_id``, or the endpoint's name.
    """

    kind: str
    id: str

    @property
    def path(self) -> tuple[str, str]:
        """Where in the request its `id` must stand."""
        return LINKED_PARTS[self.kind], "id"

    def pattern(self) -> Node:
        """The requests that the link leaves, as a pattern."""
        part, member = self.path
        return Fields((part,), (Fields((member,), (Literal(self.id),)),))


@dataclass(frozen=True, slots=True)
class Linked(Matches):
    """One of `links` names the request's user, client or operation."""

    links: tuple[Link, ...]

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        # Named, since a class with slots is another one than that which super() knows.
        if not Matches.mismatches(self, view):
            return []
        return [
            Mismatch(link.path, {"reference": f"{link.kind}/{link.id}"}, standing_at(view, link.path))
            for link in self.links
        ]


@dataclass(frozen=True, slots=True)
class HasRole(Matches):
    """The user has a role: what ``roleName`` asks, told in its own word."""

    role: str

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        if not Matches.mismatches(self, view):
            return []
        return [Mismatch(_ROLES, {"roleName": self.role}, standing_at(view, _ROLES))]


def has_role(role: str) -> Condition:
    """That the user has a role: ``roles`` of the User resource is its name, or a list with it, as a text or as SCIM
    writes it, ``{"value": "…"}`` (:rfc:`7643#section-4.1.2`)."""
    named = Literal(role)
    one = OneOf((named, Fields(("value",), (named,))))
    return HasRole(Fields(("user",), (Fields(("roles",), (OneOf((named, Contains(one))),)),)), role)


def linked_to(links: tuple[Link, ...]) -> Condition:
    """That one of `links` names the request's user, client or operation; there is at least one."""
    return Linked(OneOf(tuple(link.pattern() for link in links)), links)


def read_role(body: Mapping[str, object]) -> Sequence[Condition]:
    if "roleName" not in body:
        return ()
    role = body["roleName"]
    if not isinstance(role, str) or not role.strip():
        raise Rejected.at("roleName", "say the name of a role, or leave it out")
    return (has_role(role),)


def read_links(body: Mapping[str, object]) -> tuple[Link, ...]:
    if "link" not in body:
        return ()
    written = body["link"]
    if not isinstance(written, list | tuple) or not written:
        raise Rejected.at("link", "say a list with at least one link, or leave it out for a policy without links")
    links: list[Link] = []
    faults = Faults()
    for index, entry in enumerate(written):
        with faults.gathered("", f"link.{index}"):
            links.append(_link(entry))
    faults.raise_any()
    return tuple(links)


def _link(entry: object) -> Link:
    match entry:
        case {"reference": str(reference), **others} if not others:
            # An id may hold slashes: a client can be known by a URL.
            kind, _, identifier = reference.partition("/")
            path = "reference"
        case {"resourceType": str(kind), "id": str(identifier), **others} if not others:
            path = "resourceType"
        case _:
            raise Rejected.at("", 'a link is {"reference": "User/…"} or {"resourceType": "User", "id": "…"}')
    if kind not in LINKED_PARTS or not identifier:
        raise Rejected.at(path, f"a link names one of {', '.join(f'{kind}/…' for kind in LINKED_PARTS)}")
    return Link(kind, identifier)
