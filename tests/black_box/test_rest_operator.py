"""How the operator signs in, and how guessing is slowed down."""

from __future__ import annotations

import base64

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, bearer, trusting
from .callers import OPERATOR, PASSWORD, Operated, basic, operate

PATH = "/fhir/AccessPolicy"


def sign_in(app: Flask, address: str = "192.0.2.1", method: str = "GET", path: str = PATH, **headers: str):
    return app.test_client().open(
        path, method=method, headers=headers, environ_base={"REMOTE_ADDR": address}, buffered=True
    )


def wrong(app: Flask, times: int, address: str = "192.0.2.1") -> list[int]:
    return [sign_in(app, address, **basic(password=f"wrong-{n}")).status_code for n in range(times)]


def raw(text: str | bytes) -> dict[str, str]:
    data = text.encode() if isinstance(text, str) else text
    return {"Authorization": "Basic " + base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (OPERATOR, "wrong"),
        (OPERATOR, ""),
        (OPERATOR, PASSWORD[:-1]),
        (OPERATOR, PASSWORD + "x"),
        (OPERATOR, PASSWORD.upper()),
        (OPERATOR, " " + PASSWORD),
        (OPERATOR.upper(), PASSWORD),
        ("", PASSWORD),
        ("other", PASSWORD),
        (PASSWORD, OPERATOR),
    ],
)
def test_a_wrong_name_or_password_is_answered_401_with_a_challenge(operated: Operated, name, password):
    answer = sign_in(operated(), **basic(name, password))

    assert answer.status_code == 401
    assert any("Basic" in challenge for challenge in answer.headers.getlist("WWW-Authenticate"))
    assert PASSWORD not in answer.get_data(as_text=True)


ODD = [
    raw("operatör:passwörd"),
    raw("operatör:passwörd".encode("latin-1")),
    raw(b"\xff\xfe:\x00"),
    raw("\N{GRINNING FACE}:\N{GRINNING FACE}"),
    raw("operator"),
    raw(""),
    raw(":"),
    raw("operator:" + "x" * 10_000),
    {"Authorization": "Basic"},
    {"Authorization": "Basic "},
    {"Authorization": "Basic !!!"},
    {"Authorization": "Basic =="},
    {"Authorization": "Basic b3BlcmF0b3I"},
    {"Authorization": "Basic ö"},
    {"Authorization": "Basic " + "é" * 30},
    {"Authorization": "basic b3BlcmF0b3I6eA=="},
]


@pytest.mark.parametrize("headers", ODD, ids=lambda value: ascii(value["Authorization"])[:40])
def test_an_odd_basic_credential_is_answered_401(operated: Operated, headers):
    assert sign_in(operated(), **headers).status_code == 401


def test_odd_basic_credentials_count_as_guesses(operated: Operated):
    app = operated()

    statuses = [sign_in(app, **raw(f"operatör{n}:x")).status_code for n in range(6)]

    assert statuses == [401] * 5 + [429]


@pytest.mark.parametrize("charset", ["utf-8"])
def test_a_password_that_is_not_ascii_is_compared_as_utf8(operated: Operated, charset):
    app = operated(FOREIGN_TOKEN_ADMIN_CLIENT_ID="opérateur", FOREIGN_TOKEN_ADMIN_CLIENT_SECRET="sésame-öffne-dich")

    assert sign_in(app, **basic("opérateur", "sésame-öffne-dich", charset)).status_code == 200
    assert sign_in(app, **basic("opérateur", "sésame-öffne-dich", "latin-1")).status_code == 401


def test_a_password_may_hold_colons(operated: Operated):
    app = operated(FOREIGN_TOKEN_ADMIN_CLIENT_SECRET="one:two:three:four")

    assert sign_in(app, **basic(OPERATOR, "one:two:three:four")).status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_scheme_is_read_in_any_case(operated: Operated, scheme):
    headers = {"Authorization": basic()["Authorization"].replace("Basic", scheme)}

    assert sign_in(operated(), **headers).status_code == 200


def test_the_sixth_wrong_password_in_a_minute_is_answered_429(operated: Operated):
    assert wrong(operated(), 7) == [401, 401, 401, 401, 401, 429, 429]


def test_429_says_when_to_come_again(operated: Operated):
    app = operated()
    wrong(app, 5)

    answer = sign_in(app, **basic(password="wrong"))

    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.json["error"]
    assert "WWW-Authenticate" not in answer.headers


def test_the_right_password_does_not_help_either_after_five_wrong_ones(operated: Operated):
    app = operated()
    wrong(app, 5)

    assert sign_in(app, **basic()).status_code == 429


def test_another_address_is_not_held_up(operated: Operated):
    app = operated()
    wrong(app, 6)

    assert sign_in(app, "192.0.2.2", **basic()).status_code == 200


def test_wrong_passwords_at_different_endpoints_count_together(operated: Operated):
    app = operated()
    paths = ["/fhir/User", "/fhir/AccessPolicy", "/fhir/IdentityProvider/x", "/fhir/User/x", "/fhir/TokenIntrospector"]

    assert [sign_in(app, path=path, **basic(password="w")).status_code for path in paths] == [401] * 5
    assert sign_in(app, path="/fhir/User", **basic(password="w")).status_code == 429


