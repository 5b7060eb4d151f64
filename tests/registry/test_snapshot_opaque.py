from __future__ import annotations

from typing import Any

import pytest

from flask_foreign_token.errors import RegistryUnavailable
from flask_foreign_token.introspection.choosing import UnknownForm, UnknownIssuer
from flask_foreign_token.introspection.client_authentication import ClientAuthentication
from flask_foreign_token.introspection.endpoints import DiscoveredEndpoint
from flask_foreign_token.introspection.opaque import OpaqueIntrospector, OpaqueRules
from flask_foreign_token.introspection.token import Credential
from flask_foreign_token.registry.inquiry import Inquiry
from flask_foreign_token.registry.links import Linked

from .bodies import ASKED, ISSUER, SECRET, asked_provider, introspector, opaque, policy, provider
from .snapshots import builder, built, faults, linked, token

URL = "https://idp.example/introspect"
AT_PROVIDER = "https://idp.example/provider"


def inquiry(link: Linked) -> Inquiry:
    assert link.inquiry is not None
    return link.inquiry


def rules(link: Linked) -> OpaqueRules:
    assert isinstance(link.introspector, OpaqueIntrospector)
    return link.introspector.rules


# ---- who is asked, and as whom


def test_an_introspector_asks_its_own_endpoint_with_the_header_that_it_was_given() -> None:
    found = inquiry(linked(built(opaque()), "o"))

    assert found.endpoint.known == URL
    assert found.authentication == ClientAuthentication.as_written("Bearer hush")


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ({}, ClientAuthentication.basic("c", "s")),
        ({"auth_method": "client_secret_basic"}, ClientAuthentication.basic("c", "s")),
        ({"auth_method": "client_secret_post"}, ClientAuthentication.post("c", "s")),
    ],
)
def test_an_introspector_asks_its_own_endpoint_as_its_client(
    method: dict[str, str], expected: ClientAuthentication
) -> None:
    own = {"url": URL, "client_id": "c", "client_secret": "s", **method}

    assert inquiry(linked(built(opaque(introspection_endpoint=own)), "o")).authentication == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ({}, ClientAuthentication.basic("app", "hush")),
        ({"auth-method": "symmetric"}, ClientAuthentication.basic("app", "hush")),
        ({"auth-method": "client_secret_post"}, ClientAuthentication.post("app", "hush")),
    ],
)
def test_an_introspector_without_an_endpoint_asks_that_of_its_provider_as_the_client_there(
    method: dict[str, str], expected: ClientAuthentication
) -> None:
    asked = asked_provider(client={"id": "app", "secret": "hush", **method})

    found = inquiry(linked(built(asked, opaque(link="k")), "o"))

    assert (found.endpoint.known, found.authentication) == (AT_PROVIDER, expected)


def test_the_secret_of_neither_is_sent_to_the_other() -> None:
    own = {"introspection_endpoint": {"url": URL, "client_id": "c", "client_secret": "own"}}

    found = inquiry(linked(built(asked_provider(), opaque(link="k", **own)), "o"))

    assert (found.endpoint.known, found.authentication) == (URL, ClientAuthentication.basic("c", "own"))


def test_an_endpoint_that_is_given_nowhere_is_discovered_at_the_providers_issuer() -> None:
    discovering = provider(issuer=ISSUER, client={"id": "app", "secret": "hush"})

    endpoint = inquiry(linked(built(discovering, opaque(link="k")), "o")).endpoint

    assert isinstance(endpoint, DiscoveredEndpoint)
    assert (endpoint.metadata.issuer, endpoint.member, endpoint.known) == (ISSUER, "introspection_endpoint", None)


