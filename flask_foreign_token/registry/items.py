"""The items of a file registry: resources as somebody wrote them, with the text of variables in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard, cast

from ..errors import Rejected
from .registry import Kept
from .resources import Key, Resource, identify, stored_form, version_of
from .secrets import masked
from .variables import expand

_EXPANDED = ("IdentityProvider", "TokenIntrospector")


def key_of(item: object, environ: Mapping[str, str]) -> Key | None:
    """The key of the resource that `item` is, or means to be; none: nobody can tell."""
    try:
        if _is_expanded(item):
            item = {**item, **expand({"id": item.get("id")}, environ)}
        return identify(item)
    except Rejected:
        return None


def resource_in(item: object, environ: Mapping[str, str]) -> Resource:
    """The resource in `item`, variables replaced.

    :raises Rejected: it is none, or names a variable that is not there; the paths are those in the item.
    """
    if _is_expanded(item):
        item = expand(item, environ)
    type_, id_ = identify(item)
    body = stored_form(cast("Mapping[str, object]", item))
    return Resource(type_, id_, version_of(body), body)


def kept_in(item: Mapping[str, object], key: Key) -> Kept:
    """The resource in `item` as it is written, but for an id that is a variable."""
    body = stored_form(item) | {"id": key[1]}
    return Kept(key, body, version_of(masked(body)))


def _is_expanded(item: object) -> TypeGuard[dict[str, object]]:
    return isinstance(item, dict) and item.get("resourceType") in _EXPANDED
