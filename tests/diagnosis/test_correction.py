"""An issuer, or an address, that is not what the provider publishes: told with what mends it."""

from __future__ import annotations

import pytest

from flask_foreign_token.diagnosis.commands import replacing
from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import Resource, introspector, policy, provider
from ..introspection.signing import jwk
from ..publishing import OPENID, Publisher, metadata
from .checking import CLIENT, about, examined, marks

PROGRAM = "flask foreign-token"
SECRET = {"id": "my-client", "secret": "my-client-secret"}


def misnamed(
    issuer: Issuer, *more: Resource, name: str = "keycloak-jwt-introspector", **client: object
) -> list[Resource]:
    """`issuer` with a slash too many; `client` adds to the IdentityProvider."""
    wrong = f"{issuer.issuer}/"
    policies = more or (policy("p", {"request-method": "get"}),)
    return [provider("keycloak", issuer=wrong, **client), introspector(name, jwt={"iss": wrong}), *policies]


def test_the_command_that_registers_the_issuer_is_filled_in(http: Http, issuer: Issuer) -> None:
    findings = examined(http, misnamed(issuer))

    command = f"{PROGRAM} provider add keycloak --issuer {issuer.issuer} --audience account --replace"
    for check in ("discovery", "keys"):
        assert (about(findings, check).mark, about(findings, check).command) == ("failed", (command,))


@pytest.mark.parametrize("more", [(policy("p", {"request-method": "get"}),), (policy("p", active=False),)])
def test_no_policy_for_the_wrong_issuer_is_proposed(http: Http, issuer: Issuer, more: tuple[Resource, ...]) -> None:
    finding = about(examined(http, misnamed(issuer, *more)), "policy")

    assert (finding.mark, finding.remedy, finding.command) == ("skipped", (), ())


def test_nor_is_a_token_endpoint_asked_for(http: Http, issuer: Issuer) -> None:
    finding = about(examined(http, misnamed(issuer), CLIENT), "token")

    assert (finding.mark, finding.remedy) == ("skipped", ())


def test_where_the_issuer_is_right_both_are(http: Http, own_issuer: Issuer) -> None:
    resources = [
        provider("keycloak", issuer=own_issuer.issuer),
        introspector("keycloak-jwt-introspector", jwt={"iss": own_issuer.issuer}),
        policy("p", {"request-method": "get"}),
    ]

    findings = examined(http, resources, CLIENT)

    assert about(findings, "policy").command
    assert about(findings, "client credentials").mark == "ok"


@pytest.mark.parametrize(
    ("attributes", "bound"),
    [({"name": "other"}, False), ({"client": SECRET}, True), ({"name": "o", "client": SECRET}, True)],
)
def test_what_the_command_would_not_mend_is_edited(
    http: Http, issuer: Issuer, attributes: Resource, bound: bool
) -> None:
    finding = about(examined(http, misnamed(issuer, **attributes)), "discovery")

    name = attributes.get("name", "keycloak-jwt-introspector")
    places = f"issuer of IdentityProvider/keycloak and jwt.iss of TokenIntrospector/{name}"
    assert f"If {issuer.issuer} is the iss of its tokens, set {places} to that." in finding.remedy
    got = f"{PROGRAM} get IdentityProvider keycloak; echo ---; {PROGRAM} get TokenIntrospector {name}"
    assert finding.command[0] == f"(umask 077; {{ {got}; }} >edited.yaml)"
    assert any("Write client.secret" in line for line in finding.remedy) == bound


def test_an_issuer_that_is_reached_elsewhere_keeps_its_backchannel(http: Http) -> None:
    with Issuer("http://localhost:1/realms/myrealm") as hidden:
        resources = [provider("keycloak"), *hidden.resources()[1:], policy("all")]
        resources[1]["jwt"] = {"iss": hidden.url, "aud": "account"}

        finding = about(examined(http, resources), "discovery")

    [command] = finding.command
    assert f"--issuer {hidden.issuer} --backchannel {hidden.url} --audience account --replace" in command


def test_a_token_of_the_other_issuer_comes_with_the_same_remedy(http: Http, issuer: Issuer) -> None:
    resources = misnamed(issuer, policy("all"), token_endpoint=issuer.token_endpoint)
    findings = examined(http, resources, CLIENT)

    taken, discovery = (about(findings, check) for check in ("client credentials: token", "discovery"))
    assert "the issuer is not known" in taken.found
    assert (taken.remedy, taken.command) == (discovery.remedy, discovery.command)


# ---- addresses


def realm(publisher: Publisher) -> str:
    return f"{publisher.origin}/realms/clinic"


