"""What the table of each type of resource shows, also of what must not be used: a file may hold anything."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

Body = Mapping[str, object]
Column = tuple[str, Callable[[Body], str]]

_HOST = re.compile(r"https?://([^/?#]+)")
_FRACTION = re.compile(r"\.[0-9]+")


def table_of(type_: str, bodies: Sequence[Body]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows, without the columns in which there is nothing to know: nothing at all, or that all are active.

    :param type_: of all `bodies`.
    """
    columns = [(heading, list(map(value, bodies))) for heading, value in (_ID, _ACTIVE, *_OWN[type_])]
    headings, cells = zip(*((heading, cells) for heading, cells in columns if _tells(heading, cells)), strict=True)
    return list(headings), list(map(list, zip(*cells, strict=True)))


def _tells(heading: str, cells: Sequence[str]) -> bool:
    return any(cell != "yes" for cell in cells) if heading == "active" else any(cells)


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


def last_updated(body: Body) -> str:
    """When `body` was last written, to the second; nothing where no time is kept."""
    return _FRACTION.sub("", text_of(at(body, "meta", "lastUpdated")))


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


def provider_of(introspector: Body) -> str:
    """The id of the IdentityProvider that it is linked to; empty: none."""
    reference = introspector.get("identity_provider")
    return str(at(reference, "id") or at(reference, "reference") or "").removeprefix("IdentityProvider/")


def _attribute(*path: str, default: object = None) -> Callable[[Body], str]:
    def value(body: Body) -> str:
        found = at(body, *path)
        return text_of(default if found is None else found)

    return value


def _is_opaque(body: Body) -> bool:
    return body.get("type") == "opaque"


def _keys(body: Body) -> str:
    if _is_opaque(body):
        return ""
    if keys := at(body, "jwt", "keys"):
        return f"keys ({len(keys)})" if isinstance(keys, list) else "keys"
    if at(body, "jwt", "secret"):
        return "secret"
    return _host(body.get("jwks_uri")) or ("provider" if body.get("identity_provider") else "issuer")


def _asks(body: Body) -> str:
    if not _is_opaque(body):
        return ""
    return _host(at(body, "introspection_endpoint", "url")) or ("provider" if body.get("identity_provider") else "")


def _host(address: object) -> str:
    text = text_of(address)
    found = _HOST.match(text)
    return found[1] if found else text


def _audience(body: Body) -> str:
    if audience := at(body, "jwt", "aud"):
        return text_of(audience)
    clients = text_of(at(body, "jwt", "client_id"))
    return clients and f"of clients: {clients}"


_ID: Column = ("id", _attribute("id"))
_ACTIVE: Column = ("active", _attribute("active", default=True))
_LAST_UPDATED: Column = ("last updated", last_updated)
_OWN: Mapping[str, Sequence[Column]] = {
    "IdentityProvider": (
        ("system", _attribute("system")),
        ("userinfo from", _attribute("userinfo-source", default="userinfo-endpoint")),
        _LAST_UPDATED,
    ),
    # What it trusts fills the line; of which type it is shows in what follows, and "get" prints the time.
    "TokenIntrospector": (
        ("iss", _attribute("jwt", "iss")),
        ("keys from", _keys),
        ("asks", _asks),
        ("audience", _audience),
        ("provider", provider_of),
    ),
    "AccessPolicy": (
        ("engine", _attribute("engine")),
        ("links", _attribute("link")),
        ("description", _attribute("description")),
        _LAST_UPDATED,
    ),
}
