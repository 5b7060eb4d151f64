"""Signals that an app may connect receivers to, plain functions and coroutines."""

from __future__ import annotations

from collections.abc import Mapping

from blinker import NamedSignal, Namespace

from .users.snapshot import Event

_signals = Namespace()

user_created = _signals.signal(
    "user-created",
    doc="""Sent by an app, once its new user is committed, where that was made: in the request that brought the first
    token, or by an operator. Carries ``user``, a :class:`~flask_foreign_token.users.snapshot.UserSnapshot`. An
    exception in a receiver ends the request or the command; the user stays.""",
)

user_updated = _signals.signal(
    "user-updated",
    doc="""As :data:`user_created`, once a user has changed: a provider said something new, an identifier was linked or
    taken away, an operator wrote the user or let them in again.""",
)

user_deactivated = _signals.signal(
    "user-deactivated",
    doc="""As :data:`user_created`, once a user is let in no more, or was deleted; carries them as they are, or last
    were. Of what an app does to its own table by itself nothing is sent.""",
)

USER_SIGNALS: Mapping[Event, NamedSignal] = {
    "created": user_created,
    "updated": user_updated,
    "deactivated": user_deactivated,
}
"""What is sent for what became of a user."""

access_decided = _signals.signal(
    "access-decided",
    doc="""Sent by an app, in the request that was decided about, for what a guard or the operator's endpoints allow and
    for every refusal; carries ``decision``, an :class:`~flask_foreign_token.audit.AccessDecision`. An exception in a
    receiver ends a request that was allowed, so that nothing is let in that could not be noted. A refusal stands
    whatever a receiver does; that it failed is logged.""",
)
