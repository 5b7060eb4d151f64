"""What the table of each type of resource shows, also of what must not be used: a file may hold anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

Body = Mapping[str, object]
Column = tuple[str, Callable[[Body], str]]


def table_of(type_: str, bodies: Sequence[Body]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows; times only where there are any.

    :param type_: of all `bodies`.
    """
    columns = [*_FIRST, *_OWN[type_], _LAST_UPDATED]
    rows = [[value(body) for _, value in columns] for body in bodies]
    headings = [heading for heading, _ in columns]
    if not any(row[-1] for row in rows):
        return headings[:-1], [row[:-1] for row in rows]
    return headings, rows


def text_of(value: object) -> str:
    """`value` in a cell: a text as it is, a list with commas, a reference as what it leads to."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case list() | tuple():
            return ", ".join(map(text_of, value))
        case {"reference": reference}:
            return text_of(reference)
        case _:
            return json.dumps(value)


def without_meta(body: Body) -> dict[str, object]:
    """`body` as somebody wrote it."""
    return {name: value for name, value in body.items() if name != "meta"}


def at(value: object, *path: str) -> object:
    """What stands at `path`; none where there is nothing."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _attribute(*path: str, default: object = None) -> Callable[[Body], str]:
    def value(body: Body) -> str:
        found = at(body, *path)
        return text_of(default if found is None else found)

    return value


def _keys(body: Body) -> str:
    if keys := at(body, "jwt", "keys"):
        return f"jwt.keys ({len(keys)})" if isinstance(keys, list) else "jwt.keys"
    if at(body, "jwt", "secret"):
        return "jwt.secret"
    return text_of(body.get("jwks_uri")) or text_of(body.get("identity_provider"))


def _audience(body: Body) -> str:
    if audience := at(body, "jwt", "aud"):
        return text_of(audience)
    clients = text_of(at(body, "jwt", "client_id"))
    return clients and f"of clients: {clients}"


def _provider(body: Body) -> str:
    return text_of(body.get("identity_provider")).removeprefix("IdentityProvider/")


_FIRST: Sequence[Column] = (("id", _attribute("id")), ("active", _attribute("active", default=True)))
_LAST_UPDATED: Column = ("last updated", _attribute("meta", "lastUpdated"))
_OWN: Mapping[str, Sequence[Column]] = {
    "IdentityProvider": (
        ("system", _attribute("system")),
        ("userinfo from", _attribute("userinfo-source", default="userinfo-endpoint")),
    ),
    "TokenIntrospector": (
        ("type", _attribute("type")),
        ("iss", _attribute("jwt", "iss")),
        ("keys from", _keys),
        ("audience", _audience),
        ("provider", _provider),
    ),
    "AccessPolicy": (
        ("engine", _attribute("engine")),
        ("links", _attribute("link")),
        ("description", _attribute("description")),
    ),
}
