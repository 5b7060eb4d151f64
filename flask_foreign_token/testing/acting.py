"""Requests made by a user of the test's choice, without a token and without an issuer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask

from ..counting import Counter
from ..introspection.frozen import freeze
from ..introspection.token import Token, Versioned
from ..request_state import Identity, Standing
from ..users.snapshot import UserSnapshot
from .claims import AUDIENCE, SCOPE

ISSUER = "https://issuer.example"
CLIENT = "my-client"
LIFETIME = 300
"""Seconds."""


@contextmanager
def acting_as(app: Flask, user: object | None, **claims: object) -> Iterator[None]:
    """Within the block every request to `app` is made by `user`, with a token that counts as verified.

    ::

        with acting_as(app, user, iss="https://idp.example", scope="patient.read"):
            assert app.test_client().get("/fhir/Patient").status_code == 200

    Policies and scopes decide as ever, and see `user` and `claims`. Blocks nest; the innermost counts. An
    ``Authorization`` header is not looked at. It holds for all of `app`, in every thread.

    :param app: one that ``ForeignToken`` was set up for.
    :param user: an instance of the app's user model that is in the database; policies see it as it is when the block
        begins. ``None`` for a client that acts for nobody, so that `g.user` is ``None``.
    :param claims: of the token, as an introspector would hand them on; one that is ``None`` is left out. Default:
        `iss` ``https://issuer.example``, `sub` the id of the user, `azp` ``my-client``, `aud` ``account``, `scope`
        ``openid profile email``, `iat` now, `exp` in five minutes.
    :raises KeyError: `app` has no ``ForeignToken``.
    """
    application = app.extensions["foreign_token"]
    snapshot = None if user is None else _snapshot(app, user)
    token = _token(snapshot, claims)

    def authenticate(request: object) -> Identity:
        # Anew, so that what the policies come to is found out for each request: they may change within the block.
        return Identity(Standing(token, token.evidence, Counter(), mark=None), snapshot)

    before = application.authenticate
    application.authenticate = authenticate
    try:
        yield
    finally:
        application.authenticate = before


def _snapshot(app: Flask, user: object) -> UserSnapshot:
    with app.app_context():
        snapshot: UserSnapshot = app.extensions["foreign_token"].snapshot_of(user)
    return snapshot


def _token(user: UserSnapshot | None, claims: dict[str, object]) -> Token:
    now = int(time.time())
    default: dict[str, object] = {
        "iss": ISSUER,
        "sub": f"service-account-{CLIENT}" if user is None else str(user.key),
        "aud": AUDIENCE,
        "azp": CLIENT,
        "scope": SCOPE,
        "iat": now,
        "exp": now + LIFETIME,
    }
    said = {name: value for name, value in {**default, **claims}.items() if value is not None}
    expires_at = said.get("exp")
    if not isinstance(expires_at, int | float):
        expires_at = now + LIFETIME
    return Token(
        issuer=str(said.get("iss", ISSUER)),
        subject=str(said.get("sub", "")),
        expires_at=expires_at,
        usable_until=expires_at,
        claims=freeze(said),
        introspector=Versioned("acting-as", "1"),
        evidence=_Word(),
    )


@dataclass(frozen=True, slots=True)
class _Word:
    """The test's word, which stands in for a key."""

    withdrawn: bool = False
