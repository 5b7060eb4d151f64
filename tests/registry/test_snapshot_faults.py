from __future__ import annotations

import pytest

from flask_foreign_token.errors import RegistryUnavailable, Rejected

from .bodies import ISSUER, introspector, policy, provider
from .snapshots import BUILDER, builder, built, faults, stored, token


@pytest.mark.parametrize(
    ("bodies", "resource", "path", "reason"),
    [
        ([introspector(jwt={"iss": "i"})], "TokenIntrospector/i", "jwks_uri", "there are no keys"),
        (
            [provider(), introspector(link="k", jwt={"iss": "i"})],
            "TokenIntrospector/i",
            "jwks_uri",
            "there are no keys",
        ),
        (
            [introspector(jwt={"iss": "i", "keys": [{"kty": "RSA", "alg": "RS256", "format": "PEM", "pub": "x"}]})],
            "TokenIntrospector/i",
            "jwt.keys.0.pub",
            "must be one public key in PEM",
        ),
        (
            [introspector(jwt={"iss": "i"}, jwks_uri="http://idp.example/keys")],
            "TokenIntrospector/i",
            "jwks_uri",
            "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS",
        ),
        (
            [introspector(jwt={"iss": "i"}, jwks_uri="file:///etc/passwd")],
            "TokenIntrospector/i",
            "jwks_uri",
            "must be https://",
        ),
        (
            [introspector(link="nobody")],
            "TokenIntrospector/i",
            "identity_provider.reference",
            "there is no IdentityProvider/nobody",
        ),
        (
            [introspector(link="nobody", active=False)],
            "TokenIntrospector/i",
            "identity_provider.reference",
            "there is no IdentityProvider/nobody",
        ),
        (
            [introspector("one"), introspector("two")],
            "TokenIntrospector/two",
            "jwt.iss",
            "TokenIntrospector/one has the same",
        ),
        (
            [provider("one"), provider("two", system="one")],
            "IdentityProvider/two",
            "system",
            "IdentityProvider/one has the same",
        ),
        (
            [provider("one"), provider("two", system="one", active=False)],
            "IdentityProvider/two",
            "system",
            "IdentityProvider/one has the same",
        ),
        (
            [provider(), introspector("one", "k", "https://1"), introspector("two", "k", "https://2")],
            "TokenIntrospector/two",
            "identity_provider.reference",
            "TokenIntrospector/one is linked to IdentityProvider/k already",
        ),
        ([policy(), policy(active=False)], "AccessPolicy/p", "", "is there twice"),
        ([provider(toScim={"x": ["id"]})], "IdentityProvider/k", "toScim.x", "id"),
        *(
            ([provider(**{name: "ftp://idp.example"})], "IdentityProvider/k", name, "must be https://")
            for name in (
                "authorize_endpoint",
                "token_endpoint",
                "userinfo_endpoint",
                "introspection_endpoint",
                "jwks_uri",
                "revocation_endpoint",
            )
        ),
        ([provider(sytem="x")], "IdentityProvider/k", "sytem", "did you mean system?"),
    ],
)
def test_what_must_not_be_used_is_refused_with_resource_path_and_reason(
    bodies: list[dict[str, object]], resource: str, path: str, reason: str
) -> None:
    [issue] = faults(*bodies)

    assert (issue.resource, issue.path) == (resource, path)
    assert reason in issue.message


@pytest.mark.parametrize(
    "bodies",
    [
        [introspector("one"), introspector("two", active=False)],
        [provider(active=False), introspector("one", "k"), introspector("two")],
        [introspector("one"), introspector("two", iss=ISSUER + "/")],
        [provider("one"), provider("two", system="One")],
    ],
)
def test_what_differs_or_is_switched_off_stands_beside_it(bodies: list[dict[str, object]]) -> None:
    assert len(built(*bodies).resources) == len(bodies)


def test_a_reference_to_a_resource_with_faults_is_none_to_nothing() -> None:
    assert [issue.resource for issue in faults(provider(system=""), introspector(link="k"))] == ["IdentityProvider/k"]


