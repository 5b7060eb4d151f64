"""Snapshots of what is partly wrong, and what is seen of them."""

from __future__ import annotations

from collections.abc import Mapping

from flask_foreign_token.errors import Issue
from flask_foreign_token.registry.snapshot import RegistrySnapshot

from .bodies import opaque
from .snapshots import BUILDER, stored

Body = Mapping[str, object]


def tolerant(
    *bodies: Body, previous: RegistrySnapshot | None = None, unreadable: tuple[Issue, ...] = ()
) -> RegistrySnapshot:
    return BUILDER.build(stored(*bodies), "1", previous, tolerant=True, unreadable=unreadable)


def named(snapshot: RegistrySnapshot) -> set[tuple[str, str]]:
    return {(issue.resource, issue.path) for issue in snapshot.out_of_service}


def in_service(snapshot: RegistrySnapshot) -> set[str]:
    return {link.settings.id for link in snapshot.linked}


def garbage(name: str) -> tuple[Issue, ...]:
    return (Issue(name, "", "the stored body is not JSON"),)


def prefixed(id_: str, prefix: str | None = None, **attributes: object) -> Body:
    return opaque(id_, jwt={"iss": f"https://{id_}.example"}, token_prefix=prefix or f"{id_}_", **attributes)


def unknown(body: Body) -> Body:
    """A resource as `body`, with a fault that hides nothing of what it says."""
    return {**body, "unknown": True}
