"""Signals that an app may connect receivers to."""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

user_created = _signals.signal(
    "user-created",
    doc="""Sent by an app, once its new user is committed, in the request that made it; carries ``user``, the user's
    :class:`~flask_foreign_token.users.provisioning.UserSnapshot`. An exception in a receiver ends that request; the
    user stays.""",
)

access_decided = _signals.signal(
    "access-decided",
    doc="""Sent by an app, in the request that was decided about, for what a guard or the operator's endpoints allow and
    for every refusal; carries ``decision``, an :class:`~flask_foreign_token.audit.AccessDecision`. An exception in a
    receiver ends a request that was allowed, so that nothing is let in that could not be noted. A refusal stands
    whatever a receiver does; that it failed is logged.""",
)
