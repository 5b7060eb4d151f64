from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from flask_foreign_token.diagnosis.grants import Login
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Client, Issuer, Person

from ..apps import introspector, policy, provider, without
from ..publishing import OPENID, Publisher, metadata
from .checking import CLIENT, PERSON, about, examined, marks, trusting

SECRET = "a secret of more than thirty-two octets"


@pytest.fixture(scope="module")
def hidden() -> Iterator[Issuer]:
    """An issuer that is not at the address it is called by."""
    with Issuer("http://localhost:1/realms/myrealm") as issuer:
        yield issuer


def test_a_service_account_and_a_user_get_through(http: Http, hidden: Issuer) -> None:
    findings = examined(http, trusting(hidden), PERSON)

    assert marks(findings) == dict.fromkeys(
        [
            "provider",
            "introspector",
            "audience",
            "policy",
            "discovery",
            "keys",
            "keys: by id",
            "client credentials",
            "client credentials: token",
            "client credentials: userinfo",
            "password",
            "password: token",
            "password: userinfo",
            "clock",
        ],
        "ok",
    )


def test_nothing_that_is_found_holds_a_token_a_secret_or_a_claim(http: Http, hidden: Issuer) -> None:
    findings = examined(http, trusting(hidden), PERSON)

    said = repr(findings)
    for value in ("my-client-secret", "testpass123", "testuser@example.com", "eyJ", Person("testuser", "").subject):
        assert value not in said
    assert "testpass123" not in repr(PERSON)


# ---- what is stored


def test_a_provider_that_is_not_stored_is_told_with_the_one_that_was_meant(http: Http, issuer: Issuer) -> None:
    [finding] = examined(http, [provider("keycloack")])

    assert (finding.check, finding.mark) == ("provider", "failed")
    assert "did you mean keycloack?" in finding.found
    assert finding.command == ("flask foreign-token doctor keycloack",)


def test_a_provider_that_is_like_no_other_is_to_be_added(http: Http) -> None:
    [finding] = examined(http, [provider("clinic")])

    assert finding.command == ("flask foreign-token provider add keycloak --issuer URL --audience A",)


def test_a_provider_without_an_introspector_fails(http: Http) -> None:
    findings = examined(http, [provider("keycloak")])

    assert marks(findings) == {"provider": "ok", "introspector": "failed"}
    assert about(findings, "introspector").command == (
        "flask foreign-token provider add keycloak --issuer URL --audience A --replace",
    )


@pytest.mark.parametrize(("position", "check"), [(0, "provider"), (1, "introspector")])
def test_what_is_not_active_fails(http: Http, issuer: Issuer, position: int, check: str) -> None:
    resources = trusting(issuer)
    resources[position]["active"] = False

    finding = about(examined(http, resources), check)

    key = f"{resources[position]['resourceType']} {resources[position]['id']}"
    assert finding.mark == "failed"
    assert finding.command == (
        f"flask foreign-token get {key} | sed 's/^active: false$/active: true/' | flask foreign-token apply -",
    )


@pytest.mark.parametrize("position", [0, 1])
def test_nothing_is_called_for_what_is_not_active(http: Http, own_issuer: Issuer, position: int) -> None:
    resources = trusting(own_issuer, token_endpoint=own_issuer.token_endpoint)
    resources[position]["active"] = False

    findings = examined(http, resources, PERSON)

    assert list(marks(findings)) == ["provider", "introspector", "audience", "policy"]
    assert not any(own_issuer.requests.values())


def test_an_introspector_that_is_out_of_service_fails(http: Http) -> None:
    resources = [provider("keycloak"), introspector("i", jwt={"iss": "clinic", "secret": "short"}), policy("all")]

    finding = about(examined(http, resources), "introspector")

    assert finding.mark == "failed"
    assert "jwt.secret" in finding.found
    assert finding.command == (
        "(umask 077; flask foreign-token get TokenIntrospector i >edited.yaml)",
        "${EDITOR:-vi} edited.yaml",
        "flask foreign-token apply edited.yaml && rm edited.yaml",
    )


def test_an_issuer_that_differs_from_the_providers_is_told(http: Http, issuer: Issuer) -> None:
    assert marks(examined(http, trusting(issuer, issuer=f"{issuer.url}/")))["introspector"] == "warning"


def test_no_audience_is_told(http: Http, issuer: Issuer) -> None:
    resources = trusting(issuer)
    resources[1]["jwt"] = {"iss": issuer.issuer}

    assert marks(examined(http, resources))["audience"] == "warning"


def test_a_client_stands_for_an_audience(http: Http, issuer: Issuer) -> None:
    resources = trusting(issuer)
    resources[1]["jwt"] = {"iss": issuer.issuer, "client_id": "my-client"}

    finding = about(examined(http, resources), "audience")

    assert finding.found == "TokenIntrospector/keycloak-jwt-introspector: tokens must have been issued to my-client"


