from __future__ import annotations

import re
import time

import pytest

from flask_foreign_token.diagnosis.examination import examine
from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.diagnosis.grants import Login
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import introspector, policy, provider
from ..introspection.signing import jwk
from ..loading import Clock
from ..publishing import Publisher
from ..registry.snapshots import builder, built
from .checking import about, examined, marks, trusting


def found(http: Http, publisher: Publisher, check: str, *keys: object, **jwt: object) -> Finding:
    publisher.publish("/certs", {"keys": keys})
    link = introspector("i", jwt={"iss": "urn:clinic", **jwt}, jwks_uri=f"{publisher.origin}/certs")
    return about(examined(http, [provider("keycloak"), link, policy("all")]), check)


def test_each_key_is_named_by_kind_and_id_with_those_that_were_left_out_and_why(
    http: Http, publisher: Publisher
) -> None:
    keys = [jwk("RS256", "one"), jwk("ES256", "two"), jwk("RS256", "three", use="enc"), {"kty": "oct", "kid": "four"}]

    finding = found(http, publisher, "keys: by id", *keys)

    assert finding.found.startswith(
        "TokenIntrospector/i: RS256 one, ES256 two; "
        "left out three (use is not sig), four (a symmetric key has no place in a published key set); age "
    )


def test_a_key_without_an_id_is_said_to_have_none(http: Http, publisher: Publisher) -> None:
    key = {name: value for name, value in jwk("RS256").items() if name != "kid"}

    assert "RS256 without kid;" in found(http, publisher, "keys: by id", key).found


@pytest.mark.parametrize("key_id", ["a\x1b[31m\r\nb", "\u202ereversed", "k" * 1024])
def test_an_id_cannot_do_anything_to_a_terminal(http: Http, publisher: Publisher, key_id: str) -> None:
    finding = found(http, publisher, "keys: by id", jwk("RS256", key_id), {"kty": "?", "kid": key_id})

    assert finding.found.isprintable()
    assert len(finding.found) < 400


def test_of_many_keys_some_are_named_and_the_others_counted(http: Http, publisher: Publisher) -> None:
    keys = [jwk("RS256", f"key{number}", f"key{number % 2}") for number in range(12)]

    finding = found(http, publisher, "keys: by id", *keys)

    assert "RS256 key7, 4 more;" in finding.found


def test_age_and_next_refresh_are_told(http: Http, publisher: Publisher) -> None:
    finding = found(http, publisher, "keys: by id", jwk("RS256"))

    told = re.search(r"age (\d+) s, next refresh in (\d+) s", finding.found)
    assert told is not None
    assert int(told[1]) <= 5
    assert 200 <= int(told[2]) <= 270


def test_keys_whose_algorithms_are_not_named_have_the_remedy_for_that(http: Http, publisher: Publisher) -> None:
    finding = found(http, publisher, "keys", jwk("RS256"), algorithms=["ES256"])

    assert finding.mark == "failed"
    assert "jwt.algorithms does not name what it serves" in finding.found
    assert any("jwt.algorithms" in line for line in finding.remedy)


def test_no_key_that_serves_has_the_remedy_for_that(http: Http, publisher: Publisher) -> None:
    finding = found(http, publisher, "keys", jwk("RS256", use="enc"))

    assert (finding.mark, "0 of 1 keys serve; left out 1: use is not sig" in finding.found) == ("failed", True)
    assert any("jwks_uri" in line for line in finding.remedy)


def test_old_keys_that_outlive_an_outage_are_a_warning(http: Http, own_issuer: Issuer) -> None:
    clock = Clock(time.time())
    by = builder(http, require_audience=False, default_audience=None, clock=clock)
    snapshot = built(*trusting(own_issuer), by=by)
    before = list(examine(http, snapshot, "keycloak", Login(), program="flask"))
    clock.now += 301

    with own_issuer.down():
        finding = about(examine(http, snapshot, "keycloak", Login(), program="flask"), "keys")

    assert marks(before)["keys"] == "ok"
    assert finding.mark == "warning"
    assert "could not be fetched anew: the connection is refused" in finding.found


def test_the_keys_that_tokens_are_verified_with_are_the_ones_that_are_looked_at(http: Http, own_issuer: Issuer) -> None:
    examined(http, trusting(own_issuer), Login("my-client", "my-client-secret"))

    assert own_issuer.requests["jwks"] == 1
