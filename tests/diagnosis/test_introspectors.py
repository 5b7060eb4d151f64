"""Several introspectors of one provider, of both kinds, and those that belong to none."""

from __future__ import annotations

import pytest

from flask_foreign_token.diagnosis.examination import examine
from flask_foreign_token.diagnosis.grants import Login
from flask_foreign_token.documents import read_yaml
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import Resource, introspector, policy, provider, without
from ..registry.snapshots import builder, built
from .checking import (
    CLIENT,
    about,
    all_about,
    asking,
    endpoint_of,
    examined,
    examined_alone,
    issuing,
    marks,
    trusting,
)


def opaque(issuer: Issuer, name: str, **attributes: object) -> Resource:
    """Another introspector of the provider, for opaque tokens."""
    asked = {"introspection_endpoint": endpoint_of(issuer)}
    return introspector(name, jwt={"aud": "account"}, type="opaque") | asked | attributes


def both(issuer: Issuer, *more: Resource, **attributes: object) -> list[Resource]:
    """One for JWTs and one for opaque tokens, whose attributes these are."""
    policies = more or (policy("all"),)
    return trusting(issuer, opaque(issuer, "o", **attributes), *policies, issuer=issuer.issuer)


# ---- each of them


def test_each_introspector_is_looked_at_and_named(http: Http, issuer: Issuer) -> None:
    findings = examined(http, both(issuer))

    for check in ("introspector", "audience"):
        first, second = all_about(findings, check)
        assert "TokenIntrospector/keycloak-jwt-introspector" in first.found
        assert "TokenIntrospector/o" in second.found
    assert "TokenIntrospector/keycloak-jwt-introspector" in about(findings, "keys").found
    assert "TokenIntrospector/o" in about(findings, "introspection").found


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, "takes opaque tokens of {issuer}"),
        ({"token_prefix": "ory_at_"}, "takes opaque tokens that begin with ory_at_ of {issuer}"),
    ],
)
def test_what_goes_to_an_opaque_introspector_is_told(
    http: Http, issuer: Issuer, attributes: Resource, words: str
) -> None:
    _, finding = all_about(examined(http, both(issuer, **attributes)), "introspector")

    assert finding.found == f"TokenIntrospector/o {words.format(issuer=issuer.issuer)}"


def test_an_opaque_introspector_that_names_an_issuer_takes_jwts_too(http: Http, issuer: Issuer) -> None:
    finding = about(examined(http, asking(issuer)), "introspector")

    assert finding.found.endswith(f"takes opaque tokens, and JWTs, of {issuer.issuer}")


def test_of_an_issuer_that_nobody_names_the_endpoint_stands_for_it(http: Http, issuer: Issuer) -> None:
    findings = examined(http, asking(issuer, jwt={"aud": "account"}))

    finding = about(findings, "introspector")
    assert finding.mark == "ok"
    assert finding.found.endswith(f"nobody names their issuer, and {issuer.introspection_endpoint} stands for it")
    assert about(findings, "discovery").found == "nobody names the issuer, so that no metadata can be looked for"
    assert about(findings, "introspection").mark == "ok"


def test_one_that_is_not_active_counts_as_absent_beside_another(http: Http, own_issuer: Issuer) -> None:
    findings = examined(http, both(own_issuer, active=False))

    first, second = all_about(findings, "introspector")
    assert (first.mark, second.mark) == ("ok", "skipped")
    assert "introspection" not in marks(findings)
    assert own_issuer.requests["introspection"] == 0


def test_one_that_is_out_of_service_does_not_keep_the_other_from_being_looked_at(
    http: Http, own_issuer: Issuer
) -> None:
    broken = endpoint_of(own_issuer, client_secret=" ")

    findings = examined(http, both(own_issuer, introspection_endpoint=broken), CLIENT)

    assert [finding.mark for finding in all_about(findings, "introspector")] == ["ok", "failed"]
    assert (marks(findings)["keys"], marks(findings)["client credentials: token"]) == ("ok", "ok")
    assert own_issuer.requests["introspection"] == 0


def test_each_is_asked_with_its_own_credential(http: Http, issuer: Issuer) -> None:
    wrong = opaque(
        issuer, "b", token_prefix="b_", introspection_endpoint=endpoint_of(issuer, client_secret="wrong-secret")
    )

    findings = examined(http, both(issuer, wrong, policy("all"), token_prefix="a_"))

    first, second = all_about(findings, "introspection")
    assert (first.mark, second.mark) == ("failed", "ok")
    assert ("TokenIntrospector/b" in first.found, "TokenIntrospector/o" in second.found) == (True, True)


