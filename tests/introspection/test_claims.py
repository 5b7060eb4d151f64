from __future__ import annotations

import json
import math
from typing import Any

import pytest

from flask_foreign_token import strict_json
from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection.claims import (
    END_OF_TIME,
    check_audience,
    check_client,
    check_issuer,
    check_kind,
    check_kind_of_answer,
    check_stated_audience,
    check_stated_issuer,
    check_times,
    subject_of,
)

from .signing import AUDIENCE, ISSUER, NOW, claims, header

LEEWAY = 30.0
AT_JWT = {"client_id": "app", "jti": "1"}
"""What an access token of RFC 9068 has beside the claims of others."""


@pytest.mark.parametrize(
    "times",
    [
        {"exp": NOW + 1},
        {"exp": NOW + 0.5},
        {"exp": NOW - 29.5},
        {"exp": NOW - 29.5, "nbf": NOW + 30, "iat": NOW + 30},
        {"exp": NOW + 1, "nbf": NOW + 29.5, "iat": 0},
        {"exp": END_OF_TIME - 1},
        {"exp": NOW + 1, "nbf": None, "iat": None},
    ],
)
def test_a_token_within_its_times_passes(times: dict[str, float]) -> None:
    assert check_times(claims(**times), NOW, LEEWAY) == times["exp"]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"exp": NOW - 30}, "has expired"),
        ({"exp": NOW - 30.5}, "has expired"),
        ({"exp": 0}, "has expired"),
        ({"exp": None}, "exp is missing"),
        ({"nbf": NOW + 30.5}, "nbf lies ahead"),
        ({"iat": NOW + 31}, "iat lies ahead"),
    ],
)
def test_a_token_outside_its_times_is_refused(times: dict[str, float], reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason):
        check_times(claims(**times), NOW, LEEWAY)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [
        str(int(NOW) + 300),
        True,
        False,
        [NOW + 300],
        {"value": NOW},
        -1,
        -0.5,
        END_OF_TIME,
        (NOW + 300) * 1000,
        10**400,
        -(10**400),
        10**4299,
        1e308,
        float("nan"),
        float("inf"),
    ],
)
def test_what_is_not_a_time_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidToken, match=f"{name} is not a time"):
        check_times(claims(**{name: value}), NOW, LEEWAY)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_null_is_not_a_time(name: str) -> None:
    with pytest.raises(InvalidToken, match=f"{name} is not a time"):
        check_times({**claims(), name: None}, NOW, LEEWAY)


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["account", AUDIENCE], "https://other.example"])
def test_an_audience_that_is_ours_passes(audience: object) -> None:
    check_audience(claims(aud=audience), {AUDIENCE, "https://other.example"})


@pytest.mark.parametrize("audience", ["account", ["account", "other"], AUDIENCE + "/", AUDIENCE.upper(), "", [""]])
def test_an_audience_that_is_not_ours_is_refused(audience: object) -> None:
    with pytest.raises(InvalidToken, match="aud names another audience"):
        check_audience(claims(aud=audience), {AUDIENCE})


def test_an_audience_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(InvalidToken, match="aud is missing"):
        check_audience(claims(aud=None), {AUDIENCE})


@pytest.mark.parametrize("audience", ["anybody", ["anybody"], None])
def test_without_an_audience_of_ours_any_passes(audience: object) -> None:
    check_audience(claims(aud=audience), frozenset())


@pytest.mark.parametrize("audience", [AUDIENCE, ["account", AUDIENCE], None])
def test_an_audience_that_is_ours_or_left_out_passes(audience: object) -> None:
    check_stated_audience(claims(aud=audience), {AUDIENCE})


@pytest.mark.parametrize("audience", ["account", ["account"], ""])
def test_an_audience_that_is_stated_must_be_ours(audience: object) -> None:
    with pytest.raises(InvalidToken, match="aud names another audience"):
        check_stated_audience(claims(aud=audience), {AUDIENCE})


