"""A user as the database has it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .identifier import Identifier


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user as the database has it.

    :param key: the value of the primary key.
    :param enabled: what the app's active attribute says; true where there is none.
    :param identifiers: from the oldest to the newest.
    :param own: the attributes of the app's model that ``toScim`` may set, by name.
    """

    key: Any
    enabled: bool
    identifiers: tuple[Identifier, ...]
    own: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def active(self) -> bool:
        """Neither the app's active attribute nor any identifier says otherwise."""
        return self.enabled and not any(identifier.inactive for identifier in self.identifiers)

    def identifier(self, id_: str) -> Identifier | None:
        """The one whose :func:`identifier_id` that is, if it is still the user's."""
        return next((one for one in self.identifiers if identifier_id(one.system, one.value) == id_), None)


def identifier_id(system: str, value: str) -> str:
    """The key of a row of ``foreign_token_identifier``: equal only if both texts are, byte by byte."""
    return hashlib.sha256(f"{system}\0{value}".encode()).hexdigest()