def test_forwarded_addresses_are_not_believed(operated: Operated):
    app = operated()

    statuses = [
        sign_in(app, **basic(password="w"), **{"X-Forwarded-For": f"198.51.100.{n}", "X-Real-Ip": f"198.51.100.{n}"})
        for n in range(6)
    ]

    assert statuses[-1].status_code == 429


def test_requests_without_credential_are_no_guesses(operated: Operated):
    app = operated()

    assert [sign_in(app).status_code for _ in range(8)] == [401] * 8
    assert sign_in(app, **basic()).status_code == 200


def test_views_of_the_app_are_not_held_up(trusted: Flask, issuer: Issuer):
    wrong(trusted, 7, address="127.0.0.1")

    assert ask(trusted, issuer.token()).status_code == 200


def test_a_bearer_token_is_not_held_up_by_wrong_passwords(trusted: Flask, issuer: Issuer):
    wrong(trusted, 7, address="127.0.0.1")

    answer = trusted.test_client().get("/fhir/User", headers=bearer(issuer.token()))

    assert answer.status_code == 403


def test_the_right_password_before_the_limit_is_taken(operated: Operated):
    app = operated()

    assert wrong(app, 4) == [401] * 4
    assert sign_in(app, **basic()).status_code == 200


@pytest.mark.parametrize("address", ["2001:db8::1", "::ffff:192.0.2.1"])
def test_ipv6_addresses_are_limited_too(operated: Operated, address):
    assert wrong(operated(), 6, address)[-1] == 429


def test_a_thousand_addresses_are_no_failure(operated: Operated):
    app = operated()

    assert {wrong(app, 1, f"10.0.{n // 250}.{n % 250}")[0] for n in range(1000)} == {401}


def test_two_credentials_are_refused(trusted: Flask, issuer: Issuer):
    headers = [("Authorization", basic()["Authorization"]), ("Authorization", f"Bearer {issuer.token()}")]

    answer = trusted.test_client().get(PATH, headers=headers)

    assert answer.status_code in {400, 401}


def test_the_password_stands_in_no_log(operated: Operated, caplog):
    caplog.set_level("DEBUG")
    app = operated()
    operate(app, "PUT", "/fhir/AccessPolicy/a", {"engine": "allow"})
    sign_in(app, **basic(password="nearly-" + PASSWORD))
    wrong(app, 6)

    own = "".join(record.getMessage() for record in caplog.records if record.name.startswith("flask_foreign_token"))
    assert PASSWORD not in own
    assert basic()["Authorization"] not in caplog.text


@pytest.mark.parametrize("site", ["cross-site"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_pages_of_other_sites_cannot_use_the_browsers_password(operated: Operated, site, method):
    app = operated()
    path = PATH if method in {"GET", "POST"} else f"{PATH}/a"

    answer = operate(
        app, method, path, "engine: allow", headers={"Sec-Fetch-Site": site, "Origin": "https://evil.example"}
    )

    assert answer.status_code == 403
    assert operate(app, "GET", PATH).json["total"] == 0


def test_two_apps_have_two_operators(operated: Operated, issuer: Issuer):
    one = operated(trusting(issuer))
    other = operated(
        FOREIGN_TOKEN_ADMIN_CLIENT_ID="another", FOREIGN_TOKEN_ADMIN_CLIENT_SECRET="another-password-entirely"
    )

    assert sign_in(one, **basic()).status_code == 200
    assert sign_in(one, **basic("another", "another-password-entirely")).status_code == 401
    assert sign_in(other, **basic()).status_code == 401
    assert sign_in(other, **basic("another", "another-password-entirely")).json["total"] == 0


def test_wrong_passwords_at_one_app_do_not_hold_up_the_other(operated: Operated):
    one, other = operated(), operated()
    wrong(one, 6)

    assert sign_in(other, **basic()).status_code == 200


def test_two_apps_with_one_extension_keep_their_resources_apart(make_app, issuer: Issuer):
    from flask_foreign_token import ForeignToken

    from .callers import OPERATOR_SETTINGS

    extension = ForeignToken()
    one, other = (make_app(extension=extension, **OPERATOR_SETTINGS) for _ in range(2))

    assert operate(one, "PUT", f"{PATH}/a", {"engine": "allow"}).status_code == 201

    assert operate(other, "GET", f"{PATH}/a").status_code == 404


def test_two_prefixes_are_kept_apart(operated: Operated):
    app = operated(FOREIGN_TOKEN_ADMIN_URL_PREFIX="/operator/v1")

    assert operate(app, "GET", "/operator/v1/User").status_code == 200
    assert operate(app, "GET", "/fhir/User").status_code == 404
    made = operate(app, "POST", "/operator/v1/AccessPolicy", {"engine": "allow"})
    assert "/operator/v1/AccessPolicy/" in made.headers["Location"]