WITHOUT = "is required, or {} at IdentityProvider/k, which is asked without it"
NO_URL = "must be https://host[:port]/path in ASCII, without user, password and fragment"
CLIENT = {"id": "app", "secret": "hush"}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (
            provider(client=CLIENT),
            WITHOUT.format("introspection_endpoint (or issuer, where it is published)"),
        ),
        (asked_provider(client={"secret": "hush"}), WITHOUT.format("client.id")),
        (asked_provider(client={"id": "app"}), WITHOUT.format("client.secret")),
        (
            provider(),
            WITHOUT.format("introspection_endpoint (or issuer, where it is published) and client.id and client.secret"),
        ),
        (
            provider(issuer="urn:idp", client=CLIENT),
            f"is required, or at IdentityProvider/k, since it cannot be discovered at the issuer there, which {NO_URL}",
        ),
    ],
    ids=["endpoint", "client.id", "client.secret", "all of them", "an issuer that is no address"],
)
def test_what_is_missing_to_ask_the_provider_is_named(asked: dict[str, object], reason: str) -> None:
    [issue] = faults(asked, opaque(link="k"))

    assert (issue.resource, issue.path, issue.message) == ("TokenIntrospector/o", "introspection_endpoint", reason)


def test_an_introspector_that_has_nobody_to_ask_is_refused() -> None:
    body = opaque()
    del body["introspection_endpoint"]

    [issue] = faults(body)

    assert (issue.resource, issue.path) == ("TokenIntrospector/o", "introspection_endpoint")
    assert "no provider is linked that could be asked" in issue.message


@pytest.mark.parametrize("url", ["http://idp.example/introspect", "ftp://idp.example"])
def test_an_address_that_must_not_be_called_is_refused(url: str) -> None:
    [issue] = faults(opaque(introspection_endpoint=ASKED | {"url": url}))

    assert (issue.resource, issue.path) == ("TokenIntrospector/o", "introspection_endpoint.url")
    assert "must be https" in issue.message


# ---- secrets that must not be used


@pytest.mark.parametrize(
    ("bodies", "path"),
    [
        ([opaque(introspection_endpoint={"url": URL, "authorization": value})], "introspection_endpoint.authorization")
        for value in ("", " ", "a\r\nX: y", "\x00", "Bearer é", " Bearer x", "Bearer x ")
    ]
    + [
        (
            [opaque(introspection_endpoint={"url": URL, "client_id": "c", "client_secret": value})],
            "introspection_endpoint.client_secret",
        )
        for value in ("", " ")
    ]
    + [
        (
            [asked_provider(client={"id": "app", "secret": value}), opaque(link="k")],
            "introspection_endpoint",
        )
        for value in ("", " ")
    ],
)
def test_a_secret_that_must_not_be_used_takes_its_introspector_out_of_service_and_no_other(
    bodies: list[dict[str, object]], path: str
) -> None:
    by = builder()
    snapshot = built(*bodies, introspector(), by=by)

    assert [(issue.resource, issue.path) for issue in snapshot.out_of_service] == [("TokenIntrospector/o", path)]
    with pytest.raises(RegistryUnavailable) as caught:
        snapshot.introspection.introspect(Credential("bearer", "opaque"))
    assert path in str(caught.value.hint)
    assert token(snapshot)
    assert [issue.path for issue in by.faults(list(snapshot.resources.values()))] == [path]


def test_what_is_wrong_with_a_secret_is_said_without_the_secret() -> None:
    snapshot = built(opaque(introspection_endpoint={"url": URL, "authorization": "hush\n"}))

    assert "hush" not in str(snapshot.out_of_service)


# ---- what is demanded of an answer


@pytest.mark.parametrize(
    ("jwt", "default", "audiences", "stated"),
    [
        ({}, None, set(), set()),
        ({}, "api", {"api"}, set()),
        ({"aud": ["a", "b"]}, "api", {"a", "b"}, set()),
        ({"client_id": "c"}, "api", set(), {"api", "c"}),
        ({"client_id": "c"}, None, set(), set()),
        ({"aud": "a", "client_id": "c"}, "api", {"a"}, set()),
    ],
)
def test_an_audience_is_demanded_where_one_is_named_and_only_held_to_where_one_is_stated(
    jwt: dict[str, Any], default: str | None, audiences: set[str], stated: set[str]
) -> None:
    link = linked(built(opaque(jwt=jwt), by=builder(default_audience=default)), "o")

    assert (rules(link).audiences, rules(link).stated_audiences) == (audiences, stated)


