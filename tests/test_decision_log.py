"""The log of decisions: who, what, decided how; and nothing that is secret."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import sqlite3
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.audit import AccessDecision
from flask_foreign_token.policies.sql.database import Database
from flask_foreign_token.testing import Issuer, acting_as

from .admin.asking import ADMIN, basic, operate, token_header, tutorial
from .apps import add_views, ask, policy, secret_token, trusting, trusting_a_secret
from .conftest import MakeApp
from .deciding import LOGGER, listening

READERS = policy("readers", {"jwt": {"role": "reader"}})
WRITERS = policy("writers", {"jwt": {"role": "writer"}, "request-method": "post"})


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:16]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(trusting_a_secret(READERS, WRITERS))


# ---- what is allowed


def test_what_a_policy_allows_names_who_what_and_the_policy(
    app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = secret_token(issuer, sub="ann", role="reader")

    with listening(app, caplog) as told:
        user = ask(app, token, "/me").json["user"]

    (logged,) = told.logged
    assert logged == {
        "id": logged["id"],
        "allowed": True,
        "error": None,
        "status": None,
        "operation": "me",
        "policy": "readers",
        "user": user,
        "token": hash_of(token),
    }
    assert logged == told.signalled[0].as_dict()


def test_an_anonymous_caller_whom_a_policy_allows_is_nobody(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app([policy("all")])

    with listening(app, caplog) as told:
        ask(app)

    (decision,) = told.signalled
    assert (decision.policy, decision.user, decision.token) == ("all", None, None)


def test_guards_that_one_policy_lets_pass_decide_once_and_others_each(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(trusting_a_secret(READERS, policy("named", {"jwt": {"sub": "ann"}})), FOREIGN_TOKEN_PROTECT="all")
    view = require_policy("readers")(require_policy("named")(require_policy(scope="openid")(lambda: "in")))
    app.add_url_rule("/many", "many", view)

    with listening(app, caplog) as told:
        ask(app, secret_token(issuer, sub="ann", role="reader", scope="openid"), "/many")

    assert sorted(str(decision.policy) for decision in told.signalled) == ["named", "readers"]


def test_the_operators_endpoints_tell_who_opened_them(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(**ADMIN)
    tutorial(app, policy("desk", link=[{"reference": "Operation/foreign_token.search_user"}]))

    with listening(app, caplog) as told:
        assert ask(app, None, "/fhir/User", headers=token_header(issuer)).status_code == 200
        assert operate(app, "GET", "/AccessPolicy").status_code == 200

    by_policy, by_password = told.signalled
    assert (by_policy.allowed, by_policy.policy, by_policy.operation) == (True, "desk", "foreign_token.search_user")
    assert (by_password.allowed, by_password.policy, by_password.token) == (True, None, None)


def test_a_user_of_a_tests_choice_has_no_token_to_hash(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(trusting_a_secret(policy("all")))

    with listening(app, caplog) as told, acting_as(app, None):
        ask(app, secret_token(issuer))

    assert [decision.token for decision in told.signalled] == [None]


# ---- what is refused

TOKENS = ["wr.on.g", "opaque-" + "a" * 30, "a.b", "x" * 1000]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_that_is_refused_is_hashed(app: Flask, caplog: pytest.LogCaptureFixture, token: str) -> None:
    with listening(app, caplog) as told:
        ask(app, token)

    assert [(decision.error, decision.token) for decision in told.signalled] == [("invalid_token", hash_of(token))]


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer " + "a" * 20_000, "Basic YTpi", "DPoP abc", ""])
def test_what_is_no_token_is_not_hashed(app: Flask, caplog: pytest.LogCaptureFixture, header: str) -> None:
    with listening(app, caplog) as told:
        ask(app, headers={"Authorization": header})

    assert [decision.token for decision in told.signalled] == [None]


def test_a_denial_names_who_was_denied_what(app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    token = secret_token(issuer, sub="ann", role="reader")
    user = ask(app, token, "/me").json["user"]
    denied = secret_token(issuer, sub="ann", role="gardener")

    with listening(app, caplog) as told:
        answer = ask(app, denied)

    assert told.records[0].getMessage() == (
        f"decision=refused id={answer.json['decision_id']} error=access_denied status=403 operation=patients "
        f"user={user} token={hash_of(denied)}"
    )


def test_nothing_that_is_secret_is_told(make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(trusting(issuer, READERS, WRITERS), **ADMIN)
    said: dict[str, Any] = {"sub": "ann-the-subject", "email": "ann@example.org", "name": "Ann Example"}
    tokens = [
        issuer.token(**said, role="reader"),
        issuer.token(**said, role="gardener"),
        issuer.token(**said, lifetime=-90),
        issuer.token(**said, nickname="wrong-audience", aud="another-audience"),
        "wr.on.g-token",
    ]

    with listening(app, caplog, logging.DEBUG) as told:
        for token in tokens:
            for path in ("/me", "/me?access_token=another-token", "/fhir/User"):
                ask(app, token, path, environ_base={"REMOTE_ADDR": "192.0.2.77"})
        ask(app, None, "/fhir/User", headers=basic(password="not the password"))

    text = f"{caplog.text} {told.logged} {told.signalled}"
    secret = [
        *tokens,
        "another-token",
        *said.values(),
        issuer.issuer,
        "another-audience",
        "192.0.2.77",
        "not the password",
    ]
    assert len(told.signalled) == len(tokens) * 3 + 1
    assert [value for value in secret if value in text] == []


# ---- why policies denied


def test_at_debug_a_denial_tells_which_policies_were_asked_and_where_they_part_without_values(
    app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    with listening(app, caplog, logging.DEBUG) as told:
        answer = ask(app, secret_token(issuer, role="writer"))

    assert told.explained == [f"id={answer.json['decision_id']} policy=writers mismatched=request-method"]


def test_at_debug_a_guard_that_names_policies_tells_of_those_alone(
    app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app.add_url_rule("/named", "named", require_policy("readers", "nowhere")(lambda: "in"))

    with listening(app, caplog, logging.DEBUG) as told:
        answer = ask(app, secret_token(issuer, role="writer"), "/named")

    assert told.explained == [
        f"id={answer.json['decision_id']} policy=readers mismatched=jwt.role",
        f'id={answer.json["decision_id"]} policy=nowhere absent="named by the guard, but not there"',
    ]


def test_at_debug_it_is_said_that_no_policy_could_allow_it(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(trusting_a_secret()[:2])

    with listening(app, caplog, logging.DEBUG) as told:
        answer = ask(app, secret_token(issuer))

    assert told.explained == [f"id={answer.json['decision_id']} no policy could allow it"]


def test_at_debug_the_operators_endpoints_tell_of_policies_that_are_linked_to_them(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(**ADMIN)
    links = [{"reference": "Operation/foreign_token.search_user"}, {"reference": "User/somebody"}]
    tutorial(app, policy("desk", {"jwt": {"role": "desk"}}, link=links))

    with listening(app, caplog, logging.DEBUG) as told:
        first = ask(app, None, "/fhir/User", headers=token_header(issuer)).json["decision_id"]
        second = ask(app, None, "/fhir/AccessPolicy", headers=token_header(issuer)).json["decision_id"]

    assert told.explained == [
        f"id={first} policy=desk mismatched=jwt.role",
        f"id={second} no policy could allow it",
    ]


def test_at_debug_a_policy_in_python_that_raises_is_named(
    bare_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app, extension = bare_app(), ForeignToken()
    extension.init_app(app)
    add_views(app)
    extension.policy("owns")(lambda request: request["jwt"]["absent"])
    app.add_url_rule("/owned", "owned", require_policy("owns")(lambda: "in"))

    with listening(app, caplog, logging.DEBUG) as told:
        answer = ask(app, path="/owned")

    assert told.explained == [f"id={answer.json['decision_id']} policy=owns raised=KeyError"]


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_at_no_level_is_a_policy_in_python_asked_twice(
    bare_app: MakeApp, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    app, extension = bare_app(), ForeignToken()
    extension.init_app(app)
    asked: list[str] = []
    extension.policy("counts")(lambda request: asked.append(request["uri"]))
    app.add_url_rule("/counted", "counted", require_policy("counts")(lambda: "in"))

    with listening(app, caplog, level):
        assert ask(app, path="/counted").status_code == 401

    assert asked == ["/counted"]


def test_at_debug_a_query_is_asked_for_once_more_and_a_stored_policy_is_told_by_its_name_alone(
    make_app: MakeApp, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = Database.ask

    def counted(self: Database, *args: Any) -> Any:
        asked.append("")
        return real(self, *args)

    monkeypatch.setattr(Database, "ask", counted)
    path = tmp_path / "asked.db"
    sqlite3.connect(path).close()
    extension = ForeignToken()
    query = {"query": "SELECT {{uri}} = '/elsewhere'"}
    stored = {"resourceType": "AccessPolicy", "id": "asks", "engine": "sql", "sql": query}
    app = make_app([stored], extension, FOREIGN_TOKEN_SQL_URI=f"sqlite:///{path}")
    # Of the same name, which a guard that names nothing does not mean.
    extension.policy("asks")(lambda request: True)

    with listening(app, caplog, logging.DEBUG) as told:
        answer = ask(app)

    assert (answer.status_code, len(asked)) == (401, 2)
    assert told.explained == [f'id={answer.json["decision_id"]} policy=asks mismatched=""']


def test_at_debug_a_line_names_the_first_places_of_many(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    lists = {"type": "array", "items": {"type": "string"}}
    schema = {"required": ["body"], "properties": {"body": {"patternProperties": {"": lists}}}}
    app = make_app([{"resourceType": "AccessPolicy", "id": "texts", "engine": "json-schema", "schema": schema}])

    with listening(app, caplog, logging.DEBUG) as told:
        few = ask(app, json={"a": ["x", 1, 2]}).json["decision_id"]
        many = ask(app, json={"a": [1] * 50_000}).json["decision_id"]
        long = ask(app, json={"x" * 100_000: [1]}).json["decision_id"]
        strange = ask(app, json={"a\nid=1": [1]}).json["decision_id"]

    first = ",".join(f"body.a.{index}" for index in range(20))
    assert told.explained == [
        f"id={few} policy=texts mismatched=body.a.1,body.a.2",
        f'id={many} policy=texts mismatched="{first} and 80 more"',
        f'id={long} policy=texts mismatched="body.\\\\u2026.0"',
        f'id={strange} policy=texts mismatched="body.a\\\\nid=1.0"',
    ]


def test_other_refusals_and_other_levels_tell_no_reasons(
    app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app.add_url_rule("/scope", "scope", require_policy(scope="patient.read")(lambda: "in"))

    with listening(app, caplog, logging.DEBUG) as told:
        ask(app, "wr.on.g")
        ask(app, secret_token(issuer, role="reader"))
        ask(app, secret_token(issuer, role="reader", scope="openid"), "/scope")
    assert told.explained == []

    with listening(app, caplog, logging.INFO) as told:
        ask(app, secret_token(issuer, role="writer"))
    assert told.explained == []


# ---- one line, and JSON

HARD: list[tuple[str, str]] = [
    ("plain-1.2:3/4", "policy=plain-1.2:3/4"),
    ("with space", 'policy="with space"'),
    ("a=b", 'policy="a=b"'),
    ('say "a"', 'policy="say \\"a\\""'),
    ("a\nid=0000000000000000 decision=allowed", 'policy="a\\nid=0000000000000000 decision=allowed"'),
    ("a\x1b[31m\u202e\u2028b", 'policy="a\\u001b[31m\\u202e\\u2028b"'),
    ("Zoë\ud800", 'policy="Zo\\u00eb\\ud800"'),
    ("", 'policy=""'),
]


@pytest.mark.parametrize(("policy_id", "shown"), HARD)
def test_a_decision_is_one_line_whatever_is_in_it(policy_id: str, shown: str) -> None:
    assert str(AccessDecision("0" * 16, allowed=True, policy=policy_id)) == f"decision=allowed id={'0' * 16} {shown}"


class JsonFormatter(logging.Formatter):
    """What an app may have."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"level": record.levelname, **record.__dict__["decision"]})