@pytest.mark.parametrize(
    "audience", [[], {}, {AUDIENCE: 1}, [1], [AUDIENCE, 1], [[AUDIENCE]], [None], 1, True, False, 0]
)
@pytest.mark.parametrize("ours", [frozenset[str](), frozenset([AUDIENCE])])
def test_an_audience_of_the_wrong_type_is_refused_whether_or_not_it_is_checked(
    audience: object, ours: frozenset[str]
) -> None:
    with pytest.raises(InvalidToken, match="aud is neither a text nor a list of texts"):
        check_audience(claims(aud=audience), ours)


@pytest.mark.parametrize(
    "changes",
    [
        {"azp": "app"},
        {"azp": None, "client_id": "app"},
        {"azp": "app", "client_id": "other"},
        {"azp": "", "client_id": "app"},
    ],
)
def test_a_client_that_is_ours_passes(changes: dict[str, Any]) -> None:
    check_client(claims(**changes), {"app", "second"})


@pytest.mark.parametrize(
    "changes",
    [
        {"azp": "other"},
        {"azp": "other", "client_id": "app"},
        {"azp": None, "client_id": "APP"},
        {"azp": None},
        {"azp": ""},
    ],
)
def test_a_client_that_is_not_ours_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken, match="issued to another client"):
        check_client(claims(**changes), {"app", "second"})


def test_without_a_client_of_ours_any_passes() -> None:
    check_client(claims(azp="anybody"), frozenset())
    check_client(claims(azp=None), frozenset())


@pytest.mark.parametrize("name", ["azp", "client_id"])
@pytest.mark.parametrize("value", [1, True, ["app"], {"app": 1}])
def test_a_client_of_the_wrong_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidToken, match=f"{name} is not a text"):
        check_client(claims(**{name: value}), frozenset())


@pytest.mark.parametrize("subject", ["anna", "a", "s" * 255, "auth0|5f7c", "Änne Grün", "😀", " x ", "\u202egnp"])
def test_a_subject_is_returned_as_it_stands(subject: str) -> None:
    assert subject_of(claims(sub=subject), "sub") == subject


def test_another_claim_can_be_the_subject() -> None:
    assert subject_of(claims(sub=None, oid="8c1f"), "oid") == "8c1f"


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("\u00a0", "empty"),
        ("s" * 256, "longer than 255"),
        ("s" * 12_288, "longer than 255"),
        ("an\x00na", "control"),
        ("anna\x00", "control"),
        ("an\nna", "control"),
        ("an\x7fna", "control"),
        ("an\x85na", "control"),
        ("an\ud800na", "control"),
        (None, "missing or not a text"),
        (7, "missing or not a text"),
        (True, "missing or not a text"),
        (["anna"], "missing or not a text"),
        ({"anna": 1}, "missing or not a text"),
    ],
)
def test_a_subject_that_could_pass_for_another_is_refused(subject: object, reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason):
        subject_of(claims(sub=subject), "sub")


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"])
def test_an_access_token_passes(typ: str | None) -> None:
    check_kind(header(typ=typ), claims(), None)


@pytest.mark.parametrize(
    "typ", ["logout+jwt", "token-introspection+jwt", "dpop+jwt", "secevent+jwt", "JWS", "", "at", "x/jwt"]
)
def test_another_typ_in_the_header_is_refused(typ: str) -> None:
    with pytest.raises(InvalidToken, match="the typ of the header"):
        check_kind(header(typ=typ), claims(), None)


@pytest.mark.requirement("RFC 7515", "4.1.9")
@pytest.mark.parametrize("wanted", ["at+jwt", "AT+JWT", "application/at+jwt"])
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_typ_that_is_asked_for_passes_in_any_spelling(wanted: str, typ: str) -> None:
    check_kind(header(typ=typ), claims(**AT_JWT), wanted)