def test_the_rules_are_those_of_the_resources() -> None:
    jwt = {"iss": "i", "client_id": ["c"], "leeway": 5}
    asking = opaque(link="k", jwt=jwt, cache_ttl=7, token_type="Bearer")
    link = linked(built(asked_provider(subject_claim="username"), asking), "o")

    assert rules(link) == OpaqueRules(
        issuer="i",
        named_issuer="i",
        audiences=frozenset(),
        stated_audiences=frozenset({"api", "c"}),
        client_ids=frozenset({"c"}),
        leeway=5,
        subject_claim="username",
        cache_ttl=7,
        token_type="Bearer",
    )


# ---- whose tokens they are


@pytest.mark.parametrize(
    ("bodies", "issuer"),
    [
        ([opaque(jwt={"iss": "i"})], "i"),
        ([asked_provider(issuer="p"), opaque(link="k", jwt={"iss": "i"})], "i"),
        ([asked_provider(issuer="p"), opaque(link="k")], "p"),
        ([asked_provider(), introspector("j", "k", "sibling"), opaque(link="k")], "sibling"),
        ([asked_provider(), introspector("j", "k", "sibling", active=False), opaque(link="k")], "sibling"),
        ([asked_provider(issuer="p"), introspector("j", "k", "sibling"), opaque(link="k")], "sibling"),
    ],
    ids=[
        "jwt.iss",
        "jwt.iss before the provider's issuer",
        "the provider's issuer",
        "the jwt.iss of another introspector of the provider",
        "of one that is not active too",
        "before the provider's issuer, so that their users have one",
    ],
)
def test_the_issuer_of_opaque_tokens_is_the_one_that_is_named_nearest(
    bodies: list[dict[str, object]], issuer: str
) -> None:
    snapshot = built(*bodies)
    link = linked(snapshot, "o")

    assert link.issuer == rules(link).issuer == rules(link).named_issuer == link.introspector.issuer == issuer
    assert issuer in snapshot.issuers


@pytest.mark.parametrize(
    ("bodies", "address"), [([opaque()], URL), ([asked_provider(), opaque(link="k")], AT_PROVIDER)]
)
def test_where_nobody_names_an_issuer_the_endpoint_that_is_asked_stands_for_it(
    bodies: list[dict[str, object]], address: str
) -> None:
    snapshot = built(*bodies)
    link = linked(snapshot, "o")

    assert (link.issuer, rules(link).named_issuer, link.introspector.issuer) == (None, None, address)
    assert snapshot.issuers == []


def test_the_issuer_of_a_system_is_the_one_that_its_tokens_will_have() -> None:
    snapshot = built(
        asked_provider("named"),
        introspector("j", "named", "i"),
        asked_provider("discovered", issuer="p"),
        opaque("d", "discovered", token_prefix="d"),
        asked_provider("nameless"),
        opaque("n", "nameless", token_prefix="n"),
    )

    assert [snapshot.issuer_of(system) for system in ("named", "discovered", "nameless", "none")] == [
        "i",
        "p",
        AT_PROVIDER,
        None,
    ]
    assert snapshot.issuers == ["i", "p"]


def test_an_issuer_is_named_once_however_many_introspectors_there_are_for_it() -> None:
    snapshot = built(asked_provider(), introspector("j", "k", "i"), opaque(link="k"))

    assert snapshot.issuers == ["i"]


def test_what_another_introspector_of_the_provider_names_is_a_part_of_the_version() -> None:
    before = built(asked_provider(), introspector("j", "k", "one"), opaque(link="k"))

    after = built(asked_provider(), introspector("j", "k", "two"), opaque(link="k"), previous=before)

    assert linked(after, "o").introspector.issuer == "two"
    assert not after.vouches(linked(before, "o").introspector.introspector)


NAMED_ELSEWHERE = [
    introspector("j", iss="https://j.example"),
    introspector("off", iss="https://off.example", active=False),
    provider("p", issuer="https://p.example"),
    provider("q", issuer="https://q.example", active=False),
]


