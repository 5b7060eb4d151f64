"""What is kept of a user, for whoever asks for it, or that it be forgotten."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from ..errors import Rejected
from ..instants import instant
from .account_access import AccountAccess, constrained_as, naming, note_end
from .identifier import Identifier
from .snapshot import resource_of


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What became of a user who was forgotten.

    :param id: the primary key as a text.
    :param row: their row, as ``Person/7``, which stays, since it is the app's own or others refer to it; none: it went.
    :param kept: the attributes of that row, among those that ``toScim`` may set, that cannot be null and stay.
    """

    id: str
    row: str | None
    kept: tuple[str, ...] = ()


class PersonalData:
    """What is kept of users. Making one does no I/O."""

    def __init__(self, access: AccountAccess) -> None:
        self._access = access

    def export(self, id_: str) -> dict[str, object] | None:
        """The User resource of a user and all that is stored of each identifier; none: there is no such user.

        What else the app has in tables of its own is not part of it.

        :raises DatabaseUnavailable: the database cannot be read.
        """
        user = self._access.find(id_)
        if user is None:
            return None
        return {"user": resource_of(user), "identifiers": list(map(_exported, user.identifiers))}

    def forget(self, id_: str) -> Forgotten:
        """Forget a user: their identifiers, and all that providers said.

        The next token of the same subject makes a new user. The row is deleted if the model is ours. Else it stays, and
        what ``toScim`` may set of it is null from now on, where it can be.

        :raises NotStored: there is none.
        :raises Rejected: the app's model does not let go of the user.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        constrained = Rejected.at("", "cannot be forgotten: a constraint of the model forbids it")
        with naming(id_), constrained_as(constrained), self._access.writing() as writing:
            user = self._access.stored(writing, id_, to_delete=self._is_ours)
            connection, rows = writing.connection, self._access.rows
            rows.delete_identifiers(connection, [identifier.pair for identifier in user.identifiers])
            if self._is_ours and rows.delete(connection, user.key):
                note_end(writing, user)
                return Forgotten(id_, None)
            kept = rows.clear_own(connection, user)
            held = {name for name, value in user.own.items() if value is not None}
            if user.identifiers or held - set(kept):
                note_end(writing, user)
            return Forgotten(id_, f"{self._access.models.user.__name__}/{id_}", tuple(kept))

    @property
    def _is_ours(self) -> bool:
        """Whether the app has no model of its own."""
        return sa.inspect(self._access.models.user).local_table in self._access.models.tables


def _exported(identifier: Identifier) -> dict[str, object]:
    refreshed_at = identifier.refreshed_at
    return {
        "system": identifier.system,
        "value": identifier.value,
        "issuer": identifier.issuer,
        "inactive": identifier.inactive,
        "data": dict(identifier.data),
        "attributes": dict(identifier.attributes),
        "written": dict(identifier.written),
        "version": identifier.version,
        "createdAt": instant(identifier.created_at),
        "updatedAt": instant(identifier.updated_at),
        "refreshedAt": None if refreshed_at is None else instant(refreshed_at),
    }
