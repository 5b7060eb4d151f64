"""How the tests examine a provider, and what they look for in what is found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from flask_foreign_token.diagnosis.examination import examine, examine_unlinked
from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.diagnosis.grants import Login
from flask_foreign_token.diagnosis.trust import unlinked
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import AUDIENCE, Resource, introspector, policy
from ..http_servers import answer, answering, serving
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


def asking(issuer: Issuer, /, *more: Resource, provider: Resource = {}, **attributes: object) -> list[Resource]:  # noqa: B006
    """The resources by which an app asks `issuer` about opaque tokens, and a policy that lets everybody in.

    :param provider: adds to the IdentityProvider.
    :param attributes: add to the TokenIntrospector.
    """
    described, asked = issuer.resources(kind="opaque")
    return [{**described, **provider}, {**asked, **attributes}, *(more or [policy("all")])]


def discovering(issuer: str, /, **attributes: object) -> list[Resource]:
    """An app that knows a provider by its issuer alone, for JWTs and for opaque tokens.

    :param attributes: add to the IdentityProvider.
    """
    client = {"id": "my-client", "secret": "my-client-secret"}
    provider = {"resourceType": "IdentityProvider", "id": "keycloak", "system": "k", "issuer": issuer, "client": client}
    opaque = introspector("o", jwt={"aud": AUDIENCE}, type="opaque")
    return [{**provider, **attributes}, introspector("j", jwt={"iss": issuer}), opaque, policy("all")]


def endpoint_of(issuer: Issuer, **attributes: object) -> Resource:
    """The introspection endpoint of `issuer`, as an introspector has it."""
    client = {"client_id": "my-client", "client_secret": "my-client-secret"}
    return {"url": issuer.introspection_endpoint, **client, **attributes}


@contextmanager
def issuing(token: str) -> Iterator[str]:
    """The address of a token endpoint that issues nothing but `token`."""
    body = json.dumps({"access_token": token, "token_type": "Bearer"}).encode()
    with serving(answering(answer(body))) as server:
        yield f"{server.origin}/token"


def examined(http: Http, resources: Iterable[Resource], login: Login = Login()) -> list[Finding]:  # noqa: B008
    """What is found about the provider `keycloak`."""
    snapshot = built(*resources, by=builder(http, require_audience=False, default_audience=None))
    return list(examine(http, snapshot, "keycloak", login, program="flask foreign-token"))


def examined_alone(http: Http, *resources: Resource) -> list[Finding]:
    """What is found about the introspector that belongs to no provider."""
    snapshot = built(*resources, by=builder(http, require_audience=False, default_audience=None))
    [link] = unlinked(snapshot)
    return list(examine_unlinked(http, snapshot, link, program="flask foreign-token"))


def marks(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.check: finding.mark for finding in findings}


def about(findings: Iterable[Finding], check: str) -> Finding:
    """The one finding of that check."""
    [found] = [finding for finding in findings if finding.check == check]
    return found


def all_about(findings: Iterable[Finding], check: str) -> list[Finding]:
    """The findings of that check, one for each introspector for instance."""
    return [finding for finding in findings if finding.check == check]
