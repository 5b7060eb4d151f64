"""The database that the engine ``sql`` asks."""

from __future__ import annotations


class Database:
    """Placeholder until the engine lands."""
