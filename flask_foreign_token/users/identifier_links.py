"""By which identifiers users are known, as an operator or the app changes it."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import Rejected
from ..printable import printable
from ..registry.edits import Outcome
from .account_access import AccountAccess, ShownUser, constrained_as, naming, shown_user
from .account_body import MAX_IDENTIFIERS, read_pair
from .account_plan import linked, taken_back, unlinked
from .announced_writes import Writing
from .identifier import Pair
from .vouching import Vouching

_PATH = "identifier"


class IdentifierLinks:
    """By which identifiers users are known. Making one does no I/O.

    Each method is one transaction of its own; see :class:`.Accounts`.

    :param issuer_of: see :class:`.Vouching`.
    """

    def __init__(self, access: AccountAccess, issuer_of: Callable[[str], str | None]) -> None:
        self._access = access
        self._vouching = Vouching(access.rows, issuer_of)

    def link(self, id_: str, pair: Pair) -> tuple[Outcome, ShownUser]:
        """Give a user one more identifier, of the issuer whose introspector is in force for its system.

        :param pair: system and value.
        :return: ``"updated"``, or ``"unchanged"`` if the user has it already.
        :raises NotStored: there is no such user.
        :raises Rejected: the identifier is somebody else's, or cannot be one, nobody vouches for it, or the user has as
            many as there may be.
        :raises RegistryUnavailable: who vouches for it cannot be told.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        constrained = Rejected.at(_PATH, "cannot be stored: a constraint of the database forbids it")
        with naming(id_), constrained_as(constrained):
            issuers = self._vouching.issuers([read_pair(pair)])

            def work(writing: Writing) -> tuple[Outcome, ShownUser]:
                user = self._access.stored(writing, id_)
                if any(identifier.pair == pair for identifier in user.identifiers):
                    return "unchanged", shown_user(user)
                if len(user.identifiers) >= MAX_IDENTIFIERS:
                    raise Rejected.at(_PATH, f"must not hold more than {MAX_IDENTIFIERS}")
                vouched = self._vouching.vouched(writing.connection, {pair: _PATH}, issuers)
                after = linked(user, pair, vouched[pair[0]], now=self._access.now())
                return self._access.write(writing, user, after)

            return self._access.carried_out(work)

    def unlink(self, id_: str, pair: Pair) -> tuple[Outcome, ShownUser]:
        """Take an identifier away from a user, the last one too, with all that its provider said.

        The next token of that subject makes a new user. One who is inactive stays so. An attribute of the app's model
        that holds what the provider said becomes what those of the other identifiers say, or else null, unless the
        model does not take that.

        :param pair: system and value.
        :raises NotStored: there is no such user.
        :raises Rejected: the identifier is not the user's; or it is the last one, and that the user is inactive can be
            said nowhere else.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        # Where an identifier had kept the user out, the app's active attribute does so now.
        constrained = Rejected.at("inactive", "cannot be set: a constraint of the model forbids it")
        with naming(id_), constrained_as(constrained), self._access.writing() as writing:
            user = self._access.stored(writing, id_)
            if all(identifier.pair != pair for identifier in user.identifiers):
                raise Rejected.at(_PATH, "is not the user's")
            user = self._access.rows.set_fitting(writing.connection, user, taken_back(user, pair))
            after = unlinked(user, pair, settable=self._access.rows.settable, now=self._access.now())
            return self._access.write(writing, user, after)

    def rebind(self, system: str, issuer: str) -> int:
        """Let another issuer vouch for all identifiers of a system, byte by byte; those of the former lead nowhere.

        :param issuer: the one that an introspector in force names for that system.
        :return: how many identifiers it did not vouch for before.
        :raises Rejected: there is no such introspector.
        :raises RegistryUnavailable: that cannot be told.
        :raises DatabaseUnavailable: the database cannot be written.
        """
        in_force = self._vouching.issuer_of(system)
        if in_force is None:
            raise Rejected.at("system", "no introspector in force names an issuer for it; register that first")
        if issuer != in_force:
            reason = f"must be {printable(in_force)}, which the introspector in force names for the system"
            raise Rejected.at("issuer", reason)
        with self._access.writing() as writing:
            changed = self._access.rows.bind(writing.connection, system, issuer)
            if changed:
                writing.note_everybody()
        return changed
