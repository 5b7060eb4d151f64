"""Several who change the registry at once, on several workers: one is first, the others are told."""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, introspector, policy, provider, trusting
from ..conftest import MakeApp
from ..integration.servers import SERVERS
from .callers import OPERATOR_SETTINGS, ids, operate, put_all, read, run, write
from .registries import AT_ONCE, history, rollback, version_of, worker
from .tokens import at_once

PATH = "AccessPolicy/one"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """The servers that a test of this module has asked for."""
    with ExitStack() as stack:
        yield _Started(stack)
        # An app has no end at which it could close its connections, so they are closed when it is collected.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


class _Started(dict[str, str]):
    def __init__(self, stack: ExitStack) -> None:
        super().__init__()
        self.stack = stack

    def __missing__(self, kind: str) -> str:
        self[kind] = self.stack.enter_context(SERVERS[kind]())
        return self[kind]


@pytest.fixture(params=["sqlite", *SERVERS])
def pair(request: pytest.FixtureRequest, make_app: MakeApp, tmp_path: Path, servers) -> list[Flask]:
    """Two workers on one database, empty but for one policy."""
    uri = f"sqlite:///{tmp_path / 'shared.sqlite'}" if request.param == "sqlite" else servers[request.param]
    if request.param != "sqlite":
        engine = sa.create_engine(uri)
        with engine.begin() as connection:
            there = sa.inspect(connection).get_table_names()
            for table in there:
                connection.exec_driver_sql(f"DROP TABLE {table}{' CASCADE' if request.param == 'postgresql' else ''}")
        engine.dispose()
    pair = [worker(make_app, uri) for _ in range(2)]
    put_all(pair[0], [policy("one", {"uri": "/0"})])
    return pair


def etag_of(app: Flask, path: str = PATH) -> dict[str, str]:
    return {"If-Match": operate(app, "GET", f"/fhir/{path}").headers["ETag"]}


def test_of_many_who_edit_the_same_state_one_succeeds_and_the_others_get_412(pair: list[Flask]):
    match = etag_of(pair[0])

    def put(number: int) -> int:
        body = policy("one", {"uri": f"/by-{number}"})
        return operate(pair[number % 2], "PUT", f"/fhir/{PATH}", body, headers=match).status_code

    assert sorted(at_once(8, put)) == [200] + [412] * 7
    assert len(history(pair[0], PATH)) == 2
    assert read(pair[0], PATH) == read(pair[1], PATH)


def test_the_second_of_two_edits_gets_412_and_changes_nothing(pair: list[Flask]):
    first, second = pair
    match = etag_of(first)
    assert operate(first, "PUT", f"/fhir/{PATH}", policy("one", {"uri": "/first"}), headers=match).status_code == 200

    answer = operate(second, "PUT", f"/fhir/{PATH}", policy("one", {"uri": "/second"}), headers=match)

    assert (answer.status_code, answer.json["error"]) == (412, "precondition_failed")
    assert read(second, PATH)["matcho"] == {"uri": "/first"}


def test_an_edit_and_a_delete_of_the_same_state_do_not_both_succeed(pair: list[Flask]):
    match = etag_of(pair[0])

    def write_(number: int) -> int:
        method, body = [("PUT", policy("one", {"uri": "/x"})), ("DELETE", None)][number]
        return operate(pair[number], method, f"/fhir/{PATH}", body, headers=match).status_code

    assert sorted(at_once(2, write_)) in ([200, 412], [204, 412])


def test_a_rollback_and_an_edit_of_the_same_state_do_not_both_succeed(pair: list[Flask]):
    oldest = version_of(read(pair[0], PATH))
    put_all(pair[0], [policy("one", {"uri": "/1"})])
    match = etag_of(pair[0])

    def write_(number: int) -> int:
        if number == 0:
            return rollback(pair[0], PATH, oldest, headers=match).status_code
        return operate(pair[1], "PUT", f"/fhir/{PATH}", policy("one", {"uri": "/2"}), headers=match).status_code

    assert sorted(at_once(2, write_)) == [200, 412]


def test_of_many_who_post_the_same_id_one_succeeds_and_the_others_get_409(pair: list[Flask]):
    def post(number: int) -> int:
        body = {"id": "new", "engine": "allow", "description": str(number)}
        return operate(pair[number % 2], "POST", "/fhir/AccessPolicy", body).status_code

    assert sorted(at_once(6, post)) == [201] + [409] * 5


def test_two_providers_of_one_system_are_never_both_stored(pair: list[Flask]):
    def put(number: int) -> int:
        return operate(
            pair[number % 2], "PUT", f"/fhir/IdentityProvider/p{number}", provider(f"p{number}", system="same")
        ).status_code

    assert sorted(at_once(6, put)) == [201] + [422] * 5
    assert len(ids(pair[0], "IdentityProvider")) == 1