# ---- audience


ANY = "none is asked for, so tokens that are meant for any other API are taken"
CLIENTS = "tokens must have been issued to a or b"


@pytest.mark.parametrize(
    ("jwt", "words"),
    [
        ({}, f"{ANY}, and refresh tokens"),
        ({"client_id": ["a", "b"]}, f"{CLIENTS}; no aud is asked for, so these are taken whatever they are for, and"),
    ],
)
def test_an_opaque_introspector_that_asks_for_no_audience_is_a_warning(
    http: Http, issuer: Issuer, jwt: Resource, words: str
) -> None:
    finding = about(examined(http, asking(issuer, jwt={"iss": issuer.issuer, **jwt})), "audience")

    assert finding.mark == "warning"
    assert words in finding.found
    assert any("jwt.aud" in line for line in finding.remedy)
    assert any("token_type" in line for line in finding.remedy)


@pytest.mark.parametrize(("jwt", "mark", "words"), [({}, "warning", ANY), ({"client_id": ["a", "b"]}, "ok", CLIENTS)])
def test_one_that_asks_for_a_type_takes_no_refresh_tokens(
    http: Http, issuer: Issuer, jwt: Resource, mark: str, words: str
) -> None:
    resources = asking(issuer, jwt={"iss": issuer.issuer, **jwt}, token_type="Bearer")

    finding = about(examined(http, resources), "audience")

    assert (finding.mark, finding.found.endswith(words)) == (mark, True)


def test_the_identifier_of_the_api_is_an_audience(http: Http, issuer: Issuer) -> None:
    by = builder(http, default_audience="https://api.example")
    snapshot = built(*asking(issuer, jwt={"iss": issuer.issuer}), by=by)

    finding = about(examine(http, snapshot, "keycloak", Login(), program="flask"), "audience")

    assert (finding.mark, finding.found.endswith("aud must name https://api.example")) == ("ok", True)


def test_an_opaque_introspector_that_asks_for_one_is_well(http: Http, issuer: Issuer) -> None:
    assert about(examined(http, asking(issuer)), "audience").mark == "ok"


# ---- policies


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (policy("p", {"token": {"active": True}}), "AccessPolicy/p is about opaque tokens"),
        (policy("p", {"token": {"iss": "#^http"}}), "AccessPolicy/p names the issuer"),
        (policy("p"), "AccessPolicy/p lets everybody in"),
    ],
)
def test_a_policy_lets_opaque_tokens_in(http: Http, issuer: Issuer, there: Resource, words: str) -> None:
    finding = about(examined(http, asking(issuer, there)), "policy")

    assert (finding.mark, finding.found) == ("ok", words)


@pytest.mark.parametrize(
    "there", [policy("p", {"jwt": {"iss": "#^http"}}), policy("p", {"token": {"iss": "https://other.example"}})]
)
def test_a_policy_about_jwts_or_another_issuer_lets_none_in(http: Http, issuer: Issuer, there: Resource) -> None:
    assert about(examined(http, asking(issuer, there)), "policy").mark == "warning"


def test_each_kind_of_token_needs_a_policy(http: Http, issuer: Issuer) -> None:
    there = policy("p", {"jwt": {"iss": issuer.issuer}})

    of_jwts, of_opaque = all_about(examined(http, both(issuer, there)), "policy")

    assert (of_jwts.mark, of_jwts.found) == ("ok", "for JWTs: AccessPolicy/p names the issuer")
    assert of_opaque.mark == "warning"
    assert of_opaque.found.startswith("for opaque tokens: none of 1 active policies names the issuer")


@pytest.mark.parametrize("names_issuer", [True, False])
def test_the_policy_that_is_proposed_lets_them_in(http: Http, issuer: Issuer, names_issuer: bool) -> None:
    named = {"iss": issuer.issuer} if names_issuer else {}
    lacking = about(examined(http, asking(issuer, policy("p", active=False), jwt={"aud": "a", **named})), "policy")

    first, *document, last = lacking.command
    assert (lacking.mark, first, last) == ("failed", "flask foreign-token apply - <<'EOF'", "EOF")
    proposed = read_yaml("\n".join(document).encode())
    assert isinstance(proposed, dict)
    assert about(examined(http, asking(issuer, proposed, jwt={"aud": "a", **named})), "policy").mark == "ok"


def test_where_nobody_names_the_issuer_the_policy_is_about_the_users_of_the_provider(
    http: Http, issuer: Issuer
) -> None:
    lacking = about(examined(http, asking(issuer, policy("p", active=False), jwt={"aud": "a"})), "policy")

    proposed = read_yaml("\n".join(lacking.command[1:-1]).encode())

    assert isinstance(proposed, dict)
    assert proposed["matcho"] == {
        "token": {"active": True},
        "user": {"identifier": {"$contains": {"system": "keycloak"}}},
    }


