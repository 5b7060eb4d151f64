"""What is said of a provider that is left out, as of one whose introspector is."""

from __future__ import annotations

from flask_foreign_token.diagnosis.examination import examine
from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.diagnosis.grants import Login
from flask_foreign_token.diagnosis.left_out import introspectors_left_out, left_out
from flask_foreign_token.diagnosis.policies import check_policies_met
from flask_foreign_token.diagnosis.routes import Routes
from flask_foreign_token.diagnosis.trust import Examined, check_any
from flask_foreign_token.registry.snapshot import RegistrySnapshot

from ..apps import Resource, policy, provider, trusting_a_secret
from ..registry.snapshots import BUILDER, HTTP, stored

PROVIDER, INTROSPECTOR, POLICY = trusting_a_secret()
NAME = "TokenIntrospector/secret"


def tolerated(*bodies: Resource) -> RegistrySnapshot:
    return BUILDER.build(stored(*bodies), "1", tolerant=True)


def examined(*bodies: Resource) -> list[Finding]:
    return list(examine(HTTP, tolerated(*bodies), "keycloak", Login(), program="flask foreign-token"))


def test_what_is_right_is_not_left_out() -> None:
    assert left_out(tolerated(PROVIDER, INTROSPECTOR, POLICY)) == {}


def test_what_is_out_of_service_for_its_secret_is_not_left_out() -> None:
    short = {**INTROSPECTOR, "jwt": {**INTROSPECTOR["jwt"], "secret": "short"}}

    snapshot = tolerated(PROVIDER, short, POLICY)

    assert snapshot.out_of_service
    assert left_out(snapshot) == {}


def test_a_policy_that_is_wrong_is_none_of_them() -> None:
    assert left_out(tolerated(PROVIDER, {**POLICY, "unknown": 1})) == {}


def test_a_provider_that_is_left_out_is_called_so_and_nothing_else_is_tried() -> None:
    [finding] = examined({**PROVIDER, "unknown": 1}, INTROSPECTOR, POLICY)

    assert (finding.check, finding.mark) == ("provider", "failed")
    assert "IdentityProvider/keycloak is left out as if it were not stored: unknown: no such attribute" in finding.found
    assert finding.command == ()


def test_so_is_one_of_two_with_the_same_system() -> None:
    [finding] = examined(PROVIDER, provider("other", system=PROVIDER["system"]), POLICY)

    assert "IdentityProvider/keycloak is left out" in finding.found


def test_an_introspector_that_is_left_out_is_not_called_missing() -> None:
    _, finding, *_ = examined(PROVIDER, {**INTROSPECTOR, "unknown": 1}, POLICY)

    assert (finding.check, finding.mark) == ("introspector", "failed")
    assert finding.found.startswith(f"{NAME} is left out as if it were not stored: unknown")
    assert "provider add" not in str(finding.command)


def test_introspectors_of_other_providers_are_not_named() -> None:
    snapshot = tolerated(PROVIDER, provider("other"), {**INTROSPECTOR, "unknown": 1})

    assert list(introspectors_left_out(snapshot, "keycloak")) == [NAME]
    assert introspectors_left_out(snapshot, "other") == {}


def test_policies_for_the_issuer_of_one_that_is_left_out_are_not_called_impossible() -> None:
    snapshot = tolerated(PROVIDER, {**INTROSPECTOR, "unknown": 1}, POLICY, policy("o", {"token": {"iss": "x"}}))

    [finding] = check_policies_met(snapshot, Routes(), lambda ids: ids)

    assert finding.mark == "ok"


def test_an_introspector_that_is_left_out_is_whom_its_id_names() -> None:
    snapshot = tolerated(PROVIDER, {**INTROSPECTOR, "unknown": 1})

    assert Examined.of(snapshot, "secret").left_out == "secret"


def test_where_everything_is_left_out_nothing_is_called_missing() -> None:
    assert list(check_any(tolerated({**PROVIDER, "unknown": 1}), "flask foreign-token")) == []