def test_two_introspectors_of_one_issuer_are_never_both_stored(pair: list[Flask]):
    def put(number: int) -> int:
        body = introspector(f"i{number}", None, jwt={"iss": "https://same.example", "secret": "s" * 40})
        return operate(pair[number % 2], "PUT", f"/fhir/TokenIntrospector/i{number}", body).status_code

    assert sorted(at_once(6, put)) == [201] + [422] * 5


def test_what_is_referred_to_is_never_deleted_from_under_a_reference(pair: list[Flask]):
    for turn in range(5):
        put_all(pair[0], [provider("acme", system=f"acme-{turn}")])

        def write_(number: int) -> int:
            if number == 0:
                return operate(pair[0], "DELETE", "/fhir/IdentityProvider/acme").status_code
            body = introspector("tokens", "acme", jwt={"iss": "https://acme.example", "secret": "s" * 40})
            return operate(pair[1], "PUT", "/fhir/TokenIntrospector/tokens", body).status_code

        assert at_once(2, write_) in ([204, 422], [409, 201])
        operate(pair[0], "DELETE", "/fhir/TokenIntrospector/tokens")


def test_many_who_write_different_resources_all_succeed_and_everybody_sees_all(pair: list[Flask]):
    def put(number: int) -> int:
        return operate(pair[number % 2], "PUT", f"/fhir/AccessPolicy/p{number}", policy(f"p{number}")).status_code

    assert at_once(12, put) == [201] * 12
    assert (
        ids(pair[0], "AccessPolicy") == ids(pair[1], "AccessPolicy") == sorted(["one", *(f"p{n}" for n in range(12))])
    )


def test_versions_of_one_resource_are_told_apart_however_many_write(pair: list[Flask]):
    def put(number: int) -> int:
        return operate(pair[number % 2], "PUT", f"/fhir/{PATH}", policy("one", {"uri": f"/by-{number}"})).status_code

    assert at_once(8, put) == [200] * 8
    entries = history(pair[0], PATH)
    assert len({version_of(entry["resource"]) for entry in entries}) == len(entries) == 9
    assert entries[0]["resource"]["matcho"] == read(pair[1], PATH)["matcho"]


def test_two_commands_at_once_are_all_or_nothing_each(pair: list[Flask], tmp_path: Path):
    files = [
        write(tmp_path, f"{name}.json", [policy(f"p{number}", description=name) for number in range(6)])
        for name in ("left", "right")
    ]

    statuses = at_once(2, lambda number: run(pair[number], "apply", files[number], "--yes", status=None).exit_code)

    stored = {read(pair[0], f"AccessPolicy/p{number}")["description"] for number in range(6)}
    assert 0 in statuses
    assert len(stored) == 1, stored


def test_a_command_and_the_api_at_once_lose_nothing(pair: list[Flask], tmp_path: Path):
    file = write(tmp_path, "all.json", [policy(f"p{number}") for number in range(4)])

    def write_(number: int) -> object:
        if number == 0:
            return run(pair[0], "apply", file, "--yes", status=None).exit_code
        return operate(pair[1], "PUT", "/fhir/AccessPolicy/mine", policy("mine")).status_code

    assert at_once(2, write_) == [0, 201]
    assert ids(pair[0], "AccessPolicy") == ["mine", "one", "p0", "p1", "p2", "p3"]


def test_the_last_change_is_in_force_on_both_workers(pair: list[Flask], issuer: Issuer):
    put_all(pair[0], trusting(issuer))
    token = issuer.token()
    assert [ask(app, token).status_code for app in pair] == [200, 200]

    def put(number: int) -> int:
        pattern = {"jwt": {"sub": f"nobody-{number}"}}
        return operate(
            pair[number % 2], "PUT", "/fhir/AccessPolicy/known-issuer", policy("known-issuer", pattern)
        ).status_code

    assert at_once(6, put) == [200] * 6
    assert [ask(app, token).status_code for app in pair] == [403, 403]


def test_commands_that_edit_one_file_at_once_lose_nothing(make_app: MakeApp, tmp_path: Path):
    app = make_app([], **OPERATOR_SETTINGS, **AT_ONCE)
    files = [write(tmp_path, f"{number}.json", policy(f"p{number}")) for number in range(6)]

    assert at_once(6, lambda number: run(app, "apply", files[number], "--yes", status=None).exit_code) == [0] * 6
    assert ids(app, "AccessPolicy") == [f"p{number}" for number in range(6)]
    assert json.loads(run(app, "export", "--json").stdout)
