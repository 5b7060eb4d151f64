"""What a refused caller gets to see: RFC 6750 section 3, row by row."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from flask_foreign_token import errors, require_policy
from flask_foreign_token.testing import Issuer

from .apps import ask, bearer, policy, registry_of, secret_token, trusting, trusting_a_secret
from .challenges import body
from .conftest import MakeApp

ANN = policy("ann", {"jwt": {"sub": "ann"}})
ATTRIBUTE = re.compile(r'([a-z_]+)="([\x20-\x21\x23-\x5b\x5d-\x7e]*)"')


def challenge(answer: TestResponse) -> dict[str, str]:
    """The attributes of the one challenge, each of which may stand there once."""
    (header,) = answer.headers.getlist("WWW-Authenticate")
    assert re.fullmatch(rf"Bearer {ATTRIBUTE.pattern}(, {ATTRIBUTE.pattern})*", header), header
    attributes = ATTRIBUTE.findall(header)
    assert len(dict(attributes)) == len(attributes), header
    return dict(attributes)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    app = make_app(trusting_a_secret(ANN))
    app.add_url_rule("/scope", "scope", require_policy(scope="patient.read patient.write")(lambda: "in"))
    return app


# ---- the rows of the table


@pytest.mark.requirement("RFC 6750", "3.1")
@pytest.mark.requirement("RFC 9110", "11.6.1")
def test_no_credential_is_401_without_an_error_code(app: Flask) -> None:
    answer = ask(app)

    assert answer.status_code == 401
    assert list(challenge(answer)) == ["realm"]


MALFORMED = [
    "Bearer",
    "Bearer ",
    "Bearer  ",
    "Bearer a b",
    "Bearer a,b",
    "Bearer a, Bearer b",
    "Bearer a,",
    "Bearer\ta",
    "Bearer a\tb",
    'Bearer "a"',
    "Bearer a=b",
    "Bearer =",
    "Bearer a;b",
    "Bearer a:b",
    "Bearer \u00e4",
    "Bearer a%20b",
    "bearer token=a",
    "Bearer " + "a" * (16 * 1024 + 1),
]


@pytest.mark.requirement("RFC 6750", "2.1")
@pytest.mark.parametrize("header", MALFORMED, ids=lambda header: ascii(header[:20]))
@pytest.mark.parametrize("path", ["/patients", "/open"])
def test_a_malformed_header_is_400(app: Flask, path: str, header: str) -> None:
    answer = ask(app, path=path, headers={"Authorization": header})

    assert answer.status_code == 400
    assert challenge(answer)["error"] == "invalid_request"
    assert answer.json["error"] == "invalid_request"


def test_16_kib_are_read(app: Flask) -> None:
    answer = ask(app, "a" * (16 * 1024 - len("Bearer ")))

    assert (answer.status_code, challenge(answer)["error"]) == (401, "invalid_token")


@pytest.mark.requirement("RFC 9110", "11.6.2")
@pytest.mark.parametrize("repeated", [True, False])
def test_two_authorization_headers_are_400(app: Flask, issuer: Issuer, repeated: bool) -> None:
    good = f"Bearer {secret_token(issuer, sub='ann')}"
    headers = [("Authorization", good), ("Authorization", good if repeated else "Bearer another")]

    answer = app.test_client().get("/patients", headers=headers)

    assert (answer.status_code, challenge(answer)["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("other", ["Basic YTpi", "DPoP abc"])
@pytest.mark.parametrize("bearer_first", [True, False])
def test_a_bearer_token_beside_another_scheme_opens_nothing(
    app: Flask, issuer: Issuer, other: str, bearer_first: bool
) -> None:
    headers = [("Authorization", f"Bearer {secret_token(issuer, sub='ann')}"), ("Authorization", other)]

    answer = app.test_client().get("/patients", headers=headers if bearer_first else headers[::-1])

    assert answer.status_code in (400, 401)


@pytest.mark.requirement("RFC 6750", "2")
def test_a_token_in_query_and_header_is_400(app: Flask, issuer: Issuer) -> None:
    token = secret_token(issuer, sub="ann")

    answer = ask(app, token, f"/patients?access_token={token}")

    assert (answer.status_code, challenge(answer)["error"]) == (400, "invalid_request")


@pytest.mark.requirement("RFC 6750", "2.3")
@pytest.mark.requirement("RFC 9700", "4.3.2")
def test_a_token_in_the_query_alone_is_no_credential(app: Flask, issuer: Issuer) -> None:
    answer = ask(app, path=f"/patients?access_token={secret_token(issuer, sub='ann')}")

    assert (answer.status_code, list(challenge(answer))) == (401, ["realm"])


@pytest.mark.requirement("RFC 6750", "2.2")
def test_a_token_in_a_form_is_no_credential_and_one_too_many_beside_a_header(app: Flask, issuer: Issuer) -> None:
    app.post("/form", endpoint="form")(require_policy(lambda: "in"))
    token = secret_token(issuer, sub="ann")

    answers = [ask(app, sent, "/form", "POST", data={"access_token": token}) for sent in (None, token)]

    assert [answer.status_code for answer in answers] == [401, 400]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", "text/plain"])
def test_the_body_is_left_to_the_view(app: Flask, issuer: Issuer, kind: str) -> None:
    app.post("/body", endpoint="body")(require_policy(lambda: request.get_data()))

    answer = ask(app, secret_token(issuer, sub="ann"), "/body", "POST", data=b"a=1&b=2", content_type=kind)

    assert answer.data == b"a=1&b=2"


@pytest.mark.requirement("RFC 6750", "2.1")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_case_does_not_matter_in_the_name_and_scheme(app: Flask, issuer: Issuer, name: str, scheme: str) -> None:
    assert ask(app, headers={name: f"{scheme} {secret_token(issuer, sub='ann')}"}).status_code == 200


@pytest.mark.requirement("RFC 9449", "7.1")
@pytest.mark.parametrize(
    "header", ["Basic YTpi", "DPoP abc", "Digest x=y", "Negotiate abc", "BearerX abc", "Token a b"]
)
def test_other_schemes_are_none_of_ours(app: Flask, header: str) -> None:
    opened, guarded = (ask(app, path=path, headers={"Authorization": header}) for path in ("/open", "/patients"))

    assert opened.json == {"user": None, "subject": None}
    assert (guarded.status_code, list(challenge(guarded))) == (401, ["realm"])


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("expired", {"lifetime": -3600}),
    ("not yet valid", {"nbf": 9_999_999_999}),
    ("another audience", {"aud": "elsewhere"}),
    ("no audience", {"aud": None}),
    ("an unknown issuer", {"iss": "https://elsewhere.example/of-somebody"}),
    ("a bad signature", {"secret": "another secret that is also long enough!"}),
]


@pytest.mark.requirement("RFC 6749", "7")
@pytest.mark.requirement("RFC 6750", "3.1", 2)
@pytest.mark.parametrize("claims", [row[1] for row in WRONG], ids=[row[0] for row in WRONG])
@pytest.mark.parametrize("path", ["/patients", "/open"])
def test_a_wrong_token_is_401_invalid_token(app: Flask, issuer: Issuer, path: str, claims: dict[str, Any]) -> None:
    answer = ask(app, secret_token(issuer, sub="somebody-we-know", **claims), path)

    said = challenge(answer)
    assert (answer.status_code, said["error"], answer.json["error"]) == (401, "invalid_token", "invalid_token")
    assert said["error_description"] == answer.json["error_description"] != ""
    assert_leaks_nothing(answer)


def assert_leaks_nothing(answer: TestResponse) -> None:
    seen = answer.text + str(answer.headers)
    for secret in ("somebody-we-know", "elsewhere", "secret.example", "account", "9999999999", "127.0.0.1"):
        assert secret not in seen


def test_descriptions_tell_the_checks_apart(app: Flask, issuer: Issuer) -> None:
    texts = {ask(app, secret_token(issuer, **claims)).json["error_description"] for _, claims in WRONG}

    assert len(texts) >= len(WRONG) - 1


@pytest.mark.requirement("RFC 6749", "7")
@pytest.mark.requirement("RFC 6750", "3.1", 2)
@pytest.mark.requirement("RFC 9700", "2.3", 2)
def test_a_missing_scope_is_403_and_names_the_scope(app: Flask, issuer: Issuer) -> None:
    answer = ask(app, secret_token(issuer, sub="ann", scope="openid"), "/scope")

    said = challenge(answer)
    assert (answer.status_code, answer.json["error"]) == (403, "insufficient_scope")
    assert (said["error"], said["scope"]) == ("insufficient_scope", "patient.read patient.write")


@pytest.mark.requirement("RFC 6750", "3")
def test_a_denial_by_policies_is_403_without_an_error_code(app: Flask, issuer: Issuer) -> None:
    answer = ask(app, secret_token(issuer, sub="bob"))

    assert (answer.status_code, body(answer)) == (403, {"error": "access_denied"})
    assert list(challenge(answer)) == ["realm"]


def userinfo_app(make_app: MakeApp, issuer: Issuer) -> Flask:
    asking = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": issuer.userinfo_endpoint}
    return make_app(trusting(issuer, policy("all"), **asking))


def test_userinfo_that_answers_401_is_401_invalid_token(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = userinfo_app(make_app, own_issuer)

    with own_issuer.fail("userinfo", 401):
        answer = ask(app, own_issuer.token())

    assert (answer.status_code, challenge(answer)["error"]) == (401, "invalid_token")


def test_userinfo_that_answers_403_is_403_insufficient_scope_openid(make_app: MakeApp, own_issuer: Issuer) -> None:
    answer = ask(userinfo_app(make_app, own_issuer), own_issuer.token(scope="profile"))

    said = challenge(answer)
    assert (answer.status_code, said["error"], said["scope"]) == (403, "insufficient_scope", "openid")


@pytest.mark.parametrize("endpoint", ["jwks", "userinfo"])
@pytest.mark.parametrize("status", [302, 429, 500, 503])
def test_a_provider_that_does_not_answer_is_503_and_not_asked_again_at_once(
    make_app: MakeApp, own_issuer: Issuer, endpoint: str, status: int
) -> None:
    app = userinfo_app(make_app, own_issuer)

    with own_issuer.fail(endpoint, status):
        answers = [ask(app, own_issuer.token()) for _ in range(3)]

    for answer in answers:
        assert_unavailable(answer)
    assert own_issuer.requests[endpoint] == 1


def assert_unavailable(answer: TestResponse) -> None:
    assert answer.status_code == 503
    assert "WWW-Authenticate" not in answer.headers
    assert 1 <= int(answer.headers["Retry-After"]) <= 5
    assert {"error", "error_description"} >= set(body(answer)) >= {"error"}


def test_a_provider_that_cannot_be_reached_is_503(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = userinfo_app(make_app, own_issuer)
    token = own_issuer.token()

    with own_issuer.down():
        assert_unavailable(ask(app, token))


def test_keys_that_were_fetched_outlive_an_outage(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    assert ask(app, own_issuer.token(sub="ann")).status_code == 200

    with own_issuer.down():
        assert ask(app, own_issuer.token(sub="bob")).status_code == 200


def test_a_database_that_cannot_be_reached_is_503(make_app: MakeApp, issuer: Issuer, tmp_path: Any) -> None:
    app = make_app(trusting_a_secret(), SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/no/such/folder/app.db")

    assert_unavailable(ask(app, secret_token(issuer)))


def test_a_registry_that_cannot_be_read_is_503(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret())
    registry_of(app).unlink()

    for token in (secret_token(issuer), "wrong", None):
        assert_unavailable(ask(app, token))


# ---- all of them


def refusals(app: Flask, issuer: Issuer) -> Iterator[TestResponse]:
    yield ask(app)
    yield ask(app, "a b")
    yield ask(app, "wrong")
    yield ask(app, secret_token(issuer, sub="bob"))
    yield ask(app, secret_token(issuer, sub="ann", scope="openid"), "/scope")


@pytest.mark.requirement("RFC 9111", "3.5")
def test_refusals_are_json_and_never_stored(app: Flask, issuer: Issuer) -> None:
    for answer in refusals(app, issuer):
        assert answer.mimetype == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert set(body(answer)) <= {"error", "error_description"}


def test_the_realm_is_the_settings(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(ANN), FOREIGN_TOKEN_REALM="clinic")
    app.add_url_rule("/scope", "scope", require_policy(scope="patient.read")(lambda: "in"))

    assert {challenge(answer)["realm"] for answer in refusals(app, issuer)} == {"clinic"}


def test_head_is_refused_without_a_body(app: Flask) -> None:
    answer = ask(app, method="HEAD")

    assert (answer.status_code, answer.data) == (401, b"")


# ---- what the app makes of them


def test_an_errorhandler_sees_the_class(app: Flask, issuer: Issuer) -> None:
    @app.errorhandler(errors.InvalidToken)
    def wrong(error: errors.InvalidToken) -> tuple[str, int]:
        return f"handled {type(error).__name__} {error.code}", 418

    assert ask(app, "wrong").text == "handled InvalidToken 401"
    assert ask(app, secret_token(issuer, sub="bob")).status_code == 403


@pytest.mark.parametrize("handled", [HTTPException, 401, errors.Refusal])
def test_an_errorhandler_for_all_errors_sees_ours(app: Flask, handled: Any) -> None:
    app.register_error_handler(handled, lambda error: (f"handled {error.code}", error.code, error.get_headers()))

    answer = ask(app, "wrong")

    assert (answer.text, challenge(answer)["error"]) == ("handled 401", "invalid_token")


# ---- hints

HINTS: list[tuple[str, list[dict[str, Any]] | str, dict[str, Any], int, str]] = [
    ("no policy stored", trusting_a_secret()[:2], {}, 403, "AccessPolicy"),
    ("no introspector", trusting_a_secret(), {"iss": "https://elsewhere.example"}, 401, "TokenIntrospector"),
    ("a rejected registry", "[{", {}, 503, "registry.json"),
]


@pytest.mark.parametrize(
    ("resources", "claims", "status", "word"), [row[1:] for row in HINTS], ids=[row[0] for row in HINTS]
)
@pytest.mark.parametrize("debug", [True, False])
def test_a_refusal_that_configuration_causes_is_logged_once_and_hinted_at_in_debug_only(
    make_app: MakeApp,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    resources: Any,
    claims: dict[str, Any],
    status: int,
    word: str,
    debug: bool,
) -> None:
    app = make_app(resources)
    app.debug = debug
    tokens = [secret_token(issuer, **claims) for _ in range(3)]

    with caplog.at_level(logging.INFO):
        answers = [ask(app, token) for token in tokens]

    assert [answer.status_code for answer in answers] == [status] * 3
    assert [word in answer.json.get("hint", "") for answer in answers] == [debug] * 3
    assert [debug or "hint" not in answer.json for answer in answers] == [True] * 3
    logged = [record for record in caplog.records if word in record.getMessage()]
    assert len(logged) == 1
    assert logged[0].levelno >= logging.WARNING


def test_a_refusal_that_the_caller_causes_is_not_logged_with_a_hint(
    app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app.debug = True
    ask(app)  # makes the database, and says where
    caplog.clear()

    with caplog.at_level(logging.WARNING):
        hints = {answer.json.get("hint") for answer in refusals(app, issuer)}

    # What the policies say is their business; how to find out is nothing for the log.
    assert hints == {None, "none of the policies allows the request; `flask foreign-token explain` shows why"}
    assert caplog.records == []


@pytest.mark.requirement("RFC 6749", "10.3")
@pytest.mark.requirement("RFC 9700", "4.9", 2)
def test_tokens_reach_no_log(app: Flask, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    tokens = [
        secret_token(issuer, sub="ann"),
        secret_token(issuer, sub="bob"),
        secret_token(issuer, lifetime=-90),
        "wr.on.g",
    ]

    with caplog.at_level(logging.DEBUG):
        for token in tokens:
            app.test_client().get("/me", headers=bearer(token))

    logged = [record for record in caplog.records if not record.name.startswith("sqlalchemy")]
    assert not any(token in record.getMessage() for token in tokens for record in logged)
