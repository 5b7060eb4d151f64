"""The doctor looks at everything that is stored, and says by its exit status whether somebody must come."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer

from ..apps import SECRET_ISSUER, introspector, policy, provider, registry_of, trusting, write_registry
from ..conftest import MakeApp
from .callers import CLIENT_SECRET, OPERATOR_SETTINGS, SIGNING_SECRET, Operated, everything, put_all, run
from .registries import overwrite, uri_of
from .tokens import Server, document, issued_by, jwk, rsa_key

MARKS = {"ok", "warning", "failed", "skipped"}


def well(issuer: Issuer) -> list[dict[str, Any]]:
    return [
        one | {"issuer": issuer.issuer} if one["resourceType"] == "IdentityProvider" else one
        for one in trusting(issuer)
    ]


@pytest.fixture
def app(operated: Operated, own_issuer: Issuer) -> Flask:
    return operated(well(own_issuer))


def findings(app: Flask, *words: str) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = json.loads(run(app, "doctor", *words, "--json", status=None).stdout)
    assert all({"check", "mark"} <= set(one) and one["mark"] in MARKS for one in said)
    return said


def about(app: Flask, text: str, *words: str) -> list[dict[str, Any]]:
    """What the doctor found that names `text`, and is not well."""
    return [one for one in findings(app, *words) if one["mark"] in {"warning", "failed"} and text in json.dumps(one)]


def test_where_all_is_well_the_status_is_0(app: Flask):
    assert not [one for one in findings(app) if one["mark"] == "failed"]
    run(app, "doctor", status=0)


def test_json_is_an_array_of_findings_and_nothing_else_is_printed(app: Flask):
    result = run(app, "doctor", "--json")

    assert isinstance(json.loads(result.stdout), list)


def test_the_status_is_1_where_something_failed(app: Flask, own_issuer: Issuer):
    with own_issuer.fail("jwks", 500):
        result = run(app, "doctor", "--json", status=1)

    assert any(one["mark"] == "failed" for one in json.loads(result.stdout))


@pytest.mark.parametrize("style", [[], ["--json"]], ids=["people", "programs"])
def test_both_styles_have_the_same_status(app: Flask, own_issuer: Issuer, style: list[str]):
    run(app, "doctor", *style, status=0)
    with own_issuer.down():
        run(app, "doctor", *style, status=1)


def test_every_active_provider_and_introspector_is_looked_at(operated: Operated, own_issuer: Issuer):
    second = [
        provider("second", system="second"),
        introspector("second-jwt", "second", jwt={"iss": "https://second.example"}, jwks_uri=own_issuer.jwks_uri),
    ]
    app = operated([*well(own_issuer), *second])

    looked_at = json.dumps(findings(app))

    assert "keycloak" in looked_at
    assert "second" in looked_at


def test_an_introspector_that_belongs_to_no_provider_is_looked_at(operated: Operated, own_issuer: Issuer):
    alone = introspector("alone", None, jwt={"iss": "https://alone.example"}, jwks_uri=own_issuer.jwks_uri)

    assert "alone" in json.dumps(findings(operated([*well(own_issuer), alone])))


def test_keys_that_cannot_be_had_are_found(operated: Operated, server: Server):
    app = operated(issued_by(f"{server.url}/not-there"))

    assert [one["mark"] for one in about(app, "404")] == ["failed"]


def test_keys_that_do_not_serve_are_found(operated: Operated, server: Server):
    app = operated(issued_by(server.keys(jwk(rsa_key(), use="enc"))))

    assert [one for one in about(app, "key") if one["mark"] == "failed"]


def test_a_clock_that_is_wrong_is_found(operated: Operated, server: Server):
    late = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 3600))
    server.pages["/keys"] = document({"keys": [jwk(rsa_key())]}, Date=late)
    app = operated(issued_by(f"{server.url}/keys"))

    [finding] = [one for one in findings(app) if one["check"] == "clock"]
    assert finding["mark"] != "ok"


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_an_audience_that_is_missing_is_found(operated: Operated, own_issuer: Issuer, kind: str):
    first, second, third = well(own_issuer)
    second = own_issuer.resources(kind="opaque")[1] if kind == "opaque" else second
    second = {**second, "jwt": {"iss": own_issuer.issuer}}
    app = operated([first, second, third], FOREIGN_TOKEN_REQUIRE_AUDIENCE=False)

    assert about(app, "audience")


NEVER = {
    "of an operation that is none": policy("never", link=[{"reference": "Operation/no.such-view"}]),
    "of an upper-case method": policy("never", {"request-method": "GET"}),
    "of a path that no view has": policy("never", {"uri": "/no/view/has/this"}),
    "of a method and a path that do not go together": policy("never", {"request-method": "delete", "uri": "/patients"}),
}


@pytest.mark.parametrize("name", NEVER)
def test_a_policy_that_is_never_a_candidate_is_found(app: Flask, name: str):
    put_all(app, [NEVER[name]])

    found = about(app, "AccessPolicy/never")

    assert found
    assert {one["mark"] for one in found} == {"warning"}


def test_policies_that_are_candidates_are_not_complained_of(app: Flask):
    put_all(
        app,
        [
            policy("by-operation", link=[{"reference": "Operation/patients"}]),
            policy("by-path", {"request-method": "get", "uri": "/patients"}),
            policy("by-pattern", {"uri": "#^/pat", "jwt": "present?"}),
            policy("of-the-operator", link=[{"reference": "Operation/foreign_token.search_user"}]),
        ],
    )

    assert not [one for name in ("by-", "of-the-operator") for one in about(app, f"AccessPolicy/{name}")]


def test_a_view_without_a_guard_is_found_and_the_others_are_not(app: Flask):
    [finding] = about(app, "open_to_all")

    assert finding["mark"] == "warning"
    assert "me" not in json.dumps(finding).replace("remedy", "").split()
    assert not about(app, "patients")


def test_a_view_without_a_guard_is_no_finding_where_all_are_protected(operated: Operated, own_issuer: Issuer):
    app = operated(well(own_issuer), FOREIGN_TOKEN_PROTECT="all")

    assert not about(app, "open_to_all")


def test_a_view_that_asks_for_a_policy_that_is_not_there_is_found(operated: Operated, own_issuer: Issuer):
    app = operated()

    @app.get("/reports")
    @require_policy("reports-policy")
    def reports() -> str:
        return "x"

    put_all(app, well(own_issuer))

    assert [one["mark"] for one in about(app, "reports-policy")] == ["failed"]


def test_a_row_that_was_spoilt_by_hand_is_found(operated: Operated, own_issuer: Issuer):
    app = operated([*well(own_issuer), policy("spoilt", {"uri": "/x"})])
    overwrite(app, "AccessPolicy", "spoilt", "{")
    fresh = operated(SQLALCHEMY_DATABASE_URI=uri_of(app))

    result = run(fresh, "doctor", "--json", status=1)

    assert "AccessPolicy/spoilt" in result.stdout


def test_a_file_that_is_rejected_is_found(make_app: MakeApp, own_issuer: Issuer):
    app = make_app([*well(own_issuer), policy("misspelt", engine="mathco")], **OPERATOR_SETTINGS)

    result = run(app, "doctor", status=1)

    assert "AccessPolicy/misspelt" in result.output
    assert "Traceback" not in result.output


def test_a_file_that_is_no_json_is_found(make_app: MakeApp):
    app = make_app("{", **OPERATOR_SETTINGS)

    assert registry_of(app).name in run(app, "doctor", status=1).output


def test_a_secret_that_is_not_there_is_found(operated: Operated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CLINIC_SECRET", raising=False)
    app = operated(
        [provider(), policy("p"), introspector("s", jwt={"iss": SECRET_ISSUER, "secret": {"env": "CLINIC_SECRET"}})]
    )

    result = run(app, "doctor", "--json", status=1)

    assert "CLINIC_SECRET" in result.stdout


def test_no_policy_at_all_is_found(operated: Operated, own_issuer: Issuer):
    assert about(operated(well(own_issuer)[:2]), "policy")


def test_an_empty_registry_is_no_traceback(operated: Operated):
    result = run(operated(), "doctor", status=None)

    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_it_says_what_mends_it(app: Flask, own_issuer: Issuer):
    with own_issuer.down():
        failed = [one for one in findings(app) if one["mark"] == "failed"]

    assert failed
    assert all(any(key in one and one[key] for key in ("remedy", "remedies")) for one in failed), failed


def test_no_finding_shows_a_secret(operated: Operated, own_issuer: Issuer):
    first, second, third = well(own_issuer)
    first["client"] = {"id": "my-client", "secret": CLIENT_SECRET}
    other = introspector("by-secret", None, jwt={"iss": SECRET_ISSUER, "secret": SIGNING_SECRET})
    app = operated([first, second, third, other])

    said = run(app, "doctor", status=None).output + run(app, "doctor", "--json", status=None).output

    assert CLIENT_SECRET not in said
    assert SIGNING_SECRET not in said


def test_nothing_is_changed(app: Flask):
    before = everything(app)

    run(app, "doctor")

    assert everything(app) == before


def test_one_provider_can_be_named_and_one_that_is_none_fails(app: Flask):
    run(app, "doctor", "keycloak", status=0)
    assert "nobody" in run(app, "doctor", "nobody", status=1).output


def test_it_reads_the_file_as_it_is_now(make_app: MakeApp, own_issuer: Issuer):
    app = make_app(well(own_issuer), **OPERATOR_SETTINGS)
    run(app, "doctor", status=0)

    write_registry(registry_of(app), well(own_issuer)[:2])

    assert about(app, "policy")


def test_an_introspector_with_a_secret_of_its_own_needs_nobody_to_be_reached(operated: Operated):
    """`iss` is a text to compare, and never called unless discovery is asked for."""
    trust = introspector("by-secret", jwt={"iss": "https://issuer.of.ours.invalid", "secret": SIGNING_SECRET})
    app = operated([provider(), trust, policy("p", {"jwt": {"iss": "https://issuer.of.ours.invalid"}})])

    assert not [one for one in findings(app) if one["mark"] == "failed"]
    run(app, "doctor", status=0)
