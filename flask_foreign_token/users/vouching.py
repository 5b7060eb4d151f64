"""Who vouches for identifiers that a user is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa

from ..faults import Faults
from .account_rows import AccountRows
from .identifier import Pair


class Vouching:
    """Who vouches for identifiers that a user is given.

    :param issuer_of: the issuer whose tokens lead to identifiers of a system; none: no introspector in force has such
        a provider.
    """

    def __init__(self, rows: AccountRows, issuer_of: Callable[[str], str | None]) -> None:
        self._rows = rows
        self.issuer_of = issuer_of

    def issuers(self, pairs: Iterable[Pair]) -> dict[str, str | None]:
        """The issuer in force for the system of each; asked before a transaction begins.

        :raises RegistryUnavailable: that cannot be told.
        """
        return {system: self.issuer_of(system) for system in {system for system, _ in pairs}}

    def vouched(
        self, connection: sa.Connection, new: Mapping[Pair, str], issuers: Mapping[str, str | None]
    ) -> dict[str, str]:
        """The issuer of each system, by which `new` identifiers can be stored; those that have outlived their users are
        deleted, so that they can be stored anew.

        :param new: where each stands in what somebody wrote.
        :param issuers: of :meth:`issuers`.
        :raises Rejected: somebody else has one, or nobody vouches for it.
        """
        faults = Faults()
        for (system, _), path in new.items():
            if issuers[system] is None:
                faults.add("", f"{path}.system", "no provider with an introspector has this system; register it first")
        owners = self._rows.owners(connection, new) if new else {}
        for pair, owner in owners.items():
            if owner is not None:
                faults.add("", new[pair], "belongs to another user")
        faults.raise_any()
        self._rows.delete_identifiers(connection, owners.keys())
        return {system: issuer for system, issuer in issuers.items() if issuer is not None}
