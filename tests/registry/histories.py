"""What became of resources, as tests look at it."""

from __future__ import annotations

from flask_foreign_token.errors import Issue
from flask_foreign_token.registry.catalog import Catalog
from flask_foreign_token.registry.registry import Past, Store

from .snapshots import BUILDER


def catalog_of(store: Store) -> Catalog:
    """Shows and changes what is stored; finds every description odd."""
    return Catalog(
        store,
        prepare=lambda: None,
        faults=BUILDER.faults,
        refresh=lambda: None,
        lint=lambda key, body: [Issue("/".join(key), "description", "is odd")] if "description" in body else [],
    )


def told(pasts: list[Past]) -> list[tuple[str, str, str]]:
    """Version, outcome and author of each."""
    return [(past.version, past.outcome, past.by) for past in pasts]
