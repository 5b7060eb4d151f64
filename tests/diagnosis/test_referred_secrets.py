"""What the doctor does where the stored client's secret is a reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from flask_foreign_token.diagnosis.examination import examine
from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.diagnosis.grants import Login
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..registry.secret_places import sources
from ..registry.snapshots import builder, built
from .checking import CLIENT, about, marks, trusting

REFERENCE = {"client": {"id": "my-client", "secret": {"env": "LOGIN_SECRET"}}}


def found(
    http: Http,
    issuer: Issuer,
    environ: Mapping[str, str],
    login: Login = Login(),  # noqa: B008
    stored: Mapping[str, object] = REFERENCE,
) -> list[Finding]:
    by = builder(http, require_audience=False, default_audience=None, sources=sources(environ=environ))
    snapshot = built(*trusting(issuer, token_endpoint=issuer.token_endpoint, **stored), by=by)
    return list(examine(http, snapshot, "keycloak", login, program="flask foreign-token"))


def test_the_stored_client_asks_with_the_secret_that_is_referred_to(http: Http, issuer: Issuer) -> None:
    findings = found(http, issuer, {"LOGIN_SECRET": "my-client-secret"})

    assert marks(findings)["client credentials"] == "ok"
    assert all("my-client-secret" not in repr(finding) for finding in findings)


def test_a_wrong_one_is_named_with_the_place_and_not_repeated(http: Http, issuer: Issuer) -> None:
    finding = about(found(http, issuer, {"LOGIN_SECRET": "not-the-secret"}), "client credentials")

    assert finding.mark == "failed"
    assert any("IdentityProvider/keycloak" in line for line in finding.remedy)
    assert "not-the-secret" not in repr(finding)


def test_one_that_is_not_there_is_a_finding_that_names_it(http: Http, issuer: Issuer) -> None:
    finding = about(found(http, issuer, {}), "token")

    assert finding.mark == "failed"
    assert "IdentityProvider/keycloak client.secret: the environment variable LOGIN_SECRET is not set" in finding.found
    assert finding.remedy[0].startswith("Set the variable LOGIN_SECRET for the app")
    assert finding.command == ()


def test_so_is_one_that_may_not_be_named(http: Http, issuer: Issuer, tmp_path: Path) -> None:
    stored = {"client": {"id": "my-client", "secret": {"file": str(tmp_path / "login")}}}

    finding = about(found(http, issuer, {}, stored=stored), "token")

    assert (finding.mark, "FOREIGN_TOKEN_SECRET_DIRS" in finding.found) == ("failed", True)


@pytest.mark.parametrize("login", [CLIENT, Login("other-client", "x")], ids=["a secret", "another client"])
def test_it_is_not_asked_for_where_another_is_given(http: Http, issuer: Issuer, login: Login) -> None:
    findings = found(http, issuer, {}, login)

    assert "token" not in marks(findings)
    assert "client credentials" in marks(findings)
