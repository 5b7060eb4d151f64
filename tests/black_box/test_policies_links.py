"""Whom links and roles leave, and views that ask for a policy by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.testing import Issuer

from ..apps import ask, policy, store, trusting
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, operate, parsed, put, put_all, read, run
from .judging import add_routes, let_in, living, said_of, simulated, status

NOBODY = policy("nobody", {"jwt": {"sub": "nobody at all"}})


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Flask]:
    with living(tmp_path_factory.mktemp("links")) as app:
        for resource in trusting(issuer, NOBODY, toScim={"groups": ["roles"]}):
            put(app, resource)
        yield app


@pytest.fixture
def under(app: Flask):
    def keep(*references: str, **attributes: object) -> Flask:
        link = [{"reference": reference} for reference in references]
        body = {"engine": "allow", **({"link": link} if link else {}), **attributes}
        answer = operate(app, "PUT", "/fhir/AccessPolicy/tried", body)
        assert answer.status_code in {200, 201}, answer.get_data(as_text=True)
        return app

    yield keep
    operate(app, "DELETE", "/fhir/AccessPolicy/tried")


def user_of(app: Flask, token: str) -> str:
    """The id of the token's user, made on first sight."""
    user = ask(app, token, "/open").json["user"]
    assert user
    return str(user)


def test_a_link_to_a_user_is_for_that_user_alone(app: Flask, under, issuer: Issuer):
    ada, bob = issuer.token(sub="ada"), issuer.token(sub="bob")
    under(f"User/{user_of(app, ada)}")

    assert let_in(app, ada)
    assert let_in(app, issuer.token(sub="ada"), "/me")
    assert not let_in(app, bob)
    assert not let_in(app)


def test_a_link_to_a_user_means_the_local_id_and_not_the_subject(under, issuer: Issuer):
    app = under("User/ada")

    assert not let_in(app, issuer.token(sub="ada"))
    assert not let_in(app, issuer.token(sub="ada", id="ada"))


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"azp": "portal"}, True),
        ({"azp": None, "client_id": "portal"}, True),
        ({"azp": "other"}, False),
        ({"azp": None}, False),
        ({"azp": "PORTAL"}, False),
        ({"azp": ""}, False),
    ],
)
def test_a_link_to_a_client_is_for_its_tokens(under, issuer: Issuer, claims, expected):
    app = under("Client/portal")

    assert let_in(app, issuer.token(**claims)) is expected
    assert not let_in(app)


def test_a_link_to_an_operation_is_for_that_view(under, issuer: Issuer):
    app = under("Operation/record")

    assert let_in(app, issuer.token(), "/records/1")
    assert let_in(app, None, "/records/1", "POST")
    assert not let_in(app, issuer.token())
    assert not let_in(app, issuer.token(), "/me")


def test_several_links_are_alternatives(app: Flask, under, issuer: Issuer):
    ada = issuer.token(sub="ada")
    under("Operation/record", f"User/{user_of(app, ada)}", "Client/portal")

    assert let_in(app, ada)
    assert let_in(app, issuer.token(sub="bob"), "/records/1")
    assert let_in(app, issuer.token(sub="bob", azp="portal"))
    assert not let_in(app, issuer.token(sub="bob"))
    assert let_in(app, None, "/records/1")
    assert not let_in(app)


def test_what_a_policy_says_binds_beside_its_links(under, issuer: Issuer):
    app = under("Client/portal", "Operation/me", engine="matcho", matcho={"jwt": {"sub": "ada"}})

    assert let_in(app, issuer.token(sub="ada", azp="portal"))
    assert let_in(app, issuer.token(sub="ada"), "/me")
    assert not let_in(app, issuer.token(sub="bob", azp="portal"))
    assert not let_in(app, issuer.token(sub="ada"))


def test_no_links_are_for_everybody(under, issuer: Issuer):
    app = under()

    assert let_in(app, issuer.token())
    assert let_in(app)


def test_the_short_form_of_a_link_is_taken_and_stored_as_a_reference(app: Flask, under, issuer: Issuer):
    under(link=[{"resourceType": "Client", "id": "portal"}])

    assert let_in(app, issuer.token(azp="portal"))
    assert not let_in(app, issuer.token())
    assert read(app, "AccessPolicy/tried")["link"] == [{"reference": "Client/portal"}]


WRONG_LINKS: list[object] = [
    "User/x",
    {"reference": "User/x"},
    ["User/x"],
    [{"reference": "Group/x"}],
    [{"reference": "user/x"}],
    [{"reference": "User"}],
    [{"reference": "User/"}],
    [{"reference": "/x"}],
    [{"reference": 1}],
    [{"reference": None}],
    [{}],
    [None],
    [[]],
    [{"resourceType": "User"}],
    [{"resourceType": "Group", "id": "x"}],
    [{"reference": "User/x", "id": "y"}],
    [{"reference": "User/x", "display": "X"}],
]