@pytest.mark.parametrize("bodies", [[opaque()], [asked_provider(), opaque(link="k")]], ids=["unlinked", "linked"])
def test_where_nobody_names_an_issuer_it_is_none_that_others_name(bodies: list[dict[str, object]]) -> None:
    link = linked(built(*bodies, *NAMED_ELSEWHERE), "o")

    assert rules(link).foreign_issuers == {
        "https://j.example",
        "https://off.example",
        "https://p.example",
        "https://q.example",
    }
    assert rules(linked(built(*bodies), "o")).foreign_issuers == frozenset()


def test_where_an_issuer_is_named_no_other_need_be_excluded() -> None:
    link = linked(built(opaque(jwt={"iss": "https://o.example"}), *NAMED_ELSEWHERE), "o")

    assert rules(link).foreign_issuers == frozenset()


def test_what_others_name_is_a_part_of_the_version_where_nobody_names_an_issuer() -> None:
    before = built(opaque(), introspector(iss="https://one.example"))

    after = built(opaque(), introspector(iss="https://two.example"), previous=before)
    same = built(opaque(), introspector(iss="https://one.example", cache_ttl=5), previous=before)

    assert rules(linked(after, "o")).foreign_issuers == {"https://two.example"}
    assert not after.vouches(linked(before, "o").introspector.introspector)
    assert same.vouches(linked(before, "o").introspector.introspector)


def test_a_provider_may_have_several_introspectors_of_which_one_names_the_issuer() -> None:
    bodies = [
        opaque("one", "k", token_prefix="1"),
        introspector("j", "k", "i"),
        opaque("two", "k", token_prefix="2", introspection_endpoint=ASKED),
    ]

    snapshot = built(asked_provider(), *bodies)

    assert {linked(snapshot, id_).introspector.issuer for id_ in ("one", "j", "two")} == {"i"}


def test_introspectors_of_one_provider_that_ask_elsewhere_and_name_nobody_are_refused() -> None:
    one, two = opaque("one", "k", token_prefix="1"), opaque("two", "k", token_prefix="2", introspection_endpoint=ASKED)

    [issue] = faults(asked_provider(), one, two)

    assert (issue.resource, issue.path) == ("TokenIntrospector/two", "identity_provider.reference")
    assert "TokenIntrospector/one is linked to IdentityProvider/k already, and asks elsewhere" in issue.message
    assert built(asked_provider(issuer="i"), one, two)


@pytest.mark.parametrize(
    "second",
    [introspector("two", "k", "https://2"), opaque("two", "k", jwt={"iss": "https://2"}, token_prefix="2")],
    ids=["jwt", "opaque"],
)
def test_a_second_introspector_that_names_an_issuer_is_refused(second: dict[str, object]) -> None:
    [issue] = faults(asked_provider(), opaque("one", "k", jwt={"iss": "https://1"}, token_prefix="1"), second)

    assert (issue.resource, issue.path) == ("TokenIntrospector/two", "identity_provider.reference")
    assert "TokenIntrospector/one is linked to IdentityProvider/k already" in issue.message


def test_one_issuer_in_two_introspectors_is_refused_whatever_their_type() -> None:
    [issue] = faults(introspector("one", iss="i"), opaque("two", jwt={"iss": "i"}))

    assert (issue.resource, issue.path) == ("TokenIntrospector/two", "jwt.iss")
    assert "TokenIntrospector/one has the same" in issue.message
    assert built(introspector("one", iss="i"), opaque("two", jwt={"iss": "i"}, active=False))


# ---- prefixes


@pytest.mark.parametrize(
    ("prefixes", "at_fault"),
    [
        ({"a": "x", "b": None}, {"b"}),
        ({"a": None, "b": None}, {"a", "b"}),
        ({"a": "x", "b": "x"}, {"b"}),
        ({"a": "x", "b": "xy"}, {"b"}),
        ({"a": "xy", "b": "x"}, {"a"}),
        ({"a": "x", "b": "x!", "c": "xy", "d": "y"}, {"b", "c"}),
        ({"a": "x", "b": "xa", "c": "xaa"}, {"b", "c"}),
    ],
)
def test_prefixes_between_which_a_token_could_not_be_told_apart_are_refused(
    prefixes: dict[str, str | None], at_fault: set[str]
) -> None:
    bodies = [
        opaque(id_) if prefix is None else opaque(id_, token_prefix=prefix.replace("!", "-"))
        for id_, prefix in prefixes.items()
    ]

    issues = faults(*bodies)

    assert {issue.resource for issue in issues} == {f"TokenIntrospector/{id_}" for id_ in at_fault}
    assert {issue.path for issue in issues} == {"token_prefix"}
    assert all("TokenIntrospector/" in issue.message for issue in issues)