def asked_at(http: Http, publisher: Publisher, check: str, **addresses: object) -> Finding:
    """What is found where `addresses` are stored, and others are published."""
    issuer = realm(publisher)
    publisher.publish(f"/realms/clinic{OPENID}", metadata(issuer, introspection_endpoint=f"{issuer}/introspect"))
    publisher.publish("/realms/clinic/certs", {"keys": [jwk("RS256")]})
    publisher.publish("/realms/clinic/introspect", {"active": False})
    body = {"issuer": issuer, "client": SECRET, **addresses}
    opaque = introspector("o", jwt={}, type="opaque")
    findings = examined(
        http, [provider("keycloak", **body), introspector("j", jwt={"iss": issuer}), opaque, policy("all")]
    )
    [found] = [finding for finding in findings if finding.check == check] or [Finding(check, "ok", "")]
    return found


@pytest.mark.parametrize("stored", ["{realm}/cert", "http://127.0.0.1:1/realms/clinic/certs"])
def test_a_typo_is_told_with_what_the_provider_publishes(http: Http, publisher: Publisher, stored: str) -> None:
    finding = asked_at(http, publisher, "keys", jwks_uri=stored.format(realm=realm(publisher)))

    published = f"{realm(publisher)}/certs"
    assert finding.mark == "failed"
    assert finding.remedy[0].startswith(
        f"The provider publishes {published}: correct jwks_uri of IdentityProvider/keycloak"
    )
    key = ("IdentityProvider", "keycloak")
    assert finding.command == replacing(PROGRAM, key, "jwks_uri", published)


def test_an_address_that_a_secret_is_bound_to_is_edited_with_it(http: Http, publisher: Publisher) -> None:
    address = f"{realm(publisher)}/introspec"

    finding = asked_at(http, publisher, "introspection", introspection_endpoint=address)

    assert f"The provider publishes {realm(publisher)}/introspect: " in finding.remedy[0]
    assert "Write the secret along with it" in finding.remedy[1]
    assert finding.command[1] == "${EDITOR:-vi} edited.yaml"


def test_userinfo_too(http: Http, own_issuer: Issuer) -> None:
    resources = [
        provider("keycloak", **{"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": f"{own_issuer.url}/typo"}),
        *own_issuer.resources()[1:],
        policy("all"),
    ]

    finding = about(examined(http, resources, CLIENT), "client credentials: userinfo")

    assert f"The provider publishes {own_issuer.userinfo_endpoint}: " in finding.remedy[0]
    assert f"userinfo_endpoint: {own_issuer.userinfo_endpoint}" in finding.command[0]


def test_keys_of_another_realm_are_a_warning(http: Http, publisher: Publisher) -> None:
    publisher.publish("/realms/other/certs", {"keys": [jwk("RS256")]})

    other = asked_at(http, publisher, "keys: address", jwks_uri=f"{publisher.origin}/realms/other/certs")
    same = asked_at(http, publisher, "keys: address", jwks_uri=f"{realm(publisher)}/certs")

    assert (other.mark, same.mark) == ("warning", "ok")
    assert f"The provider publishes {realm(publisher)}/certs: " in other.remedy[0]


def test_a_wrong_port_is_told_with_what_to_correct_first(http: Http) -> None:
    wrong = "http://localhost:1/realms/clinic"
    resources = [provider("keycloak", issuer=wrong), introspector("j", jwt={"iss": wrong}), policy("all")]

    findings = examined(http, resources)

    for check in ("discovery", "keys"):
        first, *rest = about(findings, check).remedy
        assert first.endswith("correct issuer of IdentityProvider/keycloak and jwt.iss of TokenIntrospector/j.")
        assert len(rest) <= 3


def test_keys_at_a_port_where_nobody_listens_are_corrected_where_they_are_stored(http: Http, issuer: Issuer) -> None:
    described, link = issuer.resources()
    link["jwks_uri"] = "http://localhost:1/certs"
    link["jwt"] = {"iss": "urn:clinic", "aud": "account"}
    finding = about(examined(http, [described, link, policy("all")]), "keys")

    assert finding.remedy[0].endswith("correct jwks_uri of TokenIntrospector/keycloak-jwt-introspector.")


# ---- what is about other products


def test_against_keycloak_nothing_is_said_of_others(http: Http, issuer: Issuer) -> None:
    resources = [*issuer.resources(), policy("all")]
    login = CLIENT.__class__("my-client", "my-client-secret", scope="nonsense")

    assert "Entra" not in repr(examined(http, resources, login))
    assert "name others with --scope" in repr(examined(http, resources, login))


def test_an_introspector_that_is_missing_is_added_for_the_stored_issuer(http: Http, issuer: Issuer) -> None:
    findings = examined(http, [provider("keycloak", issuer=issuer.issuer)])

    assert about(findings, "introspector").command == (
        f"{PROGRAM} provider add keycloak --issuer {issuer.issuer} --audience A --replace",
    )
    assert marks(findings) == {"provider": "ok", "introspector": "failed"}