@pytest.mark.parametrize(
    ("there", "mark"),
    [
        (policy("p", active=False), "failed"),
        (policy("p", {"request-method": "get"}), "warning"),
        (policy("p"), "ok"),
    ],
)
def test_a_policy_must_let_in(http: Http, issuer: Issuer, there: dict[str, object], mark: str) -> None:
    finding = about(examined(http, trusting(issuer, there)), "policy")

    assert finding.mark == mark
    assert (mark == "ok") != (finding.command[:1] == ("flask foreign-token apply - <<'EOF'",))


def test_policies_that_let_in_are_named_up_to_three(http: Http, issuer: Issuer) -> None:
    policies = [policy(name) for name in "abcde"]

    finding = about(examined(http, trusting(issuer, *policies)), "policy")

    assert finding.found.startswith("AccessPolicy/a lets everybody in; AccessPolicy/b")
    assert finding.found.endswith("; and 2 more")


# ---- tokens


def test_without_a_client_no_token_is_asked_for(http: Http, own_issuer: Issuer) -> None:
    findings = examined(http, trusting(own_issuer))

    assert (marks(findings)["token"], marks(findings)["clock"]) == ("skipped", "ok")
    assert own_issuer.requests["token"] == 0


@pytest.mark.parametrize(
    ("login", "mark", "words"),
    [
        (Login(), "skipped", "none is asked for: that takes --client-id, and --client-secret or --username"),
        (Login("my-client"), "failed", "--client-id: of no use without --client-secret or --username"),
        (Login(client_secret="x"), "failed", "--client-secret: of no use without --client-id"),
        (Login(None, None, "ann", "x"), "failed", "--username: of no use without --client-id"),
        (Login(None, "x", "ann", "x"), "failed", "--client-secret and --username: of no use without --client-id"),
    ],
)
def test_what_a_login_lacks_is_told(http: Http, issuer: Issuer, login: Login, mark: str, words: str) -> None:
    finding = about(examined(http, trusting(issuer), login), "token")

    assert (finding.mark, finding.found) == (mark, words)


def test_a_stored_client_without_a_secret_lacks_the_rest(http: Http, issuer: Issuer) -> None:
    finding = about(examined(http, trusting(issuer, client={"id": "my-client"})), "token")

    assert finding.found == "none is asked for: that takes --client-secret or --username"


def test_the_order_is_the_same_whether_or_not_an_answer_carries_the_time(http: Http, publisher: Publisher) -> None:
    issuer = f"{publisher.origin}/realms/clinic"
    publisher.publish(f"/realms/clinic{OPENID}", metadata(issuer))
    publisher.publish("/realms/clinic/certs", {"keys": []})
    resources = [provider("keycloak"), introspector("i", jwt={"iss": issuer}, jwks_uri=f"{issuer}/certs"), policy("p")]

    untold = [finding.check for finding in examined(http, resources)]
    publisher.headers["Date"] = formatdate(usegmt=True)
    told = [finding.check for finding in examined(http, resources)]

    assert told == untold
    assert told[-1] == "clock"


def test_the_stored_client_is_the_one_to_ask_as(http: Http, issuer: Issuer) -> None:
    client = {"id": "my-client", "secret": "my-client-secret"}

    resources = trusting(issuer, client=client, token_endpoint=issuer.token_endpoint)

    assert marks(examined(http, resources))["client credentials"] == "ok"


def test_the_stored_secret_is_not_sent_for_another_client(http: Http, issuer: Issuer) -> None:
    client = {"id": "my-client", "secret": "my-client-secret"}

    findings = examined(http, trusting(issuer, client=client), Login("another"))

    assert marks(findings)["token"] == "failed"


def test_the_stored_token_endpoint_comes_first(http: Http, issuer: Issuer) -> None:
    finding = about(
        examined(http, trusting(issuer, token_endpoint=f"{issuer.url}/elsewhere"), CLIENT), "client credentials"
    )

    assert finding.mark == "failed"
    assert "404" in finding.found


def test_no_token_endpoint_fails(http: Http, own_issuer: Issuer) -> None:
    with own_issuer.fail("discovery", 404):
        finding = about(examined(http, trusting(own_issuer), CLIENT), "token")

    assert (finding.mark, finding.found) == ("failed", "no token endpoint is known")