def test_every_fault_of_every_resource_is_named_at_once() -> None:
    issues = faults(
        provider(title=1, scopes=1),
        introspector(jwt={"iss": "i", "secret": "short"}, jwks_uri=5),
        introspector(
            "other", jwt={"iss": "i", "secret": "short"}, identity_provider={"reference": "IdentityProvider/x"}
        ),
        policy(engine="sql"),
        by=builder(default_audience=None),
    )

    assert sorted((issue.resource, issue.path) for issue in issues) == [
        ("AccessPolicy/p", "engine"),
        ("IdentityProvider/k", "scopes"),
        ("IdentityProvider/k", "title"),
        ("TokenIntrospector/i", ""),
        ("TokenIntrospector/i", "jwks_uri"),
        ("TokenIntrospector/other", "jwt.aud"),
    ]


SHORT = {"kty": "OCT", "alg": "HS256", "format": "plain", "k": "short"}
PEM = {"kty": "RSA", "alg": "RS256", "format": "PEM", "pub": "x"}


@pytest.mark.parametrize(
    ("jwt", "path"),
    [({"secret": "short"}, "jwt.secret"), ({"secret": ""}, "jwt.secret"), ({"keys": [SHORT]}, "jwt.keys.0.k")],
)
def test_a_secret_that_must_not_be_used_takes_its_introspector_out_of_service_and_no_other(
    jwt: dict[str, object], path: str
) -> None:
    snapshot = built(introspector(jwt={"iss": "i", **jwt}), introspector("other", iss="o"))

    assert [(issue.resource, issue.path) for issue in snapshot.out_of_service] == [("TokenIntrospector/i", path)]
    with pytest.raises(RegistryUnavailable):
        token(snapshot, iss="i")
    assert token(snapshot, iss="o")


@pytest.mark.parametrize("bad", [{"secret": "short"}, {"keys": [SHORT]}])
def test_a_secret_that_must_not_be_used_is_named_once_whether_its_introspector_is_linked_or_not(
    bad: dict[str, object],
) -> None:
    body = {"jwt": {"iss": "i", **bad}}
    [path] = [issue.path for issue in BUILDER.faults(stored(introspector(**body)))]

    linked = BUILDER.faults(stored(provider(), introspector(link="k", **body)))
    unlinked = BUILDER.faults(stored(introspector(link="k", **body)))

    assert [issue.path for issue in linked] == [path]
    assert [issue.path for issue in unlinked] == ["identity_provider.reference", path]


def test_a_written_key_that_is_none_beside_a_bad_secret_is_refused() -> None:
    issues = faults(introspector(jwt={"iss": "i", "keys": [SHORT, PEM]}))

    assert {issue.path for issue in issues} == {"jwt.keys", "jwt.keys.0.k", "jwt.keys.1.pub"}


def test_a_refusal_repeats_no_secret_and_no_address() -> None:
    with pytest.raises(Rejected) as caught:
        built(
            provider(jwks_uri="http://hush.example", client={"secret": {"hush": "hush"}}),
            introspector(jwt={"iss": "i", "secret": "hush"}),
        )

    assert "hush" not in str(caught.value)


def test_two_of_one_issuer_and_of_different_types_are_told_what_works() -> None:
    of_provider = {"identity_provider": {"reference": "IdentityProvider/k"}}
    endpoint = {"url": "https://idp.example/introspect", "authorization": "Bearer x"}
    opaque = {"resourceType": "TokenIntrospector", "type": "opaque", "introspection_endpoint": endpoint, **of_provider}
    first = introspector("j", iss="https://idp.example", link="k")

    [issue] = faults(provider("k"), first, {**opaque, "id": "o", "jwt": {"iss": "https://idp.example", "aud": "a"}})
    snapshots = [
        built(provider("k"), first, {**opaque, "id": "o", "jwt": {"aud": "a"}}),
        built(provider("k"), {**first, "active": False}, {**opaque, "id": "o", "jwt": {"iss": "https://idp.example"}}),
    ]

    assert (issue.resource, issue.path) == ("TokenIntrospector/o", "jwt.iss")
    assert issue.message.endswith("leave jwt.iss out of the one of type opaque, or make one of the two inactive")
    assert [len(snapshot.linked) for snapshot in snapshots] == [2, 2]
