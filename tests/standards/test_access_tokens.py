"""RFC 7519, 8725, 9068 and what binds a token to a key: whose token it is, when it holds, and what for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flask_foreign_token.testing import Issuer

from ..apps import SECRET_ISSUER, policy, trusting
from ..conftest import MakeApp
from ..introspection.signing import ISSUER, encoded, header, jwk, key_for
from .clinic import AUDIENCE, Clinic, all_refused, said, statuses, token

# ---- whose keys, and whose token


@pytest.mark.requirement("RFC 8725", "3.8")
def test_the_keys_of_one_issuer_verify_no_token_of_another(clinic: Clinic, make_app: MakeApp, issuer: Issuer) -> None:
    clinic.publish(jwk("RS256"))
    app = make_app([*clinic.resources(policy("all")), *trusting(issuer, policy("also"), name="second")])

    assert statuses(app, token(), issuer.token()) == [200, 200]
    assert all_refused(app, [token(iss=issuer.issuer), issuer.token(iss=ISSUER, aud=AUDIENCE)])
    assert all_refused(app, [token(iss=f"{ISSUER}/"), token(iss=ISSUER[:-1]), token(iss=SECRET_ISSUER)])


@pytest.mark.requirement("RFC 7519", "4.1.3")
@pytest.mark.requirement("RFC 6750", "5.2")
@pytest.mark.requirement("RFC 9700", "2.3")
@pytest.mark.requirement("OWASP ASVS 5.0", "10.3.1")
def test_a_token_for_another_audience_is_refused(clinic: Clinic) -> None:
    app = clinic.app()
    others = ["account", [], ["account"], f"{AUDIENCE}/", AUDIENCE.upper(), AUDIENCE[:-1], None, "", 1, [1, AUDIENCE]]

    assert statuses(app, token(), token(aud=["account", AUDIENCE])) == [200, 200]
    assert all_refused(app, [token(aud=other) for other in others])


@pytest.mark.requirement("RFC 8725", "3.9")
def test_an_introspector_that_names_no_audience_is_refused_unless_that_is_asked_for(
    clinic: Clinic, make_app: MakeApp
) -> None:
    clinic.publish(jwk("RS256"))
    resources = clinic.resources()
    del resources[1]["jwt"]["aud"]

    assert statuses(make_app(resources), token()) == [503]
    assert statuses(make_app(resources, FOREIGN_TOKEN_REQUIRE_AUDIENCE=False), token(aud="any")) == [200]
    ours = make_app(resources, FOREIGN_TOKEN_RESOURCE=AUDIENCE)
    assert statuses(ours, token(), token(aud="any"), token(aud=None)) == [200, 401, 401]


@pytest.mark.requirement("RFC 7519", "4.1.4")
def test_times_are_numbers_that_may_have_a_fraction(clinic: Clinic) -> None:
    app, now = clinic.app(), time.time()

    good = [token(exp=now + 300.5, nbf=now - 0.5, iat=now - 0.25), token(exp=now - 20.5), token(nbf=int(now) + 20)]
    assert statuses(app, *good) == [200] * 3
    assert all_refused(app, [token(exp=now - 40.5), token(exp=None), token(nbf=now + 60.5), token(iat=now + 60.5)])
    assert all_refused(app, [token(**{name: f"{now}"}) for name in ("exp", "nbf", "iat")])


NAMES = ["k", "../x", "/etc/passwd", "k\0", "__proto__", "' OR 1=1 --", "k" * 4000]


@pytest.mark.requirement("RFC 8725", "3.10")
@pytest.mark.parametrize("kid", [7, 7.5, True, ["RS256"], {"RS256": 1}, None, *NAMES])
def test_a_kid_chooses_among_the_keys_that_are_known_and_does_nothing_else(clinic: Clinic, kid: Any) -> None:
    app = clinic.app()

    assert all_refused(app, [token({**header(), "kid": kid}), token({**header(), "kid": kid}, key=THIEF)])
    assert statuses(app, token(), token(header(kid=None))) == [200, 200]


THIEF = key_for("RS256", "thief")
THIEFS = {**THIEF.as_dict(private=False), "kid": "thief", "alg": "RS256"}


@pytest.mark.requirement("RFC 8725", "3.10")
def test_where_a_token_says_that_keys_are_nobody_looks(clinic: Clinic) -> None:
    app, origin = clinic.app(), clinic.publisher.origin
    clinic.publisher.publish("/thief", {"keys": [THIEFS]})
    statuses(app, token())
    asked = [*clinic.publisher.asked]

    for members in ({"jku": f"{origin}/thief"}, {"x5u": f"{origin}/thief"}, {"jwk": THIEFS}, {"x5c": ["MIIB"]}):
        assert all_refused(app, [token(header(kid=None, **members), key=THIEF)])
        assert statuses(app, token(header(**members))) == [200]

    assert all_refused(app, [token(key=THIEF, iss=f"{origin}/thief")])
    assert clinic.publisher.asked == asked


# ---- what a token is for


@pytest.mark.requirement("RFC 8725", "3.11")
@pytest.mark.requirement("RFC 9068", "4")
@pytest.mark.requirement("RFC 7515", "4.1.9")
def test_where_access_tokens_have_a_type_no_other_is_taken(clinic: Clinic) -> None:
    app = clinic.app(jwt={"typ": "at+jwt"})
    whole = {"client_id": "app", "jti": "1"}

    spellings = ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"]
    assert statuses(app, *(token(header(typ=typ), **whole) for typ in spellings)) == [200] * len(spellings)
    assert all_refused(app, [token(header(typ=typ), **whole) for typ in (None, "JWT", "at", "text/at+jwt", "")])


KINDS: dict[str, dict[str, object]] = {
    "an ID token of Keycloak": {"typ": "ID"},
    "a refresh token of Keycloak": {"typ": "Refresh"},
    "an offline token of Keycloak": {"typ": "Offline"},
    "a logout token of Keycloak": {"typ": "Logout"},
    "an ID token": {"at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    "an ID token of the hybrid flow": {"c_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    "an ID token of Cognito": {"token_use": "id"},
    "a logout token": {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    "an introspection answer": {"token_introspection": {"active": True}},
}


@pytest.mark.requirement("RFC 8725", "3.12")
@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_what_an_issuer_signs_for_another_purpose_opens_nothing(clinic: Clinic, changes: dict[str, object]) -> None:
    app = clinic.app()

    assert all_refused(app, [token(**changes)])
    assert statuses(app, token()) == [200]


TYPES = ["token-introspection+jwt", "application/token-introspection+jwt", "logout+jwt", "dpop+jwt"]


@pytest.mark.requirement("RFC 8725", "3.12")
@pytest.mark.requirement("RFC 9701", "8.1")
@pytest.mark.parametrize("typ", TYPES)
def test_a_jwt_whose_header_says_what_else_it_is_opens_nothing(clinic: Clinic, typ: str) -> None:
    app = clinic.app()

    assert all_refused(app, [token(header(typ=typ))])
    assert statuses(app, token(header(typ="JWT")), token(header(typ="at+jwt")), token(header(typ=None))) == [200] * 3


@pytest.mark.requirement("RFC 9701", "8.1")
def test_an_introspection_answer_opens_nothing_even_without_its_type(clinic: Clinic) -> None:
    app = clinic.app()

    assert all_refused(app, [token(header(typ=None), token_introspection={"active": True, "sub": "anna"})])


THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@pytest.mark.requirement("RFC 9449", "7.2")
@pytest.mark.requirement("RFC 8705", "3")
@pytest.mark.parametrize(
    "changes",
    [{"cnf": {"jkt": THUMBPRINT}}, {"cnf": {"x5t#S256": THUMBPRINT}}, {"token_type": "DPoP"}],
    ids=["DPoP", "mTLS", "DPoP by type"],
)
def test_a_token_that_is_bound_to_a_key_or_a_certificate_is_no_bearer_token(
    clinic: Clinic, changes: dict[str, object]
) -> None:
    app = clinic.app()

    assert all_refused(app, [token(**changes)])
    assert statuses(app, token()) == [200]


@pytest.mark.requirement("RFC 9068", "4", 2)
def test_an_access_token_is_checked_for_issuer_audience_signature_and_time(clinic: Clinic) -> None:
    app = clinic.app(jwt={"typ": "at+jwt"})
    head, whole = header(typ="at+jwt"), {"client_id": "app", "jti": "1"}

    wrong = [
        token(head, **whole, iss=f"{ISSUER}/"),
        token(head, **whole, aud="account"),
        token(head, **whole, aud=None),
        token(head, **whole, exp=int(time.time()) - 60),
        token(head, **whole, exp=None),
        token(head, **whole, key=THIEF),
        f"{encoded(header('none', typ='at+jwt'))}.{encoded(said(**whole))}.",
    ]
    assert statuses(app, token(head, **whole)) == [200]
    assert all_refused(app, wrong)


@pytest.mark.requirement("RFC 9068", "2.2")
@pytest.mark.parametrize("name", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"])
def test_an_access_token_lacks_nothing_that_its_type_promises(clinic: Clinic, name: str) -> None:
    app = clinic.app(jwt={"typ": "at+jwt"})
    head, whole = header(typ="at+jwt"), {"client_id": "app", "azp": None, "jti": "1"}

    assert statuses(app, token(head, **whole)) == [200]
    assert all_refused(app, [token(head, **{**whole, name: None})])