@pytest.mark.parametrize(
    ("login", "check", "words"),
    [
        (Login("my-client", "wrong"), "client credentials", "invalid_client"),
        (dataclasses.replace(PERSON, password="wrong"), "password", '"Invalid user credentials"'),
        (dataclasses.replace(CLIENT, scope="nonsense"), "client credentials", "invalid_scope"),
    ],
)
def test_a_token_that_is_not_issued_fails_with_what_the_provider_says(
    http: Http, issuer: Issuer, login: Login, check: str, words: str
) -> None:
    finding = about(examined(http, trusting(issuer), login), check)

    assert finding.mark == "failed"
    assert words in finding.found
    assert finding.remedy


def test_a_token_endpoint_that_is_down_fails(http: Http, own_issuer: Issuer) -> None:
    with own_issuer.fail("token", 503):
        finding = about(examined(http, trusting(own_issuer), CLIENT), "client credentials")

    assert (finding.mark, "status 503" in finding.found) == ("failed", True)


@pytest.mark.parametrize(
    ("jwt", "words"),
    [
        ({"aud": "another"}, "aud names another audience"),
        ({"client_id": "another"}, "the token was issued to another client"),
        ({"typ": "at+jwt"}, "the typ of the header"),
    ],
)
def test_a_token_that_is_refused_here_fails_with_the_check(
    http: Http, issuer: Issuer, jwt: dict[str, object], words: str
) -> None:
    findings = examined(http, trusting(issuer, jwt=jwt), CLIENT)

    finding = about(findings, "client credentials: token")
    assert finding.mark == "failed"
    assert words in finding.found
    assert "client credentials: userinfo" not in marks(findings)


def test_a_token_of_another_issuer_fails(http: Http, issuer: Issuer, own_issuer: Issuer) -> None:
    resources = trusting(issuer, token_endpoint=own_issuer.token_endpoint)

    finding = about(examined(http, resources, CLIENT), "client credentials: token")

    assert finding.mark == "failed"
    assert "the issuer is not known" in finding.found
    assert "What is compared and what is called are two things." in finding.remedy


def test_a_token_that_another_introspector_takes_fails(http: Http, issuer: Issuer, own_issuer: Issuer) -> None:
    other = introspector("other", None, jwt={"iss": own_issuer.issuer}, jwks_uri=own_issuer.jwks_uri)
    asked = {"token_endpoint": own_issuer.token_endpoint, "userinfo_endpoint": own_issuer.userinfo_endpoint}

    findings = examined(http, trusting(issuer, other, policy("all"), **asked), CLIENT)

    finding = about(findings, "client credentials: token")
    assert finding.mark == "failed"
    assert "taken by TokenIntrospector/other, not by TokenIntrospector/keycloak-jwt-introspector" in finding.found
    assert "client credentials: userinfo" not in marks(findings)
    assert own_issuer.requests["userinfo"] == 0


def test_a_token_without_openid_fails_at_userinfo_with_the_scope(http: Http, issuer: Issuer) -> None:
    login = dataclasses.replace(CLIENT, scope="profile")

    finding = about(examined(http, trusting(issuer), login), "client credentials: userinfo")

    assert finding.mark == "failed"
    assert "answers 403" in finding.found
    assert any("openid" in line for line in finding.remedy)


def test_userinfo_that_is_down_fails_for_each_token(http: Http, own_issuer: Issuer) -> None:
    with own_issuer.fail("userinfo", 503):
        findings = examined(http, trusting(own_issuer), PERSON)

    for grant in ("client credentials", "password"):
        assert "status 503" in about(findings, f"{grant}: userinfo").found


def test_userinfo_of_a_provider_that_refuses_the_token_fails(http: Http, own_issuer: Issuer) -> None:
    with own_issuer.fail("userinfo", 401):
        finding = about(examined(http, trusting(own_issuer), CLIENT), "client credentials: userinfo")

    assert (finding.mark, "does not take the token" in finding.found) == ("failed", True)


def test_userinfo_is_not_asked_where_claims_do(http: Http, own_issuer: Issuer) -> None:
    resources = trusting(own_issuer, **{"userinfo-source": "id-token"})

    assert marks(examined(http, resources, CLIENT))["client credentials: userinfo"] == "ok"
    assert own_issuer.requests["userinfo"] == 0


def test_no_user_is_made_and_no_trace_is_left_of_a_client_with_odd_characters(http: Http) -> None:
    odd = Client("a client: with+signs", "s3cret: with %+& signs")
    with Issuer(clients=[odd]) as issuer:
        findings = examined(http, trusting(issuer), Login(odd.id, odd.secret))

    assert marks(findings)["client credentials: token"] == "ok"


def test_resources_of_the_tutorial_without_a_token_endpoint_are_enough(http: Http, hidden: Issuer) -> None:
    resources = trusting(hidden)
    resources[0] = without(resources[0], "title")

    finding = about(examined(http, resources, CLIENT), "client credentials")

    assert finding.found == f"{hidden.token_endpoint} issued a token"
