"""Why a request is allowed or refused: ``explain``, the debugging of a developer, and no secret in any of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import require_policy
from flask_foreign_token.testing import Issuer

from ..apps import ask, bearer, policy, trusting, users_in
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, SECRETS, parsed, put_all, run, secret_introspector
from .judging import add_routes, living, logged, status

POLICIES = [
    policy("ada-reads", {"request-method": "get", "jwt": {"sub": "ada"}}),
    policy("tenants", {"uri": "/records/1", "params": {"tenant": ".user.data.tenant"}}),
    policy("portal", link=[{"reference": "Client/portal"}]),
    policy("nurses", {"uri": "/patients"}, roleName="nurse"),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Flask]:
    with living(tmp_path_factory.mktemp("explained")) as app:
        add_named(app)
        put_all(app, [*trusting(issuer, *POLICIES), secret_introspector()])
        yield app


def add_named(app: Flask) -> None:
    app.add_url_rule("/named", "named", require_policy("tenants")(lambda: "in"))
    app.add_url_rule("/scoped", "scoped", require_policy(scope="patient.read")(lambda: "in"))


@pytest.fixture(scope="module")
def developed(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Flask]:
    """The same in development mode."""
    with living(tmp_path_factory.mktemp("developed"), FOREIGN_TOKEN_DEV_MODE=True) as app:
        add_named(app)
        put_all(app, trusting(issuer, *POLICIES))
        yield app


# explain


def test_explain_ends_with_0_where_the_request_is_allowed(app: Flask, issuer: Issuer):
    said = run(app, "explain", "--token", issuer.token(sub="ada"), "GET", "/patients").stdout

    assert "ada-reads" in said
    assert "allow" in said


@pytest.mark.parametrize(
    ("claims", "method", "path"),
    [
        ({"sub": "bob"}, "GET", "/patients"),
        ({"sub": "ada"}, "POST", "/records/2"),
        (None, "GET", "/patients"),
        ({"sub": "ada", "lifetime": -600}, "GET", "/patients"),
        ({"sub": "ada", "aud": "another-api"}, "GET", "/patients"),
        ({"sub": "ada", "iss": "https://other.example"}, "GET", "/patients"),
        ({"sub": "ada"}, "GET", "/scoped"),
        ({"sub": "ada"}, "GET", "/named"),
    ],
)
def test_explain_ends_with_1_where_the_request_is_refused(app: Flask, issuer: Issuer, claims, method, path):
    words = [] if claims is None else ["--token", issuer.token(**claims)]

    assert run(app, "explain", *words, method, path, status=1).stdout


ASKED: list[tuple[dict[str, Any] | None, str, str]] = [
    ({"sub": "ada"}, "GET", "/patients"),
    ({"sub": "ada"}, "GET", "/me"),
    ({"sub": "bob"}, "GET", "/me"),
    ({"sub": "ada"}, "POST", "/records/2"),
    ({"sub": "bob", "tenant": "north"}, "POST", "/records/1?tenant=north"),
    ({"sub": "bob2", "tenant": "north"}, "POST", "/records/1?tenant=south"),
    ({"sub": "bob", "azp": "portal"}, "DELETE", "/records/2"),
    ({"sub": "bob", "azp": "portal"}, "GET", "/named"),
    ({"sub": "ada", "scope": "patient.read openid"}, "GET", "/scoped"),
    ({"sub": "ada"}, "GET", "/scoped"),
    ({"sub": "ada"}, "GET", "/open"),
    ({"sub": "ada"}, "HEAD", "/patients"),
    ({"lifetime": -600}, "GET", "/open"),
    (None, "GET", "/open"),
    (None, "GET", "/patients"),
]


@pytest.mark.parametrize(("claims", "method", "path"), ASKED, ids=[f"{row[1]} {row[2]} {row[0]}" for row in ASKED])
def test_explain_and_the_request_itself_agree(app: Flask, issuer: Issuer, claims, method, path):
    token = None if claims is None else issuer.token(**claims)
    words = [] if token is None else ["--token", token]

    asked = status(app, token, path, method)
    told = run(app, "explain", *words, method, path, "--json", status=None)

    assert told.exit_code == (0 if asked == 200 else 1)
    explained = json.loads(told.stdout)
    assert explained["allowed"] is (asked == 200)
    if asked != 200:
        assert explained["status"] == asked


def test_explain_goes_the_way_of_the_request_and_tells_the_time_of_each_stage(app: Flask, issuer: Issuer):
    told = parsed(app, "explain", "--token", issuer.token(sub="ada"), "GET", "/patients")

    stages = [stage["stage"] for stage in told["stages"]]
    order = [
        next(n for n, name in enumerate(stages) if name.startswith(wanted))
        for wanted in ("credential", "introspector", "check", "user", "policies")
    ]
    assert order == sorted(order)
    assert all(stage["milliseconds"] >= 0 for stage in told["stages"])


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"lifetime": -600}, "times"),
        ({"aud": "another-api"}, "audience"),
        ({"iss": "https://other.example"}, "introspector"),
        ({"algorithm": "none"}, ""),
    ],
)
def test_explain_names_the_stage_that_fails(app: Flask, issuer: Issuer, claims, word):
    told = json.loads(run(app, "explain", "--token", issuer.token(**claims), "GET", "/me", "--json", status=1).stdout)

    [failed] = [stage for stage in told["stages"] if stage["mark"] == "failed"]
    assert word in failed["stage"]
    assert failed["found"]


def policies_of(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for guard in told["guards"] for one in guard["policies"]}


def test_explain_tells_path_expected_and_found_of_every_candidate(app: Flask, issuer: Issuer):
    token = issuer.token(sub="explained", tenant="north")
    words = ("--token", token, "POST", "/records/1?tenant=south", "--json")

    told = policies_of(json.loads(run(app, "explain", *words, status=1).stdout))

    [mismatch] = told["tenants"]["mismatches"]
    assert mismatch["path"] == ["params", "tenant"]
    assert mismatch["but"] == "south"
    assert ".user.data.tenant" in json.dumps(mismatch["expected"])
    assert told["tenants"]["candidate"] is True
    assert told["tenants"]["allowed"] is False


def test_explain_all_tells_of_every_policy_whether_it_could_allow_and_why(app: Flask, issuer: Issuer):
    words = ("--token", issuer.token(sub="bob"), "GET", "/me", "--all", "--json")

    told = policies_of(json.loads(run(app, "explain", *words, status=1).stdout))

    assert set(told) == {"ada-reads", "tenants", "portal", "nurses"}
    for one in told.values():
        assert one["allowed"] is False
        assert one["why"]
        assert one["mismatches"]
    assert told["tenants"]["candidate"] is False
    assert "uri" in told["tenants"]["why"]


def test_explain_of_a_named_view_says_which_policies_nobody_named(app: Flask, issuer: Issuer):
    words = ("--token", issuer.token(sub="ada"), "GET", "/named", "--json")

    assert set(policies_of(json.loads(run(app, "explain", *words, status=1).stdout))) == {"tenants"}
    told = policies_of(json.loads(run(app, "explain", *words, "--all", status=1).stdout))
    assert told["ada-reads"]["candidate"] is False
    assert "named" in told["ada-reads"]["why"]


def test_explain_reads_the_token_from_standard_input(app: Flask, issuer: Issuer):
    run(app, "explain", "--token", "-", "GET", "/patients", stdin=issuer.token(sub="ada") + "\n")
    run(app, "explain", "--token", "-", "GET", "/patients", stdin="nonsense\n", status=1)


def test_explain_takes_headers_and_a_body(make_app: MakeApp, issuer: Issuer):
    app = make_app(
        trusting(issuer, policy("p", {"uri": "/upload", "headers": {"x-tenant": "north"}, "body": {"a": 1}}))
    )
    add_routes(app)
    start = ("explain", "--token", issuer.token(), "POST", "/upload", "--header", "X-Tenant: north")

    run(app, *start, "--data", '{"a": 1}')
    run(app, *start, "--data", '{"a": 2}', status=1)
    run(app, *start, status=1)
    run(app, *start, "--data", "{", status=1)


def test_explain_makes_no_user_and_runs_no_view(make_app: MakeApp, issuer: Issuer):
    app = make_app(trusting(issuer))
    ran: list[str] = []
    app.add_url_rule("/run", "run", require_policy(lambda: ran.append("ran") or "in"))

    run(app, "explain", "--token", issuer.token(sub="ada"), "GET", "/run")

    assert ran == []
    assert status(app, None, "/open") == 200
    ask(app, issuer.token(sub="bob"), "/open")
    assert users_in(app) == 1


@pytest.mark.parametrize("words", [("GET", "/no/such/view"), ("PATCH", "/patients"), ("GET", "patients")])
def test_explain_of_what_is_no_view_says_so(app: Flask, issuer: Issuer, words):
    result = run(app, "explain", "--token", issuer.token(sub="ada"), *words, status=None)

    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.output


def test_explain_in_an_outage_says_so(make_app: MakeApp, own_issuer: Issuer):
    app = make_app(trusting(own_issuer))
    token = own_issuer.token()
    with own_issuer.down():
        result = run(app, "explain", "--token", token, "GET", "/patients", status=1)

    assert "503" in result.output


@pytest.mark.parametrize("style", [[], ["--json"], ["--all", "--json"]])
def test_explain_shows_no_token_and_no_secret(app: Flask, issuer: Issuer, style, caplog):
    caplog.set_level("DEBUG")
    for claims in ({"sub": "ada"}, {"sub": "bob"}, {"lifetime": -600}, {"iss": "https://acme.example"}):
        token = issuer.token(**claims)
        words = ("--header", "X-Api-Key: a-key-of-somebody", "--header", "Cookie: session=a-session-of-somebody")
        said = run(app, "explain", "--token", token, "GET", "/patients", *words, *style, status=None).output
        for secret in (token, *token.split(".")[1:], "a-key-of-somebody", "a-session-of-somebody", *SECRETS):
            assert secret not in said
            assert secret not in logged(caplog)


def test_what_is_found_where_a_secret_stands_is_left_out(make_app: MakeApp, issuer: Issuer):
    secrets = {"headers": {"x-api-key": "the-good-key"}, "body": {"password": "the-good-word"}}
    app = make_app(trusting(issuer, policy("p", secrets), policy("q", {"params": {"access_token": "the-good-token"}})))
    add_routes(app)

    said = run(
        app,
        *("explain", "--token", issuer.token(), "POST", "/upload?access_token=the-bad-token", "--json"),
        *("--header", "X-Api-Key: the-bad-key", "--data", '{"password": "the-bad-word"}'),
        status=1,
    ).stdout

    for word in ("key", "word", "token"):
        assert f"the-bad-{word}" not in said
        assert f"the-good-{word}" not in said


HIDDEN = "the-value-that-nobody-may-read"
SECRET_PLACES: list[tuple[str, dict[str, Any]]] = [
    ("in an object", {"engine": "matcho", "matcho": {"uri": "/upload", "body": "nil?"}}),
    ("in a list", {"engine": "matcho", "matcho": {"uri": "/upload", "body": {"list": {"$length": 9}}}}),
    ("in the query", {"engine": "matcho", "matcho": {"uri": "/upload", "query-string": "x"}}),
    ("in params", {"engine": "matcho", "matcho": {"uri": "/upload", "params": {"$not": "present?"}}}),
    ("in headers", {"engine": "matcho", "matcho": {"uri": "/upload", "headers": "nil?"}}),
    ("by a schema", {"engine": "json-schema", "schema": {"required": ["body"], "properties": {"body": False}}}),
    (
        "by a schema of members",
        {
            "engine": "json-schema",
            "schema": {"required": ["x"], "properties": {"body": {"additionalProperties": False}}},
        },
    ),
    ("in a complex", {"engine": "complex", "and": [{"engine": "matcho", "matcho": {"body": {"password": "x"}}}]}),
]


@pytest.mark.parametrize(("name", "said"), SECRET_PLACES, ids=[row[0] for row in SECRET_PLACES])
def test_no_engine_shows_a_secret_wherever_it_stands(make_app: MakeApp, issuer: Issuer, name, said):
    app = make_app(trusting(issuer, {"resourceType": "AccessPolicy", "id": "p", **said}))
    add_routes(app)
    body = {"password": HIDDEN, "clientSecret": HIDDEN, "list": [{"refresh_token": HIDDEN, "api-key": HIDDEN}]}

    for style in ([], ["--json"]):
        shown = run(
            app,
            *("explain", "--token", issuer.token(), "POST", f"/upload?access_token={HIDDEN}&code=1", "--all"),
            *("--header", f"X-Api-Key: {HIDDEN}", "--data", json.dumps(body), *style),
            status=1,
        ).output
        assert HIDDEN not in shown
        assert "p" in shown


def test_a_policy_out_of_service_is_shown_with_its_reason(make_app: MakeApp, issuer: Issuer):
    app = make_app(trusting(issuer, policy("ill", {"user": None})))

    said = run(app, "explain", "--token", issuer.token(), "GET", "/patients", "--all", status=1).output

    assert "ill" in said
    assert "nil?" in said


# Development mode


def test_debug_answers_with_the_request_and_every_policy_instead_of_the_view(developed: Flask, issuer: Issuer):
    answer = ask(developed, issuer.token(sub="ada"), "/patients?__debug=policy")

    assert answer.status_code == 200
    assert answer.json["request"]["uri"] == "/patients"
    assert answer.json["request"]["jwt"]["sub"] == "ada"
    told = {one["id"]: one for one in answer.json["policies"]}
    assert set(told) == {"ada-reads", "tenants", "portal", "nurses"}
    assert told["ada-reads"]["allowed"] is True
    assert told["portal"]["allowed"] is False
    assert "subject" not in answer.json


def test_debug_tells_of_a_refusal_too(developed: Flask, issuer: Issuer):
    answer = ask(developed, issuer.token(sub="bob"), "/patients?__debug=policy")

    told = {one["id"]: one for one in answer.json["policies"]}
    assert not any(one["allowed"] for one in told.values())
    assert {"path": ["jwt", "sub"], "expected": "ada", "but": "bob"} in told["ada-reads"]["mismatches"]


GUARDED = [row for row in ASKED if row[2] != "/open" and row[1] != "HEAD"]


@pytest.mark.parametrize(("claims", "method", "path"), GUARDED, ids=[f"{row[1]} {row[2]} {row[0]}" for row in GUARDED])
def test_debug_and_the_request_itself_agree(developed: Flask, issuer: Issuer, claims, method, path):
    token = None if claims is None else issuer.token(**claims)

    asked = status(developed, token, path, method)
    answer = ask(developed, token, f"{path}{'&' if '?' in path else '?'}__debug=policy", method)

    assert answer.json["decision"]["allowed"] is (asked == 200)


def test_debug_does_not_run_the_view(make_app: MakeApp, issuer: Issuer):
    app = make_app(trusting(issuer), FOREIGN_TOKEN_DEV_MODE=True)
    ran: list[str] = []
    app.add_url_rule("/run", "run", require_policy(lambda: ran.append("ran") or "in"), methods=["GET", "POST"])

    ask(app, issuer.token(), "/run?__debug=policy")
    ask(app, issuer.token(), "/run?__debug=policy", "POST", json={"a": 1})
    assert ran == []
    ask(app, issuer.token(), "/run?__debug=other")
    assert ran == ["ran"]


def test_debug_lets_no_wrong_token_in(developed: Flask, issuer: Issuer):
    for token in (issuer.token(lifetime=-600), "nonsense", issuer.token(aud="another")):
        answer = ask(developed, token, "/patients?__debug=policy")
        assert answer.status_code == 401
        assert "policies" not in answer.json


def test_debug_shows_no_token_secret_or_cookie(developed: Flask, issuer: Issuer):
    token = issuer.token(sub="bob")
    headers = {"Cookie": "session=a-session-of-somebody", "X-Api-Key": "a-key-of-somebody"}
    shown = ask(
        developed,
        token,
        "/records/1?__debug=policy&client_secret=a-secret-of-somebody",
        "POST",
        headers=headers,
        json={"password": "a-word-of-somebody", "again": token},
    ).get_data(as_text=True)

    for secret in (token, *token.split(".")[1:]):
        assert secret not in shown
    assert "of-somebody" not in shown


def test_x_debug_logs_the_evaluation_and_changes_no_answer(developed: Flask, issuer: Issuer, caplog):
    token = issuer.token(sub="bob")
    plain = ask(developed, token)
    caplog.clear()
    answer = ask(developed, token, headers={"X-Debug": "policy"})

    assert answer.status_code == plain.status_code == 403
    assert answer.json["error"] == plain.json["error"]
    assert "nurses" in logged(caplog)
    assert token.split(".")[2] not in logged(caplog)
    assert token.split(".")[1] not in logged(caplog)


def test_in_production_there_is_no_debugging(app: Flask, issuer: Issuer, caplog):
    caplog.set_level("INFO")
    good, bad = issuer.token(sub="ada"), issuer.token(sub="bob")
    caplog.clear()
    for headers in ({}, {"X-Debug": "policy"}):
        for query in ("", "?__debug=policy"):
            assert ask(app, good, f"/patients{query}", headers=headers).json == {"subject": "ada"}
            assert set(ask(app, bad, f"/patients{query}", headers=headers).json) == {"error", "decision_id"}
            assert status(app, None, f"/patients{query}", headers=headers) == 401
    assert "tenants" not in logged(caplog)


@pytest.mark.parametrize("debug", [True, False])
def test_the_debug_mode_of_flask_is_no_development_mode(make_app: MakeApp, issuer: Issuer, debug):
    app = make_app(trusting(issuer), FOREIGN_TOKEN_DEV_MODE=False, DEBUG=debug)

    assert ask(app, issuer.token(sub="ada"), "/patients?__debug=policy").json == {"subject": "ada"}


def test_the_operators_endpoints_are_not_debugged_by_whoever_comes(make_app: MakeApp, issuer: Issuer):
    app = make_app(trusting(issuer), FOREIGN_TOKEN_DEV_MODE=True, **OPERATOR_SETTINGS)

    for headers in ({}, bearer(issuer.token())):
        answer = app.test_client().get("/fhir/AccessPolicy?__debug=policy", headers=headers)
        assert answer.status_code in {401, 403}
        assert "policies" not in answer.json


# policy test


@pytest.fixture
def table(app: Flask, tmp_path: Path):
    def try_out(*words: str, status: int = 0, **content: object) -> str:
        path = tmp_path / "table.json"
        path.write_text(json.dumps(content))
        result = run(app, "policy", "test", str(path), *words, status=status)
        assert "Traceback" not in result.output
        return result.output

    return try_out


ROW = {"name": "a row", "request": {"uri": "/x"}, "allowed": True}
ANY = policy("any", {"uri": "/x"})


def test_a_table_that_holds_passes(table):
    said = table(policies=[ANY], tests=[ROW, {"name": "b", "request": {"uri": "/y"}, "allowed": False}])

    assert "2 passed, 0 failed" in said


@pytest.mark.parametrize(
    "row",
    [
        {"request": {"uri": "/y"}, "allowed": True},
        {"request": {"uri": "/x"}, "allowed": False},
        {"request": {"uri": "/x"}, "allowed": True, "policy": "other"},
        {"request": {"uri": "/x"}, "allowed": True, "named": ["other"]},
    ],
    ids=json.dumps,
)
def test_a_row_that_does_not_hold_is_named_and_ends_with_1(table, row):
    said = table(policies=[ANY, policy("other", {"uri": "/z"})], tests=[ROW, {"name": "this-one", **row}], status=1)

    assert "this-one" in said
    assert "1 passed, 1 failed" in said


@pytest.mark.parametrize("style", [[], ["--json"]])
def test_a_table_that_fails_shows_no_secret(table, issuer: Issuer, style):
    token = issuer.token()
    request = {
        "headers": {"authorization": f"Bearer {token}", "x-api-key": HIDDEN},
        "body": {"password": HIDDEN, "again": f"Bearer {token}"},
    }
    secretive = policy("secretive", {"headers": {"x-api-key": "other"}, "body": "nil?"})

    said = table(*style, policies=[secretive], tests=[{"name": "a", "request": request, "allowed": True}], status=1)

    for secret in (HIDDEN, token, token.split(".")[1], token.split(".")[2]):
        assert secret not in said


def test_coverage_names_the_policies_that_allow_nothing(table):
    policies = [ANY, policy("never-touched", {"uri": "/z"})]

    assert "never-touched" not in table(policies=policies, tests=[ROW])
    assert "never-touched" in table("--coverage", policies=policies, tests=[ROW], status=1)
    both = [ROW, {"name": "z", "request": {"uri": "/z"}, "allowed": True}]
    assert "2 passed" in table("--coverage", policies=policies, tests=both)


def test_without_policies_the_stored_ones_are_meant(table):
    rows = [
        {"name": "ada", "request": {"request-method": "get", "jwt": {"sub": "ada"}}, "allowed": True},
        {"name": "bob", "request": {"request-method": "get", "jwt": {"sub": "bob"}}, "allowed": False},
        {"name": "ada", "request": {"client": {"id": "portal"}}, "allowed": True, "policy": "portal"},
    ]

    assert "3 passed" in table(tests=rows)


def test_policies_may_stand_in_files_beside_the_table(app: Flask, tmp_path: Path):
    (tmp_path / "any.yaml").write_text("resourceType: AccessPolicy\nid: any\nengine: matcho\nmatcho: {uri: /x}\n")
    (tmp_path / "t.yaml").write_text(f"policies: any.yaml\ntests:\n  - {json.dumps(ROW)}\n")
    (tmp_path / "u.yaml").write_text(f"policies: [any.yaml]\ntests:\n  - {json.dumps(ROW)}\n")

    for name in ("t.yaml", "u.yaml"):
        assert "1 passed" in run(app, "policy", "test", str(tmp_path / name)).stdout


def test_a_table_stores_nothing(app: Flask, table):
    table(policies=[ANY], tests=[ROW])

    assert "any" not in [one["id"] for one in parsed(app, "list", "AccessPolicy")]


BAD_TABLES: list[object] = [
    {},
    [],
    "text",
    None,
    {"tests": []},
    {"tests": "x"},
    {"tests": [1]},
    {"policies": [ANY]},
    {"policies": [ANY], "tests": [{"name": "a"}]},
    {"policies": [ANY], "tests": [{"request": {"uri": "/x"}}]},
    {"policies": [ANY], "tests": [{**ROW, "allowed": "yes"}]},
    {"policies": [ANY], "tests": [{**ROW, "allow": True}]},
    {"policies": [ANY], "tests": [{**ROW, "request": []}]},
    {"policies": [ANY], "tests": [ROW], "unknown": 1},
    {"policies": [ANY, ANY], "tests": [ROW]},
    {"policies": ["no-such-file.yaml"], "tests": [ROW]},
    {"policies": [policy("bad", {"a": None})], "tests": [ROW]},
    {"policies": [{"engine": "nothing", "resourceType": "AccessPolicy", "id": "bad"}], "tests": [ROW]},
]


@pytest.mark.parametrize("content", BAD_TABLES, ids=lambda value: json.dumps(value)[:60])
def test_a_table_that_tries_nothing_clear_ends_with_1_and_a_reason(app: Flask, tmp_path: Path, content):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))

    result = run(app, "policy", "test", str(path), status=1)

    assert result.stderr
    assert "Traceback" not in result.output
    assert "0 failed" not in result.output


def test_a_table_that_is_not_there_ends_with_a_reason(app: Flask, tmp_path: Path):
    result = run(app, "policy", "test", str(tmp_path / "none.yaml"), status=None)

    assert result.exit_code in {1, 2}
    assert "none.yaml" in result.output


def test_the_cookbook_of_the_documentation_passes(app: Flask, tmp_path: Path):
    text = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    names: list[str] = []
    for block in text.split("```{code-block} yaml\n")[1:]:
        caption, _, content = block.split("```")[0].partition("\n")
        names.append(str(tmp_path / caption.removeprefix(":caption: ")))
        Path(names[-1]).write_text(content)

    said = run(app, "policy", "test", "--coverage", *names).stdout

    assert len(names) >= 5
    assert f"{sum(Path(name).read_text().count('allowed:') for name in names)} passed, 0 failed" in said
