"""``explain``: what would become of a request, and why."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from click.testing import Result
from flask import Blueprint, Flask

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.testing import Issuer

from ..admin.asking import ADMIN
from ..apps import (
    SECRET,
    ask,
    introspector,
    policy,
    provider,
    rows,
    secret_token,
    trusting,
    trusting_a_secret,
    users_in,
)
from ..conftest import MakeApp
from .commands import refused, run

ANN = policy("ann", {"jwt": {"sub": "ann"}, "request-method": "get"})


@pytest.fixture
def foreign_token() -> ForeignToken:
    return ForeignToken()


@pytest.fixture
def app(make_app: MakeApp, foreign_token: ForeignToken) -> Flask:
    app = make_app(trusting_a_secret(ANN, policy("u", {"uri": "/elsewhere"})), foreign_token)

    @app.post("/notes")
    @require_policy("own", "gone", scope="notes.write")
    def notes() -> str:
        raise AssertionError("the view must not run")

    @app.get("/stop/")
    @require_policy
    def stop() -> str:
        raise AssertionError("the view must not run")

    @foreign_token.policy("own")
    def own(request: dict[str, Any]) -> bool:
        return bool(request["body"]["owner"] == request["jwt"]["sub"])

    return app


def explained(app: Flask, *arguments: str, stdin: str | None = None) -> Result:
    result = run(app, "explain", *arguments, stdin=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    assert "Traceback" not in result.output
    return result


def told(app: Flask, *arguments: str) -> Any:
    return json.loads(explained(app, *arguments, "--json").stdout)


def stages(app: Flask, *arguments: str) -> list[tuple[str, str]]:
    return [(stage["stage"], stage["mark"]) for stage in told(app, *arguments)["stages"]]


CHECKS = ["issuer", "signature", "kind", "times", "audience", "client", "subject"]


def test_an_allowed_request_is_followed_to_the_view(app: Flask, issuer: Issuer) -> None:
    result = explained(app, "--token", secret_token(issuer, sub="ann"), "GET", "/patients?page=2")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-3]] == ["ok"] * 14
    assert [line.split(":")[1].split()[0] for line in lines if "check:" in line] == CHECKS
    assert all(" ms)" in line for line in lines[:-3])
    assert "TokenIntrospector/secret (jwt)" in result.stdout
    assert "Operation/patients: any policy" in result.stdout
    assert lines[-1] == "allowed: the view runs"
    assert "AccessPolicy/ann allows (filed under " in lines[-3]
    assert "AccessPolicy/u" not in result.stdout
    assert lines[-2] == "  and 1 that could not allow it; --all shows them"


def test_a_refused_request_says_where_and_what_instead(app: Flask, issuer: Issuer) -> None:
    result = explained(app, "--all", "--token", secret_token(issuer, sub="bob"), "GET", "/patients")

    assert result.exit_code == 1
    assert '      jwt.sub: expected "ann", found "bob"' in result.stdout.splitlines()
    assert '      uri: expected "/elsewhere", found "/patients"' in result.stdout.splitlines()
    assert result.stdout.splitlines()[-1] == "refused with 403"


def test_for_programs_it_is_json(app: Flask, issuer: Issuer) -> None:
    found = told(app, "--all", "--token", secret_token(issuer, sub="bob"), "GET", "/patients")

    assert (found["allowed"], found["status"], found["operation"]) == (False, 403, "patients")
    assert all(stage["milliseconds"] >= 0 for stage in found["stages"])
    (guard,) = found["guards"]
    assert (guard["allowed"], guard["error"], guard["policy"]) == (False, "access_denied", None)
    assert [report["id"] for report in guard["policies"]] == ["ann", "u"]
    assert guard["not-candidates"] == 2


def test_without_all_only_candidates_are_listed(app: Flask, issuer: Issuer) -> None:
    found = told(app, "--token", secret_token(issuer, sub="ann"), "GET", "/patients")

    assert [report["id"] for report in found["guards"][0]["policies"]] == ["ann"]


def test_where_none_could_have_allowed_it_the_nearest_are_shown(make_app: MakeApp) -> None:
    patterns: list[dict[str, object]] = [
        {"uri": "/elsewhere"},
        {"uri": "/elsewhere", "scheme": "https", "params": {"page": "7"}},
        {"uri": "/elsewhere", "scheme": "https"},
        {"scheme": "https"},
    ]
    app = make_app([policy(f"p-{n}", pattern) for n, pattern in enumerate(patterns)])

    lines = explained(app, "GET", "/patients").stdout.splitlines()

    assert [line.split()[0] for line in lines if "AccessPolicy/" in line] == [f"AccessPolicy/p-{n}" for n in (0, 2, 3)]
    assert lines[-2] == "  and 1 that could not allow it; --all shows them"


def test_what_is_out_of_service_is_always_shown(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(ANN, policy("ill", {"user": None})))
    arguments = ("--token", secret_token(issuer, sub="ann"), "GET", "/patients")

    lines = explained(app, *arguments).stdout.splitlines()

    assert [line for line in lines if line.startswith("  AccessPolicy/ill does not allow (out of service: matcho.user")]
    assert [report["id"] for report in told(app, *arguments)["guards"][0]["policies"]] == ["ann", "ill"]


@pytest.mark.parametrize(
    ("claims", "failed"),
    [
        ({"exp": 1}, "check: times"),
        ({"aud": "another"}, "check: audience"),
        ({"sub": " "}, "check: subject"),
        ({"at_hash": "x"}, "check: kind"),
        ({"iss": "https://unknown.example"}, "introspector"),
    ],
)
def test_the_check_that_fails_is_the_last_one(app: Flask, issuer: Issuer, claims: dict[str, Any], failed: str) -> None:
    found = stages(app, "--token", secret_token(issuer, **claims), "GET", "/patients")

    assert [name for name, mark in found if mark == "failed"] == [failed]
    assert [name for name, _ in found][-2:] == [failed, "routing"]


def test_a_wrong_signature_and_what_is_no_token_are_told(app: Flask, issuer: Issuer) -> None:
    wrong = secret_token(issuer, secret="x" * 40)

    assert ("check: signature", "failed") in stages(app, "--token", wrong, "GET", "/patients")
    assert ("parse", "failed") in stages(app, "--token", "nonsense", "GET", "/patients")
    assert ("credential", "failed") in stages(app, "--header", "Authorization: Bearer a b", "GET", "/patients")


def tokens(issuer: Issuer) -> dict[str, str | None]:
    return {
        "nobody": None,
        "ann": secret_token(issuer, sub="ann"),
        "bob": secret_token(issuer, sub="bob"),
        "expired": secret_token(issuer, sub="ann", exp=int(time.time()) - 1000),
        "forged": secret_token(issuer, secret="x" * 40, sub="ann"),
        "foreign": secret_token(issuer, sub="ann", iss="https://unknown.example"),
        "nonsense": "nonsense",
        "scoped": secret_token(issuer, sub="ann", scope="notes.write"),
    }


@pytest.mark.parametrize("who", ["nobody", "ann", "bob", "expired", "forged", "foreign", "nonsense", "scoped"])
@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("protect", [None, "all"])
def test_the_status_is_the_apps(
    make_app: MakeApp, issuer: Issuer, who: str, optional: bool, protect: str | None
) -> None:
    foreign_token = ForeignToken()
    app = make_app(
        trusting_a_secret(ANN), foreign_token, **ADMIN, FOREIGN_TOKEN_OPTIONAL=optional, FOREIGN_TOKEN_PROTECT=protect
    )
    blueprint = Blueprint("ward", __name__)
    foreign_token.protect(blueprint)
    blueprint.add_url_rule("/ward", "ward", lambda: "in")
    app.register_blueprint(blueprint)

    @app.post("/notes")
    @require_policy("ann", "gone", scope="notes.write")
    def notes() -> str:
        return "in"

    @app.get("/scoped")
    @require_policy(scope="notes.write")
    def scoped() -> str:
        return "in"

    token = tokens(issuer)[who]
    for method, path in (
        ("GET", "/patients"),
        ("GET", "/open"),
        ("GET", "/ward"),
        ("POST", "/notes"),
        ("GET", "/scoped"),
        ("GET", "/nowhere"),
        ("POST", "/patients"),
        ("OPTIONS", "/patients"),
        ("HEAD", "/patients"),
        ("GET", "/fhir/User"),
    ):
        found = told(app, *([] if token is None else ["--token", token]), method, path)
        answer = ask(app, token, path, method)
        assert found["status"] in (answer.status_code, None), (method, path, found)
        assert (found["status"] is None) is (answer.status_code < 300)
        assert found["allowed"] is (answer.status_code < 400)


def test_nobody_is_made(app: Flask, issuer: Issuer) -> None:
    result = explained(app, "--token", secret_token(issuer, sub="ann"), "GET", "/patients")

    assert "a request would make one" in result.stdout
    assert users_in(app) == 0


def test_a_known_user_is_found(app: Flask, issuer: Issuer) -> None:
    token = secret_token(issuer, sub="ann")
    ask(app, token)
    ((id_,),) = rows(app, "SELECT id FROM foreign_token_user")

    assert f"User/{id_} (" in explained(app, "--token", token, "GET", "/patients").stdout


def test_policies_see_the_user_that_would_be_made(make_app: MakeApp, issuer: Issuer) -> None:
    nurses = policy("nurses", {"user": {"data": {"roles": ["nurse"]}}})
    app = make_app(trusting_a_secret(nurses))
    token = secret_token(issuer, sub="ann", roles=["nurse"])

    assert explained(app, "--token", token, "GET", "/patients").exit_code == 0
    assert ask(app, token).status_code == 200


def test_a_user_who_would_be_linked_is_told_and_shown_to_policies(make_app: MakeApp, issuer: Issuer) -> None:
    said = {"email": "ann@example.org", "email_verified": True}
    linked = policy("linked", {"user": {"identifier": {"$contains": {"system": "keycloak", "value": "ann"}}}})
    of_entra = introspector("of-entra", "entra", jwt={"iss": "https://entra.example", "secret": SECRET})
    app = make_app([*trusting_a_secret(linked), provider("entra", match_by="email"), of_entra])
    ask(app, secret_token(issuer, sub="ann", **said))
    ((id_,),) = rows(app, "SELECT id FROM foreign_token_user")
    token = secret_token(issuer, sub="a-7", iss="https://entra.example", **said)

    result = explained(app, "--token", token, "GET", "/patients")

    assert f"a request would link it to User/{id_}, whose verified address is the same" in result.stdout
    assert result.exit_code == 0
    assert rows(app, "SELECT count(*) FROM foreign_token_identifier") == [(1,)]


def test_it_is_told_that_the_apps_function_for_new_users_is_not_asked(
    app: Flask, foreign_token: ForeignToken, issuer: Issuer
) -> None:
    @foreign_token.new_user
    def refuse(new: object) -> None:
        raise AssertionError("the function must not run")

    result = explained(app, "--token", secret_token(issuer, sub="ann"), "GET", "/patients")

    assert "the app's function for new users was not asked" in result.stdout


def test_a_user_who_is_not_made_is_told(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(ANN, create_user=False))

    assert "and none is made" in explained(app, "--token", secret_token(issuer, sub="ann"), "GET", "/patients").stdout


def test_an_inactive_user_is_refused(app: Flask, issuer: Issuer) -> None:
    token = secret_token(issuer, sub="ann")
    ask(app, token)
    rows(app, "UPDATE foreign_token_user SET active = 0 RETURNING id")

    assert ("user", "failed") in stages(app, "--token", token, "GET", "/patients")


def test_policies_in_python_and_names_without_a_policy_are_shown(app: Flask, issuer: Issuer) -> None:
    token = secret_token(issuer, sub="ann", scope="notes.write")
    data = json.dumps({"owner": "ann"})

    result = explained(app, "--token", token, "POST", "/notes", "--data", data)
    other = explained(app, "--token", token, "POST", "/notes", "--data", "{}")

    assert result.exit_code == 0
    assert "AccessPolicy/own allows (named by the guard)" in result.stdout
    assert "AccessPolicy/gone does not allow (named by the guard, but not there)" in result.stdout
    assert other.exit_code == 1
    assert "cannot be evaluated: KeyError" in other.stdout


def test_a_missing_scope_is_told(app: Flask, issuer: Issuer) -> None:
    result = explained(app, "--token", secret_token(issuer, sub="ann"), "POST", "/notes")

    assert "with the scopes notes.write: the token lacks a scope" in result.stdout
    assert result.stdout.splitlines()[-1] == "refused with 403"


def test_routing_is_told(app: Flask) -> None:
    assert "unguarded, policies are not asked" in explained(app, "GET", "/open").stdout
    assert explained(app, "GET", "/nowhere").stdout.splitlines()[-1] == "answered with 404"
    assert explained(app, "GET", "/stop").stdout.splitlines()[-1] == "answered with 308"


def test_a_guard_that_does_not_hold_is_told(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(ANN))

    @require_policy
    @app.get("/wrong")
    def wrong() -> str:
        return "in"

    result = explained(app, "GET", "/patients")

    assert "registered without their guard: wrong" in result.stdout
    assert result.stdout.splitlines()[-1] == "refused with 500"


# ---- what is sent


def test_a_token_comes_from_standard_input(app: Flask, issuer: Issuer) -> None:
    result = explained(app, "--token", "-", "GET", "/patients", stdin=secret_token(issuer, sub="ann") + "\n")

    assert result.exit_code == 0


def test_headers_and_data_are_sent(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("p", {"headers": {"x-ward": "7"}, "body": {"a": 1}})))
    view: Any = app.view_functions["patients"]
    app.add_url_rule("/patients", "add", view, methods=["POST"])
    sent = ["--header", "X-Ward: 7", "--data", '{"a": 1}', "POST", "/patients"]

    assert explained(app, *sent).exit_code == 0
    assert explained(app, "--header", "Content-Type: text/plain", *sent).exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["GET", "patients"],
        ["GET"],
        ["--header", "X-Ward", "GET", "/"],
        ["--header", "X: a\nb", "GET", "/"],
        ["--token", "", "GET", "/"],
        ["--token", "a\nb", "GET", "/"],
        ["--token", "a", "--header", "authorization: Bearer b", "GET", "/"],
        ["GET", "/", "--data", "a\udcff"],
        ["GET", "/\udcff"],
        ["G\udcff", "/"],
        ["GET", "/", "--header", "X: \udcff"],
        ["GET", "/", "--token", "\udcff"],
    ],
)
def test_what_cannot_be_sent_is_refused(app: Flask, arguments: list[str]) -> None:
    assert "Error" in refused(app, "explain", *arguments)


# ---- what is not shown


def test_neither_the_token_nor_a_secret_is_printed(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("p", {"headers": {"x-api-key": "hidden-1"}, "params": {"t": "x"}})))
    token = secret_token(issuer, sub="ann")

    for more in ([], ["--json"], ["--all"]):
        result = explained(
            app, "--token", token, "--header", "X-Api-Key: hidden-2", "GET", f"/patients?t={token}", *more
        )
        assert result.exit_code == 1
        assert token not in result.output
        assert "hidden" not in result.output
        assert "********" in result.output


def test_nobody_is_told_of_a_decision(app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "flask_foreign_token.decisions")

    explained(app, "--token", secret_token(issuer, sub="bob"), "GET", "/patients")

    assert [record for record in caplog.records if record.name == "flask_foreign_token.decisions"] == []


# ---- what is asked of providers


def test_keys_are_fetched_as_for_a_request(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))

    assert explained(app, "--token", own_issuer.token(), "GET", "/patients").exit_code == 0


def test_an_outage_is_a_503(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))

    with own_issuer.fail("jwks", 500):
        result = explained(app, "--token", own_issuer.token(), "GET", "/patients")

    assert "failed   check: signature" in result.stdout
    assert result.stdout.splitlines()[-1] == "refused with 503"


def test_an_opaque_token_is_asked_about(make_app: MakeApp, own_issuer: Issuer) -> None:
    described, asking = own_issuer.resources(kind="opaque")
    app = make_app([described, asking, policy("ann", {"token": {"sub": "ann"}})])
    token = own_issuer.opaque_token(sub="ann")

    result = explained(app, "--token", token, "GET", "/patients")
    unknown = explained(app, "--token", "unknown-token", "GET", "/patients")

    assert result.exit_code == 0
    assert f"TokenIntrospector/{asking['id']} (opaque)" in result.stdout
    assert [line.split()[2] for line in result.stdout.splitlines() if " check: " in line] == [
        "form",
        "answer",
        "kind",
        "issuer",
        "times",
        "audience",
        "client",
        "subject",
    ]
    assert "failed   check: answer" in unknown.stdout
    assert token not in result.stdout
    assert users_in(app) == 0


def test_a_jwt_that_is_asked_about_is_looked_at_first(make_app: MakeApp, own_issuer: Issuer) -> None:
    described, asking = own_issuer.resources(kind="opaque")
    asking = {**asking, "jwt": {**asking.get("jwt", {}), "iss": own_issuer.issuer}}
    app = make_app([described, asking, policy("all")])

    found = stages(app, "--token", own_issuer.token(exp=1), "GET", "/patients")

    assert ("check: times", "failed") in found
    assert "introspection" not in own_issuer.requests
