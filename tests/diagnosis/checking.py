"""How the tests examine a provider, and what they look for in what is found."""

from __future__ import annotations

from collections.abc import Iterable

from flask_foreign_token.diagnosis.examination import examine
from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.diagnosis.grants import Login
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import Resource, policy
from ..registry.snapshots import builder, built

CLIENT = Login("my-client", "my-client-secret")
PERSON = Login("my-client", "my-client-secret", "testuser", "testpass123")


def trusting(issuer: Issuer, /, *more: Resource, jwt: Resource = {}, **provider: object) -> list[Resource]:  # noqa: B006
    """The resources by which an app trusts `issuer`, and a policy that lets everybody in.

    :param jwt: adds to that of the introspector.
    :param provider: adds to the IdentityProvider.
    """
    provider_body, introspector = issuer.resources()
    introspector["jwt"] = {"iss": issuer.issuer, "aud": "account", **jwt}
    return [{**provider_body, **provider}, introspector, *(more or [policy("all")])]


def examined(http: Http, resources: Iterable[Resource], login: Login = Login()) -> list[Finding]:  # noqa: B008
    """What is found about the provider `keycloak`."""
    snapshot = built(*resources, by=builder(http, require_audience=False, default_audience=None))
    return list(examine(http, snapshot, "keycloak", login, program="flask foreign-token"))


def marks(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.check: finding.mark for finding in findings}


def about(findings: Iterable[Finding], check: str) -> Finding:
    """The one finding of that check."""
    [found] = [finding for finding in findings if finding.check == check]
    return found