@pytest.mark.parametrize("link", WRONG_LINKS, ids=lambda value: json.dumps(value)[:50])
def test_a_link_that_leads_to_nothing_clear_is_refused(app: Flask, link):
    answer = operate(app, "PUT", "/fhir/AccessPolicy/refused", {"engine": "allow", "link": link})

    assert answer.status_code == 422
    assert any(issue["path"].startswith("link") for issue in answer.json["issues"])


@pytest.mark.parametrize(
    "groups",
    ["nurse", ["porter", "nurse"], [{"value": "nurse"}], [{"value": "porter"}, {"value": "nurse", "display": "N"}]],
    ids=json.dumps,
)
def test_a_role_may_be_a_text_a_list_or_a_list_of_values(under, issuer: Issuer, groups):
    app = under(roleName="nurse")

    assert let_in(app, issuer.token(sub=f"with {groups!r}", groups=groups))


@pytest.mark.parametrize(
    "groups",
    [
        None,
        "",
        [],
        "nurses",
        "Nurse",
        "nurse ",
        ["porter"],
        [["nurse"]],
        {"nurse": True},
        [{"display": "nurse"}],
        [{"value": ["nurse"]}],
        True,
        1,
        [None],
        "a nurse",
        "porter,nurse",
    ],
    ids=json.dumps,
)
def test_whoever_has_not_the_role_stays_out(under, issuer: Issuer, groups):
    app = under(roleName="nurse")

    assert not let_in(app, issuer.token(sub=f"without {groups!r}", groups=groups))
    assert not let_in(app)


def test_a_role_in_the_token_is_none_of_the_user(under, issuer: Issuer):
    app = under(roleName="nurse")

    assert not let_in(app, issuer.token(sub="boaster", roles=["nurse"], roleName="nurse", role="nurse"))


def test_a_role_binds_beside_links_and_pattern(under, issuer: Issuer):
    app = under("Operation/record", engine="matcho", matcho={"request-method": "get"}, roleName="nurse")
    nurse, porter = issuer.token(sub="n", groups=["nurse"]), issuer.token(sub="p", groups=["porter"])

    assert let_in(app, nurse, "/records/1")
    assert not let_in(app, nurse, "/records/1", "POST")
    assert not let_in(app, nurse)
    assert not let_in(app, porter, "/records/1")


def test_a_role_that_an_operator_gives_counts_at_the_next_request(app: Flask, under, issuer: Issuer):
    token = issuer.token(sub="promoted")
    user = user_of(app, token)
    under(roleName="nurse")
    assert not let_in(app, token)

    stored = read(app, f"User/{user}")
    operate(app, "PUT", f"/fhir/User/{user}", {**stored, "roles": ["nurse"]})
    assert let_in(app, token)

    operate(app, "PUT", f"/fhir/User/{user}", stored)
    assert not let_in(app, token)


@pytest.mark.parametrize("role", [1, True, [], ["nurse"], {}, None, ""])
def test_a_role_name_that_is_no_text_is_refused(app: Flask, role):
    answer = operate(app, "PUT", "/fhir/AccessPolicy/refused", {"engine": "allow", "roleName": role})

    assert answer.status_code == 422
    assert any("roleName" in issue["path"] for issue in answer.json["issues"])


def test_links_and_roles_are_explained(app: Flask):
    request = {"uri": "/x", "user": {"id": "a", "roles": ["porter"]}, "client": {"id": "c"}, "operation": {"id": "o"}}

    for said, expected in [
        ({"link": [{"reference": "User/b"}]}, "b"),
        ({"link": [{"reference": "Client/d"}]}, "d"),
        ({"link": [{"reference": "Operation/p"}]}, "p"),
        ({"roleName": "nurse"}, "nurse"),
    ]:
        result = simulated(app, {"engine": "allow", **said}, request)
        assert result["eval-result"] is False
        assert expected in json.dumps(result["mismatches"])


@pytest.mark.parametrize(
    ("said", "path", "expected", "found"),
    [
        ({"link": [{"reference": "User/b"}]}, ["user", "id"], {"reference": "User/b"}, "a"),
        ({"link": [{"reference": "Client/d"}]}, ["client", "id"], {"reference": "Client/d"}, "c"),
        ({"link": [{"reference": "Operation/p"}]}, ["operation", "id"], {"reference": "Operation/p"}, "o"),
        ({"roleName": "nurse"}, ["user", "roles"], {"roleName": "nurse"}, ["porter"]),
    ],
)
def test_a_mismatch_says_where_in_the_request_and_what_as_it_is_written(app: Flask, said, path, expected, found):
    """As ``Mismatch`` promises: its path leads into the request, and what it expects stands so in the policy."""
    request = {"uri": "/x", "user": {"id": "a", "roles": ["porter"]}, "client": {"id": "c"}, "operation": {"id": "o"}}

    [mismatch] = simulated(app, {"engine": "allow", **said}, request)["mismatches"]

    assert mismatch == {"path": path, "expected": expected, "but": found}


# Views that ask for a policy by its name.


