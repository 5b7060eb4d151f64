"""What something that is left out had to itself, and nobody can tell any more, goes to no other: who might get it is
left out too.
"""

from __future__ import annotations

from typing import Any

import pytest

from flask_foreign_token.errors import InvalidToken, Issue
from flask_foreign_token.introspection.token import Credential
from flask_foreign_token.registry.resources import Key
from flask_foreign_token.registry.snapshot import RegistrySnapshot

from .bodies import ISSUER, SECRET, asked_provider, introspector, opaque, provider
from .snapshots import BUILDER, linked, stored
from .tolerating import Body, garbage, in_service, named, prefixed, tolerant, unknown

GOOD = introspector("good", iss="https://good.example")
OTHER = opaque("other", jwt={"iss": "https://other.example"})


def without(body: Body, name: str) -> Body:
    return {key: value for key, value in body.items() if key != name}


def taker(snapshot: RegistrySnapshot, text: str) -> str | None:
    """Who takes a token; none: nobody."""
    try:
        return snapshot.introspection.chosen(Credential("bearer", text))[0].id
    except InvalidToken:
        return None


def refused(*bodies: Body, unreadable: tuple[Key, ...] = ()) -> set[tuple[str, str]]:
    """What is said of an edit that leads to that."""
    return {(issue.resource, issue.path) for issue in BUILDER.faults(stored(*bodies), unreadable)}


def named_for(snapshot: RegistrySnapshot, name: str) -> Issue:
    [issue] = [issue for issue in snapshot.out_of_service if issue.resource == name]
    return issue


# ---- prefixes

UNTOLD_PREFIXES: dict[str, Body] = {
    "null": {**prefixed("bank"), "token_prefix": None},
    "a list": {**prefixed("bank"), "token_prefix": ["bank_"]},
    "blank": {**prefixed("bank"), "token_prefix": ""},
    "no part of a token": {**prefixed("bank"), "token_prefix": "bank _"},
    "under another type": {**prefixed("bank"), "token_prefix": 7, "type": "jwt"},
    "of no type": {**opaque("bank", "k"), "type": 7},
    "of a misspelt type": {**opaque("bank", "k"), "type": "opaqe"},
}


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("bank", UNTOLD_PREFIXES.values(), ids=UNTOLD_PREFIXES.keys())
def test_tokens_go_to_no_other_while_nobody_can_tell_how_they_begin(bank: Body, active: bool) -> None:
    snapshot = tolerant({**bank, "active": active}, OTHER, asked_provider(issuer="https://k.example"), GOOD)

    issue = named_for(snapshot, "TokenIntrospector/other")
    assert (issue.path, "TokenIntrospector/bank" in issue.message) == ("token_prefix", True)
    assert taker(snapshot, "bank_secret") is None
    assert in_service(snapshot) == {"good"}


def test_one_with_a_prefix_of_its_own_goes_on_while_another_cannot_be_read() -> None:
    snapshot = tolerant(prefixed("other", "oth_"), unreadable=garbage("TokenIntrospector/bank"))

    assert [taker(snapshot, text) for text in ("oth_secret", "bank_secret")] == ["other", None]


def test_tokens_go_to_no_other_while_their_introspector_cannot_be_read() -> None:
    before = tolerant(prefixed("bank", "bank_", active=False), OTHER)

    after = tolerant(OTHER, GOOD, previous=before, unreadable=garbage("TokenIntrospector/bank"))

    assert [taker(snapshot, text) for snapshot in (before, after) for text in ("bank_secret", "bar")] == [
        None,
        "other",
        None,
        None,
    ]
    assert named(after) == {("TokenIntrospector/bank", ""), ("TokenIntrospector/other", "token_prefix")}
    assert in_service(after) == {"good"}


@pytest.mark.parametrize(
    "bank",
    [
        unknown(prefixed("bank", active=False)),
        {**prefixed("bank", active=False), "type": 7},
        {**introspector("bank", iss="https://bank.example"), "type": 7},
        unknown(introspector("bank", iss="https://bank.example")),
        unknown(without(prefixed("bank", active=False), "token_prefix")),
    ],
    ids=["it has one", "it has one, of no type", "it has keys", "it is of type jwt", "it has none, and is not active"],
)
def test_what_is_faulty_and_hides_no_prefix_stops_nobody(bank: Body) -> None:
    snapshot = tolerant(bank, OTHER)

    assert taker(snapshot, "0815") == "other"


