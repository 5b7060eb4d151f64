"""For the tests of an app: an identity provider that is real, and a way around tokens altogether.

::

    from flask_foreign_token.testing import Issuer, acting_as

    with Issuer() as issuer:                            # an OIDC provider on a free port of 127.0.0.1
        bearer = f"Bearer {issuer.token(sub='alice', scope='openid patient.read')}"
        client.get("/fhir/Patient", headers={"Authorization": bearer})

    with acting_as(app, user, scope="patient.read"):    # no token at all; policies and scopes still decide
        client.get("/fhir/Patient")

The fixtures ``foreign_token_issuer`` and ``acting_as`` come with the package; ``python -m flask_foreign_token.testing``
runs the issuer as a process of its own.
"""

from __future__ import annotations

from .accounts import Client, Person
from .acting import acting_as
from .issuer import Issuer

__all__ = ["Client", "Issuer", "Person", "acting_as"]
