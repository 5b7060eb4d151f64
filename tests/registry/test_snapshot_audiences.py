from __future__ import annotations

import pytest

from flask_foreign_token.errors import InvalidToken

from .bodies import ISSUER, SECRET, introspector
from .snapshots import builder, built, faults, token


def test_the_default_audience_stands_in_where_neither_audience_nor_client_is_named() -> None:
    assert token(built(introspector()), aud="api")
    with pytest.raises(InvalidToken, match="aud"):
        token(built(introspector()), aud="other")


def test_an_audience_of_its_own_replaces_the_default_one() -> None:
    snapshot = built(introspector(jwt={"iss": ISSUER, "secret": SECRET, "aud": ["a", "b"]}))

    assert token(snapshot, aud="b")
    with pytest.raises(InvalidToken, match="aud"):
        token(snapshot, aud="api")


@pytest.mark.parametrize("aud", [None, "api", "app", ["other", "api"]])
def test_a_client_id_stands_in_for_an_audience_that_is_left_out(aud: object) -> None:
    snapshot = built(introspector(jwt={"iss": ISSUER, "secret": SECRET, "client_id": "app"}))

    assert token(snapshot, aud=aud, client_id="app")
    with pytest.raises(InvalidToken, match="client"):
        token(snapshot, aud=aud, client_id="other")


@pytest.mark.parametrize("aud", ["other", ["other"], ""])
def test_beside_a_client_id_an_audience_that_is_stated_must_be_ours(aud: object) -> None:
    snapshot = built(introspector(jwt={"iss": ISSUER, "secret": SECRET, "client_id": "app"}))

    with pytest.raises(InvalidToken, match="aud"):
        token(snapshot, aud=aud, client_id="app")


def test_a_client_id_replaces_the_audience_where_there_is_no_default_one() -> None:
    jwt = {"iss": ISSUER, "secret": SECRET, "client_id": "app"}

    assert token(built(introspector(jwt=jwt), by=builder(default_audience=None)), aud="whatever", client_id="app")


def test_an_audience_of_its_own_is_needed_beside_a_client_id_too() -> None:
    snapshot = built(introspector(jwt={"iss": ISSUER, "secret": SECRET, "client_id": "app", "aud": "a"}))

    assert token(snapshot, aud="a", client_id="app")
    for aud in ("api", "app", None):
        with pytest.raises(InvalidToken, match="aud"):
            token(snapshot, aud=aud, client_id="app")


@pytest.mark.requirement("RFC 8725", "3.9")
@pytest.mark.parametrize("active", [True, False])
def test_an_introspector_without_any_audience_is_refused(active: bool) -> None:
    [issue] = faults(introspector(active=active), by=builder(default_audience=None))

    assert (issue.resource, issue.path) == ("TokenIntrospector/i", "jwt.aud")
    assert "FOREIGN_TOKEN_REQUIRE_AUDIENCE" in issue.message


def test_an_introspector_without_any_audience_is_taken_where_none_is_required() -> None:
    snapshot = built(introspector(), by=builder(default_audience=None, require_audience=False))

    assert token(snapshot, aud="whatever")


@pytest.mark.parametrize("name", ["aud", "client_id"])
def test_an_audience_or_a_client_of_its_own_is_enough(name: str) -> None:
    assert built(introspector(jwt={"iss": ISSUER, "secret": SECRET, name: "x"}), by=builder(default_audience=None))
