"""JWTs: whose they are, and which key and algorithm must have signed them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..apps import ask, provider
from ..conftest import MakeApp
from .callers import Operated, operate
from .tokens import (
    CURVE_OF,
    ISSUER,
    Server,
    ec_key,
    ed_key,
    issued_by,
    jwk,
    key_for,
    let_in,
    pem,
    refused,
    rsa_key,
    serving,
    tampered,
    token_of,
)

RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
EC = list(CURVE_OF)
OKP = ["EdDSA", "Ed25519"]
ASYMMETRIC = [*RSA, *EC, *OKP]
SECRETS = {"HS256": "s" * 16 + "h" * 16, "HS384": "s" * 24 + "h" * 24, "HS512": "s" * 32 + "h" * 32}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_token_of_each_algorithm_is_let_in_by_the_key_that_says_so(server: Server, make_app: MakeApp, algorithm):
    app = make_app(issued_by(server.keys(jwk(key_for(algorithm), alg=algorithm))))

    let_in(ask(app, token_of(algorithm=algorithm)))
    refused(ask(app, tampered(token_of(algorithm=algorithm), sub="eve")), "signature")
    refused(ask(app, token_of(key_for(algorithm, "another"), algorithm)), "signature")


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_token_of_each_algorithm_is_let_in_by_a_pem_key_of_the_resource(make_app: MakeApp, algorithm):
    kind = "RSA" if algorithm in RSA else "EC" if algorithm in EC else "OKP"
    key = {"kty": kind, "alg": algorithm, "format": "PEM", "pub": pem(key_for(algorithm))}
    app = make_app(issued_by(keys=[key]))

    let_in(ask(app, token_of(algorithm=algorithm, kid=None)))
    refused(ask(app, token_of(key_for(algorithm, "another"), algorithm, kid=None)), "signature")


@pytest.mark.parametrize("algorithm", SECRETS)
@pytest.mark.parametrize("how", ["secret", "keys"])
def test_a_token_signed_with_a_secret_is_let_in_by_the_resource_that_holds_it(make_app: MakeApp, algorithm, how):
    secret = SECRETS[algorithm]
    oct_key = {"kty": "OCT", "alg": algorithm, "format": "plain", "k": secret}
    app = make_app(
        issued_by(**({"secret": secret, "algorithms": [algorithm]} if how == "secret" else {"keys": [oct_key]}))
    )

    let_in(ask(app, token_of(secret, algorithm, kid=None)))
    refused(ask(app, token_of(secret + "!", algorithm, kid=None)), "signature")


def test_the_new_name_of_eddsa_and_the_old_one_are_served_by_a_key_that_names_none(server: Server, make_app: MakeApp):
    app = make_app(issued_by(server.keys(jwk(ed_key()))))

    for algorithm in OKP:
        let_in(ask(app, token_of(ed_key(), algorithm)))


@pytest.mark.parametrize("name", OKP)
def test_a_key_for_eddsa_serves_both_names_of_it(server: Server, make_app: MakeApp, name):
    app = make_app(issued_by(server.keys(jwk(ed_key(), alg=name))))

    for algorithm in OKP:
        let_in(ask(app, token_of(ed_key(), algorithm)))
        refused(ask(app, token_of(ed_key("another"), algorithm)), "signature")


def test_keys_of_one_kid_serve_each_its_own_algorithm(server: Server, make_app: MakeApp):
    keys = [jwk(rsa_key(), alg="RS256"), jwk(rsa_key("second"), alg="PS256"), jwk(ec_key())]
    app = make_app(issued_by(server.keys(*keys)))

    for token in (token_of(), token_of(rsa_key("second"), "PS256"), token_of(algorithm="ES256")):
        let_in(ask(app, token))
    refused(ask(app, token_of(rsa_key("second"))), "signature")


@pytest.mark.parametrize(
    "iss", [ISSUER + "/", ISSUER.upper(), " " + ISSUER, ISSUER.replace("https", "http"), "https://other.example", ""]
)
def test_the_issuer_is_compared_character_by_character(server: Server, make_app: MakeApp, iss):
    app = make_app(issued_by(server.keys(jwk(rsa_key()))))

    refused(ask(app, token_of(iss=iss)))
    assert server.calls == []
    let_in(ask(app, token_of()))


def test_each_of_several_introspectors_takes_the_tokens_of_its_own_issuer_alone(server: Server, make_app: MakeApp):
    other = ISSUER + "/"
    server.pages["/others"] = {"keys": [jwk(rsa_key("other"))]}
    resources = [
        *issued_by(server.keys(jwk(rsa_key()))),
        provider("other"),
        *issued_by(f"{server.url}/others", "others", other)[1:],
    ]
    resources[-2]["identity_provider"] = {"reference": "IdentityProvider/other"}
    app = make_app(resources)

    let_in(ask(app, token_of()))
    let_in(ask(app, token_of(rsa_key("other"), iss=other)))
    refused(ask(app, token_of(rsa_key("other"))), "signature")
    refused(ask(app, token_of(iss=other)), "signature")


def test_two_active_introspectors_of_one_issuer_are_refused(operated: Operated):
    body = {"type": "jwt", "jwt": {"iss": ISSUER, "aud": "a", "secret": SECRETS["HS256"]}}
    app = operated()

    assert operate(app, "PUT", "/fhir/TokenIntrospector/one", body).status_code == 201
    assert operate(app, "PUT", "/fhir/TokenIntrospector/two", body).status_code == 422
    assert operate(app, "PUT", "/fhir/TokenIntrospector/two", {**body, "active": False}).status_code == 201


ONE_ALGORITHM = {
    "RSA by its alg": (lambda: jwk(rsa_key(), alg="PS384"), {}, "PS384", ["RS256", "RS384", "PS256", "PS512"]),
    "RSA without alg": (lambda: jwk(rsa_key()), {}, "RS256", ["RS384", "RS512", "PS256"]),
    "RSA by algorithms": (lambda: jwk(rsa_key()), {"algorithms": ["PS256"]}, "PS256", ["RS256", "PS384"]),
    "RSA by the first": (lambda: jwk(rsa_key()), {"algorithms": ["RS512", "RS256"]}, "RS512", ["RS256", "PS512"]),
    "EC by its curve": (lambda: jwk(ec_key("P-384")), {}, "ES384", []),
    "OKP by its curve": (lambda: jwk(ed_key()), {}, "EdDSA", []),
}


@pytest.mark.parametrize("case", ONE_ALGORITHM)
def test_a_key_serves_one_algorithm(server: Server, make_app: MakeApp, case):
    key, options, good, bad = ONE_ALGORITHM[case]
    app = make_app(issued_by(server.keys(key()), **options))
    signing = ec_key("P-384") if good == "ES384" else key_for(good)

    let_in(ask(app, token_of(signing, good)))
    for algorithm in bad:
        refused(ask(app, token_of(signing, algorithm)))
    let_in(ask(app, token_of(signing, good, sub="bob")), "bob")


def test_a_curve_serves_no_other_algorithm(server: Server, make_app: MakeApp):
    app = make_app(issued_by(server.keys(jwk(ec_key("P-384")), jwk(ed_key(), "second"))))
    for claimed, kid in [("ES256", "first"), ("ES512", "first"), ("EdDSA", "first"), ("ES384", "second")]:
        refused(ask(app, token_of(ec_key("P-256"), "ES256", kid=kid, header={"alg": claimed})))

    let_in(ask(app, token_of(ec_key("P-384"), "ES384")))
    let_in(ask(app, token_of(ed_key(), "EdDSA", kid="second")))


def test_algorithms_that_the_introspector_does_not_list_are_refused(server: Server, make_app: MakeApp):
    app = make_app(
        issued_by(server.keys(jwk(rsa_key(), alg="RS256"), jwk(ec_key(), "ec", alg="ES256")), algorithms=["ES256"])
    )

    refused(ask(app, token_of()), "algorithm")
    let_in(ask(app, token_of(algorithm="ES256", kid="ec")))


def test_a_token_without_kid_is_tried_against_the_keys_that_fit_its_algorithm(server: Server, make_app: MakeApp):
    keys = [jwk(rsa_key()), jwk(rsa_key("second"), "second"), jwk(rsa_key("third"), None), jwk(ec_key(), "ec")]
    app = make_app(issued_by(server.keys(*keys)))

    for name in ("first", "second", "third"):
        let_in(ask(app, token_of(rsa_key(name), kid=None)))
    let_in(ask(app, token_of(algorithm="ES256", kid=None)))
    refused(ask(app, token_of(rsa_key("fourth"), kid=None)), "signature")
    refused(ask(app, token_of(rsa_key("second"), "PS256", kid=None)), "no key")
    refused(ask(app, token_of(rsa_key("second"))), "signature")
    assert server.fetches == 1


NO_VERIFICATION = {
    "use enc": {"use": "enc"},
    "use of another kind": {"use": "tls"},
    "key_ops without verify": {"key_ops": ["encrypt", "wrapKey"]},
    "an encryption algorithm": {"alg": "RSA-OAEP"},
}


@pytest.mark.parametrize("case", NO_VERIFICATION)
def test_a_key_that_is_not_for_verification_is_left_out_and_the_others_serve(server: Server, make_app: MakeApp, case):
    bad = jwk(rsa_key("bad"), "bad", **NO_VERIFICATION[case])
    app = make_app(issued_by(server.keys(bad, jwk(rsa_key()))))

    refused(ask(app, token_of(rsa_key("bad"), kid=None)))
    refused(ask(app, token_of(rsa_key("bad"), kid="bad")))
    let_in(ask(app, token_of()))


@pytest.mark.parametrize("members", [{"use": "sig"}, {"key_ops": ["verify"]}, {}])
def test_a_key_for_verification_serves(server: Server, make_app: MakeApp, members):
    let_in(ask(make_app(issued_by(server.keys(jwk(rsa_key(), **members)))), token_of()))


AUDIENCES = {"none": ({}, 422), "aud": ({"aud": "a"}, 201), "client_id": ({"client_id": ["c"]}, 201)}


@pytest.mark.parametrize("case", AUDIENCES)
def test_an_introspector_without_any_audience_is_refused_when_it_is_stored(operated: Operated, case):
    jwt, status = AUDIENCES[case]
    body = {"type": "jwt", "jwt": {"iss": ISSUER, "secret": SECRETS["HS256"], **jwt}}

    answer = operate(operated(), "PUT", "/fhir/TokenIntrospector/x", body)

    assert answer.status_code == status
    if status == 422:
        assert "FOREIGN_TOKEN_REQUIRE_AUDIENCE" in answer.get_data(as_text=True)


NO_AUDIENCE = {
    "neither": ({}, {}, 503),
    "not required": ({"FOREIGN_TOKEN_REQUIRE_AUDIENCE": False}, {"aud": None}, 200),
    "not required, another": ({"FOREIGN_TOKEN_REQUIRE_AUDIENCE": False}, {}, 200),
    "the resource": ({"FOREIGN_TOKEN_RESOURCE": "https://api.example"}, {"aud": "https://api.example"}, 200),
    "another resource": ({"FOREIGN_TOKEN_RESOURCE": "https://api.example"}, {}, 401),
}


@pytest.mark.parametrize("case", NO_AUDIENCE)
def test_an_introspector_without_any_audience_takes_no_token(server: Server, make_app: MakeApp, case):
    config, claims, status = NO_AUDIENCE[case]
    app = make_app(issued_by(server.keys(jwk(rsa_key())), aud=None), **config)

    assert ask(app, token_of(**claims)).status_code == status


def test_a_key_of_the_same_kid_in_another_set_serves_its_own_issuer_only(server: Server, make_app: MakeApp):
    secret = SECRETS["HS256"]
    app = make_app(two_kinds(server, secret))

    let_in(ask(app, token_of()))
    let_in(ask(app, token_of(secret, "HS256", iss="https://s.example")))
    refused(ask(app, token_of(secret, "HS256")), "no key")
    refused(ask(app, token_of(iss="https://s.example")), "no key")


def two_kinds(server: Server, secret: str) -> list[dict[str, object]]:
    """One issuer that signs with RSA, and one with a secret."""
    other = issued_by(None, "secret", "https://s.example", secret=secret)[1:]
    other[0]["identity_provider"] = {"reference": "IdentityProvider/other"}
    return [*issued_by(server.keys(jwk(rsa_key()))), provider("other"), *other]