@pytest.mark.parametrize("hidden", ["IdentityProvider/x", "AccessPolicy/x", "Nonsense/x"])
def test_what_cannot_be_read_and_has_no_prefix_stops_nobody(hidden: str) -> None:
    snapshot = tolerant(OTHER, unreadable=garbage(hidden))

    assert taker(snapshot, "0815") == "other"


def test_an_introspector_of_opaque_tokens_that_is_mended_lets_the_others_go_on() -> None:
    broken = tolerant(OTHER, unreadable=garbage("TokenIntrospector/bank"))

    mended = tolerant(prefixed("bank", active=False), OTHER, previous=broken)

    assert (taker(mended, "0815"), taker(mended, "bank_secret")) == ("other", None)
    assert mended.out_of_service == ()


@pytest.mark.parametrize("hiding", ["unreadable", "faulty"])
def test_none_may_be_written_that_might_take_the_tokens_of_one_that_hides_how_they_begin(hiding: str) -> None:
    is_faulty = hiding == "faulty"

    places = refused(
        *([UNTOLD_PREFIXES["a list"]] if is_faulty else []),
        OTHER,
        unreadable=() if is_faulty else (("TokenIntrospector", "bank"),),
    )

    assert ("TokenIntrospector/other", "token_prefix") in places


@pytest.mark.parametrize(
    "new",
    [{**prefixed("other"), "active": False}, prefixed("other"), GOOD, provider()],
    ids=["inactive", "with a prefix", "of type jwt", "a provider"],
)
def test_what_takes_none_of_those_tokens_may_be_written_meanwhile(new: Body) -> None:
    assert refused(new, unreadable=(("TokenIntrospector", "bank"),)) == set()


def test_one_that_takes_opaque_tokens_may_be_written_once_all_can_be_read() -> None:
    assert refused(prefixed("bank"), prefixed("other")) == set()


# ---- issuers

UNTOLD_ISSUERS: dict[str, Body] = {
    "jwt is null": {**introspector("j", "k"), "jwt": None},
    "jwt is a text": {**introspector("j", "k"), "jwt": "https://j.example"},
    "jwt is gone": without(introspector("j", "k"), "jwt"),
    "iss is gone": introspector("j", "k", jwt={"secret": SECRET}),
    "iss is null": introspector("j", "k", jwt={"iss": None, "secret": SECRET}),
    "iss is a list": introspector("j", "k", jwt={"iss": ["https://j.example"], "secret": SECRET}),
    "iss is blank": introspector("j", "k", jwt={"iss": " ", "secret": SECRET}),
    "iss of opaque tokens is a number": {**prefixed("j", active=False), "jwt": {"iss": 7}},
}
UNTOLD_LINKS: dict[str, object] = {
    "null": None,
    "a text": "IdentityProvider/k",
    "a list": ["IdentityProvider/k"],
    "empty": {},
    "without slash": {"reference": "k"},
    "a number": {"reference": 7},
    "to another type": {"reference": "TokenIntrospector/k"},
    "half": {"resourceType": "IdentityProvider"},
    "to nothing": {"reference": "IdentityProvider/nobody"},
}


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("hiding", UNTOLD_ISSUERS.values(), ids=UNTOLD_ISSUERS.keys())
def test_one_whose_issuer_nobody_names_is_left_out_while_nobody_can_tell_which_one_another_names(
    hiding: Body, active: bool
) -> None:
    snapshot = tolerant({**hiding, "active": active}, asked_provider(), opaque("linked", "k", active=False), GOOD)

    issue = named_for(snapshot, "TokenIntrospector/linked")
    assert (issue.path, "TokenIntrospector/j" in issue.message) == ("jwt.iss", True)
    assert in_service(snapshot) == {"good"}


def test_so_it_is_while_nobody_can_tell_which_issuer_a_provider_has() -> None:
    snapshot = tolerant(provider("p", issuer=["https://p.example"]), opaque(), GOOD)

    assert named_for(snapshot, "TokenIntrospector/o").path == "jwt.iss"
    assert in_service(snapshot) == {"good"}


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("link", UNTOLD_LINKS.values(), ids=UNTOLD_LINKS.keys())
def test_one_whose_issuer_another_named_is_left_out_while_nobody_can_tell_for_whom_that_does(
    link: object, active: bool
) -> None:
    naming = introspector("j", "k", "https://j.example", active=active)
    before = tolerant(naming, asked_provider(), opaque("o", "k"))

    after = tolerant({**naming, "identity_provider": link}, asked_provider(), opaque("o", "k"), GOOD, previous=before)

    assert linked(before, "o").issuer == "https://j.example"
    assert named_for(after, "TokenIntrospector/o").path == "jwt.iss"
    assert in_service(after) == {"good"}