@pytest.mark.parametrize(
    "bodies",
    [
        [opaque("a"), introspector()],
        [opaque("a", token_prefix="a_"), opaque("b", token_prefix="b_")],
        [opaque("a", token_prefix="a"), opaque("b", token_prefix="A")],
        [opaque("a"), opaque("b", active=False)],
        [asked_provider(active=False), opaque("a"), opaque("b", "k")],
    ],
)
def test_prefixes_that_tell_tokens_apart_are_taken(bodies: list[dict[str, object]]) -> None:
    assert built(*bodies)


def test_a_token_that_begins_with_no_prefix_goes_nowhere() -> None:
    snapshot = built(opaque("a", token_prefix="a_"), opaque("b", token_prefix="b_"))

    with pytest.raises(UnknownForm):
        snapshot.introspection.introspect(Credential("bearer", "c_0815"))


@pytest.mark.parametrize(
    "off",
    [
        [opaque("off", token_prefix="off_", active=False)],
        [asked_provider(active=False), opaque("off", "k", token_prefix="off_")],
    ],
    ids=["itself", "its provider"],
)
def test_a_token_of_an_introspector_that_is_not_in_force_goes_nowhere(off: list[dict[str, object]]) -> None:
    snapshot = built(opaque("on"), *off)

    with pytest.raises(UnknownForm):
        snapshot.introspection.introspect(Credential("bearer", "off_0815"))


@pytest.mark.parametrize("off", [{}, {"token_prefix": "on_"}], ids=["no prefix", "the same prefix"])
def test_an_introspector_that_is_not_in_force_keeps_no_token_from_the_one_that_is(off: dict[str, object]) -> None:
    broken = {"url": URL, "authorization": ""}
    snapshot = built(
        opaque("on", token_prefix="on_", introspection_endpoint=broken), opaque("off", active=False, **off)
    )

    with pytest.raises(RegistryUnavailable):
        snapshot.introspection.introspect(Credential("bearer", "on_0815"))


def test_a_jwt_goes_to_no_introspector_that_does_not_name_its_issuer() -> None:
    snapshot = built(opaque())

    with pytest.raises(UnknownIssuer):
        token(snapshot)


# ---- edits


def test_what_is_known_of_an_endpoint_outlives_edits_that_do_not_concern_it() -> None:
    before = built(asked_provider(), opaque(link="k"))

    renamed = built(asked_provider(title="K"), opaque(link="k", cache_ttl=5), previous=before)
    moved = built(asked_provider(introspection_endpoint=URL), opaque(link="k"), previous=before)
    other = built(asked_provider(client={"id": "app", "secret": "new"}), opaque(link="k"), previous=before)

    def endpoint(snapshot: Any) -> object:
        return linked(snapshot, "o").introspector.endpoint

    assert linked(renamed, "o").introspector is not linked(before, "o").introspector
    assert endpoint(renamed) is endpoint(before)
    assert endpoint(moved) is not endpoint(before)
    assert endpoint(other) is not endpoint(before)


@pytest.mark.parametrize(
    ("asking", "other"),
    [
        (opaque(), policy()),
        (opaque(), provider()),
        (opaque(jwt={"iss": "own"}), introspector()),
        (opaque(jwt={"iss": "own"}), provider(issuer=ISSUER)),
    ],
)
def test_answers_outlive_edits_of_other_resources(asking: dict[str, object], other: dict[str, object]) -> None:
    before = built(asking)

    after = built(asking, other, previous=before)

    assert linked(after, "o").introspector is linked(before, "o").introspector


def test_a_snapshot_shows_no_secret() -> None:
    snapshot = built(asked_provider(), opaque(link="k"), introspector(jwt={"iss": "i", "secret": SECRET}))

    assert "hush" not in repr(snapshot)
    assert "hush" not in repr(snapshot.linked)