def add_named_views(app: Flask) -> None:
    @app.get("/named")
    @require_policy("wanted")
    def named() -> str:
        return "in"

    @app.get("/either")
    @require_policy("wanted", "another")
    def either() -> str:
        return "in"


@pytest.fixture
def naming(make_app: MakeApp, issuer: Issuer) -> Flask:
    """Everybody's tokens open everything but the views that ask for more."""
    app = make_app(**OPERATOR_SETTINGS)
    add_named_views(app)
    put_all(app, trusting(issuer))
    return app


WANTED = {"resourceType": "AccessPolicy", "id": "wanted"}


def test_a_named_policy_decides_alone(naming: Flask, issuer: Issuer):
    put(naming, {**WANTED, "engine": "matcho", "matcho": {"jwt": {"sub": "ada"}}})

    assert let_in(naming, issuer.token(sub="ada"), "/named")
    assert not let_in(naming, issuer.token(sub="bob"), "/named")
    assert not let_in(naming, None, "/named")
    assert let_in(naming, issuer.token(sub="bob"))


def test_of_several_named_policies_one_is_enough(naming: Flask, issuer: Issuer):
    put(naming, policy("another", {"jwt": {"sub": "bob"}}))
    put(naming, policy("wanted", {"jwt": {"sub": "ada"}}))

    assert [let_in(naming, issuer.token(sub=sub), "/either") for sub in ("ada", "bob", "eve")] == [True, True, False]


def test_the_links_of_a_named_policy_still_bind(naming: Flask, issuer: Issuer):
    for reference, expected in [("Operation/named", True), ("Operation/either", False), ("Client/none", False)]:
        put(naming, {**WANTED, "engine": "allow", "link": [{"reference": reference}]})
        assert let_in(naming, issuer.token(), "/named") is expected


def test_a_named_policy_that_does_not_exist_refuses_the_view_and_no_other(naming: Flask, issuer: Issuer):
    assert status(naming, issuer.token(), "/named") == 403
    assert status(naming, None, "/named") == 401
    assert let_in(naming, issuer.token())


def test_a_named_policy_that_does_not_exist_is_logged_once(naming: Flask, issuer: Issuer, caplog):
    for _ in range(4):
        status(naming, issuer.token(), "/named")
        status(naming, None, "/named")

    assert len(said_of(caplog, "wanted")) == 1


def test_check_names_a_named_policy_that_does_not_exist(naming: Flask):
    with naming.app_context():
        with pytest.raises(Exception, match="wanted"):
            ForeignToken().check(naming)
        put(naming, {**WANTED, "engine": "allow"})
        put(naming, policy("another", {"uri": "/x"}))
        ForeignToken().check(naming)


def test_doctor_names_a_named_policy_that_does_not_exist(naming: Flask):
    said = run(naming, "doctor", status=1).output
    assert "wanted" in said
    assert "named" in said

    put(naming, {**WANTED, "engine": "allow"})
    put(naming, policy("another", {"uri": "/x"}))
    assert {one["mark"] for one in parsed(naming, "doctor")} <= {"ok", "skipped", "warning"}


def test_a_named_policy_opens_the_view_when_it_is_stored_and_closes_it_when_it_goes(naming: Flask, issuer: Issuer):
    token = issuer.token()
    assert not let_in(naming, token, "/named")

    put(naming, {**WANTED, "engine": "allow"})
    assert let_in(naming, token, "/named")

    operate(naming, "DELETE", "/fhir/AccessPolicy/wanted")
    assert not let_in(naming, token, "/named")


def test_a_named_policy_that_is_not_active_refuses_the_view(naming: Flask, issuer: Issuer, caplog):
    put(naming, {**WANTED, "engine": "allow", "active": False})

    assert not let_in(naming, issuer.token(), "/named")
    assert said_of(caplog, "wanted")


def test_a_named_policy_that_does_not_load_refuses_the_view(make_app: MakeApp, issuer: Issuer, caplog):
    app = make_app([*trusting(issuer), policy("wanted", {"uri": "#("})])
    add_named_views(app)

    assert not let_in(app, issuer.token(), "/named")
    assert let_in(app, issuer.token())
    assert said_of(caplog, "wanted")


def test_a_missing_name_beside_one_that_exists_keeps_that_one_working(naming: Flask, issuer: Issuer):
    put(naming, policy("another", {"jwt": {"sub": "bob"}}))

    assert let_in(naming, issuer.token(sub="bob"), "/either")
    assert not let_in(naming, issuer.token(sub="ada"), "/either")


def test_a_named_policy_stored_by_another_worker_is_found(naming: Flask, issuer: Issuer):
    store(naming, [policy("wanted", {"jwt": {"sub": "ada"}})])

    assert let_in(naming, issuer.token(sub="ada"), "/named")


def test_the_names_of_views_on_a_registry_file_are_checked_too(make_app: MakeApp, issuer: Issuer, tmp_path: Path):
    app = make_app(trusting(issuer))
    add_routes(app)
    add_named_views(app)

    assert not let_in(app, issuer.token(), "/named")
    assert "wanted" in run(app, "doctor", status=1).output