# ---- tokens


def test_an_opaque_token_goes_the_whole_way(http: Http, own_issuer: Issuer) -> None:
    token = own_issuer.opaque_token(sub="ann")
    with issuing(token) as token_endpoint:
        findings = examined(http, asking(own_issuer, provider={"token_endpoint": token_endpoint}), CLIENT)

    assert marks(findings)["client credentials: userinfo"] == "ok"
    taken = about(findings, "client credentials: token")
    assert taken.mark == "ok"
    assert taken.found.startswith("TokenIntrospector/keycloak-opaque-introspector takes it; it has ")
    assert token not in repr(findings)


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_any_introspector_of_the_provider_may_take_the_token(http: Http, issuer: Issuer, kind: str) -> None:
    token = issuer.token() if kind == "jwt" else issuer.opaque_token()
    with issuing(token) as token_endpoint:
        resources = both(issuer)
        resources[0]["token_endpoint"] = token_endpoint
        finding = about(examined(http, resources, CLIENT), "client credentials: token")

    name = "keycloak-jwt-introspector" if kind == "jwt" else "o"
    assert (finding.mark, finding.found.startswith(f"TokenIntrospector/{name} takes it")) == ("ok", True)


def test_a_token_that_names_no_subject_has_no_user(http: Http, own_issuer: Issuer) -> None:
    with issuing(own_issuer.opaque_token(sub=None)) as token_endpoint:
        findings = examined(http, asking(own_issuer, provider={"token_endpoint": token_endpoint}), CLIENT)

    taken, userinfo = (about(findings, f"client credentials: {step}") for step in ("token", "userinfo"))
    assert taken.mark == "ok"
    assert taken.found.endswith("and names no subject, so that it has no user")
    assert (userinfo.mark, userinfo.found) == ("ok", "is not asked; a token that names no subject has no user")
    assert own_issuer.requests["userinfo"] == 0


def test_an_endpoint_that_refuses_the_credential_keeps_tokens_from_being_checked(http: Http, issuer: Issuer) -> None:
    wrong = endpoint_of(issuer, client_secret="wrong-secret")
    with issuing(issuer.opaque_token()) as token_endpoint:
        resources = asking(issuer, provider={"token_endpoint": token_endpoint}, introspection_endpoint=wrong)
        findings = examined(http, resources, CLIENT)

    assert marks(findings)["introspection"] == "failed"
    finding = about(findings, "client credentials: token")
    assert finding.mark == "failed"
    assert "it cannot be checked" in finding.found
    assert "wrong-secret" not in repr(findings)


# ---- without a provider


def test_an_introspector_that_belongs_to_no_provider_is_well(http: Http, issuer: Issuer) -> None:
    body = without(asking(issuer)[1], "identity_provider")

    findings = examined_alone(http, body, policy("all"))

    assert marks(findings) == dict.fromkeys(
        ["introspector", "audience", "policy", "discovery", "introspection", "clock"], "ok"
    )
    assert about(findings, "introspector").found.endswith("no provider is linked, so that its tokens have no user")


def test_one_for_jwts_has_its_keys_looked_at(http: Http, issuer: Issuer) -> None:
    body = without(trusting(issuer)[1], "identity_provider")

    findings = examined_alone(http, body, policy("all"))

    assert marks(findings)["keys"] == "ok"


def test_one_that_is_not_active_is_not_called(http: Http, own_issuer: Issuer) -> None:
    body = without(asking(own_issuer, active=False)[1], "identity_provider")

    findings = examined_alone(http, body, policy("all"))

    assert marks(findings) == {"introspector": "skipped"}
    assert not any(own_issuer.requests.values())


def test_one_with_a_provider_is_not_among_them(http: Http, issuer: Issuer) -> None:
    with pytest.raises(ValueError, match="not enough values"):
        examined_alone(http, provider("keycloak"), introspector("i", jwt={"iss": "urn:x", "secret": "s" * 40}))


def test_a_policy_that_names_the_issuer_under_jwt_is_told_for_opaque_tokens(http: Http, issuer: Issuer) -> None:
    finding = about(
        examined(http, asking(issuer, policy("p", {"jwt": {"iss": issuer.issuer}}), jwt={"iss": issuer.issuer})),
        "policy",
    )

    assert finding.mark == "warning"
    assert "AccessPolicy/p names it under jwt; what introspection answers is under token" in finding.found
