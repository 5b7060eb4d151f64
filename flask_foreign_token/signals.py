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