@pytest.mark.parametrize(
    "fault",
    [UNTOLD_ISSUERS["jwt is null"], {**introspector("j"), "identity_provider": "IdentityProvider/k"}],
    ids=["which issuer", "for whom"],
)
def test_the_issuer_of_a_provider_does_not_stand_for_that_which_one_that_hides_it_may_name(fault: Body) -> None:
    described = asked_provider(issuer="https://p.example")
    before = tolerant(introspector("j", "k"), described, opaque("o", "k"))

    after = tolerant(fault, described, opaque("o", "k"), GOOD, previous=before)

    assert linked(before, "o").issuer == ISSUER
    assert named_for(after, "TokenIntrospector/o").path == "jwt.iss"
    assert in_service(after) == {"good"}


@pytest.mark.parametrize("link", ["x", "other"])
def test_it_does_where_the_other_is_of_another_provider_for_certain(link: str) -> None:
    others = [asked_provider(issuer="https://p.example"), opaque("o", "k"), provider("other")]

    snapshot = tolerant(introspector("j", link), *others, unreadable=garbage("IdentityProvider/x"))

    assert linked(snapshot, "o").issuer == "https://p.example"


@pytest.mark.parametrize(
    "link",
    [{"reference": "IdentityProvider/k"}, {"resourceType": "IdentityProvider", "id": "k"}],
    ids=["reference", "type and id"],
)
def test_a_link_that_can_be_told_names_the_issuer_in_spite_of_another_fault(link: object) -> None:
    naming = unknown({**introspector("j", iss="https://j.example"), "identity_provider": link})

    snapshot = tolerant(naming, asked_provider(), opaque("o", "k"))

    assert linked(snapshot, "o").issuer == "https://j.example"


def test_one_without_provider_goes_on_whomever_another_is_linked_to() -> None:
    naming = {**introspector("j", iss="https://j.example"), "identity_provider": "IdentityProvider/k"}

    snapshot = tolerant(naming, opaque())

    rules: Any = linked(snapshot, "o").introspector.rules
    assert rules.foreign_issuers == {"https://j.example"}


@pytest.mark.parametrize(
    "bodies",
    [
        [opaque(jwt={"iss": "https://o.example"})],
        [asked_provider(issuer="https://p.example"), opaque("o", "k")],
    ],
    ids=["it names one", "its provider does"],
)
@pytest.mark.parametrize("hiding", ["IdentityProvider/x", "jwt is null", "its own issuer"])
def test_one_whose_issuer_somebody_names_goes_on(hiding: str, bodies: list[Body]) -> None:
    faulty = {
        "jwt is null": [without(UNTOLD_ISSUERS["jwt is null"], "identity_provider")],
        "its own issuer": [{**introspector("j", iss="https://p.example"), "identity_provider": "IdentityProvider/k"}],
    }.get(hiding, [])

    snapshot = tolerant(*bodies, *faulty, unreadable=() if faulty else garbage(hiding))

    assert in_service(snapshot) == {"o"}


@pytest.mark.parametrize("hidden", ["TokenIntrospector/x", "IdentityProvider/x"])
def test_while_nobody_can_read_which_issuers_are_named_one_that_names_none_is_left_out(hidden: str) -> None:
    snapshot = tolerant(opaque(active=False), GOOD, unreadable=garbage(hidden))

    issue = named_for(snapshot, "TokenIntrospector/o")
    assert (issue.path, hidden in issue.message) == ("jwt.iss", True)
    assert in_service(snapshot) == {"good"}


@pytest.mark.parametrize("hidden", ["AccessPolicy/x", "Nonsense/x"])
def test_what_cannot_be_read_and_hides_no_issuer_stops_nobody(hidden: str) -> None:
    assert in_service(tolerant(opaque(), unreadable=garbage(hidden))) == {"o"}


def test_none_may_be_written_whose_issuer_nobody_names_while_nobody_can_tell_which_one_another_names() -> None:
    assert ("TokenIntrospector/o", "jwt.iss") in refused(UNTOLD_ISSUERS["jwt is null"], opaque())


def test_one_whose_issuer_somebody_names_may_be_written_meanwhile() -> None:
    hiding = without(UNTOLD_ISSUERS["jwt is null"], "identity_provider")

    assert refused(hiding, OTHER) == {("TokenIntrospector/j", "jwt")}
