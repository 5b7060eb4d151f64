"""One endpoint of the operator's API, as each module of routes hands it to the blueprint.

Such a module has ``NAMES``, the names of its endpoints without the blueprint's, and a function ``routes`` that makes
them for one app.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from flask import Response

NAME: Final = "foreign_token"
"""The blueprint's, and so what the name of each endpoint begins with."""

USER: Final = "User"
TYPES: Final = {
    "IdentityProvider": "identity_provider",
    "TokenIntrospector": "token_introspector",
    "AccessPolicy": "access_policy",
    USER: "user",
}
"""The types of resource, and what their endpoints call them."""


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint.

    :param name: without the blueprint's, as a link of a policy names it after ``Operation/foreign_token.``.
    :param method: the one that it is asked with; HEAD and OPTIONS come by themselves.
    :param path: behind the prefix, as Flask writes rules: ``"/User/<id_>"``.
    :param view: called with what the path has in angle brackets.
    """

    name: str
    method: str
    path: str
    view: Callable[..., Response]


Verbs = Mapping[str, tuple[str, str]]
"""What can be done with resources: the method and the path, behind that of their type."""


def names_of(types: Iterable[str], verbs: Verbs) -> frozenset[str]:
    """The names of the endpoints of each of `types`."""
    return frozenset(f"{verb}_{TYPES[type_]}" for type_ in types for verb in verbs)


def routes_of(type_: str, verbs: Verbs, views: object) -> Iterator[Route]:
    """The endpoints of one type.

    :param views: has a method for each verb, of its name.
    """
    for verb, (method, path) in verbs.items():
        yield Route(f"{verb}_{TYPES[type_]}", method, f"/{type_}{path}", getattr(views, verb))