@pytest.mark.parametrize("name", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"])
def test_where_at_jwt_is_asked_for_no_claim_that_it_promises_is_missing(name: str) -> None:
    with pytest.raises(InvalidToken, match=f"{name} is missing"):
        check_kind(header(typ="at+jwt"), claims(**{**AT_JWT, "azp": None, name: None}), "application/at+jwt")


def test_where_at_jwt_is_asked_for_the_client_may_stand_where_keycloak_puts_it() -> None:
    check_kind(header(typ="at+jwt"), claims(**{**AT_JWT, "azp": "app", "client_id": None}), "at+jwt")


@pytest.mark.parametrize("wanted", [None, "JWT"])
def test_where_it_is_not_asked_for_a_token_may_lack_some(wanted: str | None) -> None:
    check_kind(header(typ=wanted or "at+jwt"), claims(iat=None), wanted)


@pytest.mark.requirement("RFC 9068", "4")
@pytest.mark.parametrize("typ", [None, "JWT", "logout+jwt"])
def test_another_typ_than_the_one_asked_for_is_refused(typ: str | None) -> None:
    with pytest.raises(InvalidToken, match="typ"):
        check_kind(header(typ=typ), claims(), "at+jwt")


OTHER_KINDS = [
    {"typ": "ID"},
    {"typ": "Refresh"},
    {"typ": "Offline"},
    {"typ": "Logout"},
    {"typ": "refresh"},
    {"token_use": "id"},
    {"token_use": "ID"},
    {"token_use": "id_token"},
    {"token_use": "refresh"},
    {"token_use": "refresh_token"},
    {"token_type": "refresh"},
    {"token_type": "Refresh"},
    {"token_type": "refresh_token"},
    {"token_type": "id"},
    {"at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    {"c_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    {"token_introspection": {"active": True}},
]


@pytest.mark.requirement("RFC 8725", "3.12")
@pytest.mark.parametrize("changes", OTHER_KINDS)
@pytest.mark.parametrize("wanted", [None, "JWT"])
def test_a_token_for_another_purpose_is_refused(changes: dict[str, object], wanted: str | None) -> None:
    with pytest.raises(InvalidToken, match="access token"):
        check_kind(header(), claims(**changes), wanted)


@pytest.mark.parametrize("changes", OTHER_KINDS)
def test_a_token_for_another_purpose_passes_where_its_typ_is_asked_for(changes: dict[str, object]) -> None:
    check_kind(header(typ="logout+jwt"), claims(**changes), "logout+jwt")


@pytest.mark.parametrize(
    "changes",
    [{"typ": None}, {"typ": "Bearer"}, {"token_type": "Bearer"}, {"token_type": "access"}, {"token_use": "access"}],
)
def test_what_access_tokens_also_say_passes(changes: dict[str, object]) -> None:
    check_kind(header(), claims(**changes), None)


@pytest.mark.requirement("RFC 9449", "7.2")
@pytest.mark.requirement("RFC 8705", "3")
@pytest.mark.parametrize(
    "changes",
    [
        {"cnf": {"jkt": "x"}},
        {"cnf": {"x5t#S256": "x"}},
        {"cnf": {}},
        {"cnf": "x"},
        {"token_type": "DPoP"},
        {"token_type": "dpop"},
    ],
)
@pytest.mark.parametrize("wanted", [None, "JWT"])
def test_a_token_that_is_bound_to_a_key_is_refused(changes: dict[str, object], wanted: str | None) -> None:
    with pytest.raises(InvalidToken, match="bound to a key"):
        check_kind(header(), claims(**changes), wanted)


@pytest.mark.parametrize("name", ["typ", "token_type", "token_use"])
@pytest.mark.parametrize("value", [["ID"], {"ID": 1}, 1, True])
def test_a_kind_of_the_wrong_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidToken, match=f"{name} is not a text"):
        check_kind(header(), claims(**{name: value}), None)


def test_a_number_that_json_can_hold_is_judged() -> None:
    read = strict_json.loads(json.dumps({"exp": 10**4000}))
    assert isinstance(read, dict)

    with pytest.raises(InvalidToken, match="exp is not a time"):
        check_times(read, NOW, LEEWAY)


@pytest.mark.parametrize("times", [{"exp": None}, {"exp": None, "nbf": NOW + 29, "iat": NOW}])
def test_an_end_may_be_left_out_where_something_stands_for_it(times: dict[str, Any]) -> None:
    assert check_times(claims(**times), NOW, LEEWAY, default=math.inf) == math.inf


@pytest.mark.parametrize("changes", [{"exp": NOW - 30}, {"exp": None, "nbf": NOW + 31}, {"exp": "x"}, {"exp": 0}])
def test_where_an_end_may_be_left_out_the_times_that_are_there_hold(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        check_times(claims(**changes), NOW, LEEWAY, default=math.inf)


def test_null_is_not_an_end_that_was_left_out() -> None:
    with pytest.raises(InvalidToken, match="exp is not a time"):
        check_times({**claims(), "exp": None}, NOW, LEEWAY, default=math.inf)


def test_the_issuer_passes() -> None:
    check_issuer(claims(iss=ISSUER), ISSUER)
    check_stated_issuer(claims(iss=ISSUER), ISSUER)


OTHER_ISSUERS = [ISSUER + "/", ISSUER[:-1], ISSUER.upper(), ""]


@pytest.mark.parametrize("found", [*OTHER_ISSUERS, None, [ISSUER], (ISSUER,), {ISSUER: 1}, 1, True])
def test_what_is_not_the_issuer_is_refused(found: object) -> None:
    with pytest.raises(InvalidToken, match="iss is not the issuer"):
        check_issuer(claims(iss=found), ISSUER)


@pytest.mark.parametrize(("found", "issuer"), [(None, ISSUER), ("https://x.example", None)])
def test_an_issuer_that_an_answer_leaves_out_or_that_nobody_knows_passes(found: str | None, issuer: str | None) -> None:
    check_stated_issuer(claims(iss=found), issuer)


@pytest.mark.parametrize("found", OTHER_ISSUERS)
def test_an_issuer_that_an_answer_states_must_be_the_one_that_is_known(found: str) -> None:
    with pytest.raises(InvalidToken, match="iss is not the issuer"):
        check_stated_issuer(claims(iss=found), ISSUER)


@pytest.mark.parametrize("issuer", [ISSUER, None])
@pytest.mark.parametrize("found", [[ISSUER], {ISSUER: 1}, 1, True])
def test_an_issuer_that_an_answer_states_and_that_is_no_text_is_refused(found: object, issuer: str | None) -> None:
    with pytest.raises(InvalidToken, match="iss is not a text"):
        check_stated_issuer(claims(iss=found), issuer)


@pytest.mark.parametrize("audience", [(AUDIENCE,), ("account", AUDIENCE)])
def test_an_audience_that_was_frozen_is_a_list_still(audience: tuple[str, ...]) -> None:
    check_audience(claims(aud=audience), {AUDIENCE})


@pytest.mark.parametrize("token_type", [None, "Bearer", "bearer", "BEARER"])
def test_an_answer_about_a_bearer_token_passes(token_type: str | None) -> None:
    check_kind_of_answer(claims(token_type=token_type))


@pytest.mark.parametrize("token_type", ["", "mac", "Bearer ", "refresh_token", "N_A"])
def test_an_answer_about_a_token_of_another_type_is_refused(token_type: str) -> None:
    with pytest.raises(InvalidToken, match="the token_type is not Bearer"):
        check_kind_of_answer(claims(token_type=token_type))


@pytest.mark.parametrize("changes", OTHER_KINDS)
def test_an_answer_about_a_token_for_another_purpose_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidToken, match=r"access token|is not Bearer"):
        check_kind_of_answer(claims(**changes))


@pytest.mark.parametrize("changes", [{"cnf": {"jkt": "x"}}, {"cnf": None}, {"token_type": "DPoP"}])
def test_an_answer_about_a_token_that_is_bound_to_a_key_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidToken, match="bound to a key"):
        check_kind_of_answer({**claims(), **changes})


def test_an_issuer_that_another_resource_names_is_told_to_the_developer() -> None:
    check_stated_issuer(claims(), None, {"https://other.example"})

    with pytest.raises(InvalidToken, match="iss is not the issuer") as refusal:
        check_stated_issuer(claims(), None, {ISSUER})
    assert refusal.value.hint is not None
    assert "jwt.iss" in refusal.value.hint
    assert ISSUER not in refusal.value.hint