@pytest.fixture
def json_log() -> Iterator[StringIO]:
    stream, logger = StringIO(), logging.getLogger(LOGGER)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


def test_a_handler_that_writes_json_finds_every_member(app: Flask, issuer: Issuer, json_log: StringIO) -> None:
    ask(app, secret_token(issuer, role="reader"))
    refused = ask(app)

    first, second = map(json.loads, json_log.getvalue().splitlines())
    assert (first["level"], first["allowed"], first["policy"]) == ("INFO", True, "readers")
    assert (second["id"], second["status"]) == (refused.json["decision_id"], 401)


# ---- what nobody hears costs nothing


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that are made."""
    made: list[str] = []
    real = secrets.token_hex

    def counted(size: int) -> str:
        made.append(real(size))
        return made[-1]

    monkeypatch.setattr(secrets, "token_hex", counted)
    return made


def test_nothing_is_made_of_an_allowed_request_where_nobody_listens(
    app: Flask, issuer: Issuer, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(AccessDecision, "__init__", lambda self, *args, **more: made.append(args))

    for _ in range(3):
        assert ask(app, secret_token(issuer, role="reader")).status_code == 200

    assert (ids, made) == ([], [])


def test_a_refusal_costs_an_id_where_nobody_listens_and_no_more(
    app: Flask, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(AccessDecision, "__init__", lambda self, *args, **more: made.append(args))

    answer = ask(app)

    assert (ids, made) == ([answer.json["decision_id"]], [])


def test_with_somebody_who_listens_each_decision_costs_an_id(
    app: Flask, issuer: Issuer, ids: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with listening(app, caplog) as told:
        ask(app, secret_token(issuer, role="reader"))

    assert ids == [decision.id for decision in told.signalled]


def test_a_view_without_a_guard_makes_nothing_though_somebody_listens(
    app: Flask, issuer: Issuer, ids: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    app.add_url_rule("/own", "own", lambda: {"subject": g.token and g.token.subject})

    with listening(app, caplog):
        ask(app, secret_token(issuer), "/own")
        ask(app, None, "/nowhere")
        ask(app, None, "/patients", "OPTIONS")

    assert ids == []


class Failing(logging.Handler):
    def handle(self, record: logging.LogRecord) -> bool:
        raise OSError


def test_a_log_that_fails_makes_no_denial_another_answer(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("ann", {"jwt": {"sub": "ann"}}), policy("bad", {"uri": None})))
    log, handler = logging.getLogger("flask_foreign_token"), Failing()
    log.addHandler(handler)
    try:
        answers = [ask(app, token) for token in (secret_token(issuer, sub="bob"), "nonsense", None)]
    finally:
        log.removeHandler(handler)

    assert [answer.status_code for answer in answers] == [403, 401, 401]
