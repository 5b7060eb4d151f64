"""What resources were, on every database: kept, brought back, and never mixed up."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from flask_foreign_token.errors import Conflict
from flask_foreign_token.registry.edits import MAX_BODY, Edit
from flask_foreign_token.registry.resources import Key, canonical, stored_form
from flask_foreign_token.testing import Issuer
from flask_foreign_token.transactions import MISSING

from ..admin.asking import ADMIN, operate
from ..admin.histories import A, authors, back, body, history, made_changed_and_deleted
from ..apps import policy, store
from ..conftest import MakeApp
from ..migrating import HISTORY, Project, connected, first_tables
from .databases import run

ROUNDS = 5

Ask = Callable[[], TestResponse]
POLICY: Key = ("AccessPolicy", "a")
KNOWN_ISSUER: Key = ("AccessPolicy", "known-issuer")


@pytest.fixture
def make_worker(make_app: MakeApp, database: str) -> Callable[[], Flask]:
    """Makes apps that share the database, each with connections of its own."""
    return lambda: make_app(**ADMIN, SQLALCHEMY_DATABASE_URI=database)


@pytest.fixture
def app(make_worker: Callable[[], Flask]) -> Flask:
    return make_worker()


def versions(app: Flask, path: str = A) -> list[int]:
    return [int(entry["response"]["etag"][3:-1]) for entry in history(app, path)]


def at_once(*asked: Ask) -> list[int]:
    """The statuses of requests that start together."""
    gate = Barrier(len(asked))

    def ask(one: Ask) -> int:
        gate.wait()
        return one().status_code

    with ThreadPoolExecutor(len(asked)) as threads:
        return sorted(threads.map(ask, asked))


# ---- what is kept


def test_resources_become_what_they_were(app: Flask) -> None:
    made_changed_and_deleted(app)

    answers = [back(app, A, version) for version in ("1", "2", "3")]

    assert [answer.status_code for answer in answers] == [201, 200, 204]
    assert body(answers[1]) == policy("a", {"jwt": "present?"})
    assert versions(app) == [6, 5, 4, 3, 2, 1]
    assert authors(app, A) == ["operator:operator"] * 6


def test_ids_that_differ_in_letter_case_have_histories_of_their_own(app: Flask) -> None:
    operate(app, "PUT", "/AccessPolicy/a", policy("a", {"user": "present?"}))
    operate(app, "PUT", "/AccessPolicy/A", policy("A", {"jwt": "present?"}))

    assert versions(app, "/AccessPolicy/a") == [1]
    assert versions(app, "/AccessPolicy/A") == [2]


def test_every_character_is_kept(app: Flask) -> None:
    texts = ["Zoë 🙂", "日本", "a\nb\t\\", "\uff21"]
    for text in texts:
        catalog_of(app, lambda catalog, text=text: catalog.apply(Edit([policy("a", description=text)]), by=text))

    entries = history(app, A)

    assert [entry["resource"]["description"] for entry in entries] == texts[::-1]
    assert authors(app, A) == texts[::-1]


def test_a_resource_of_a_mebibyte_is_kept_and_comes_back(app: Flask) -> None:
    large = as_large_as_can_be()
    store(app, [large])
    store(app, [policy("a", {"user": "present?"})])

    answer = back(app, A, "1")

    assert answer.status_code == 200
    assert body(answer) == large
    assert versions(app) == [3, 2, 1]


def as_large_as_can_be() -> dict[str, Any]:
    empty = len(canonical(stored_form(policy("a", description=""))))
    return policy("a", description="x" * (MAX_BODY - empty))


def test_two_thousand_at_once_are_kept_one_by_one(app: Flask) -> None:
    bodies = [policy(f"p{number}", {"user": "present?"}) for number in range(2000)]
    store(app, bodies)

    store(app, [{**body, "description": "changed"} for body in bodies])

    assert versions(app, "/AccessPolicy/p7") == [2008, 8]
    assert versions(app, "/AccessPolicy/p1999") == [4000, 2000]


def catalog_of(app: Flask, work: Callable[[Any], Any]) -> Any:
    with app.app_context():
        return work(app.extensions["foreign_token"].runtime().catalog)


# ---- versions


def test_no_version_comes_again_after_the_feed_was_emptied(app: Flask, database: str) -> None:
    made_changed_and_deleted(app)
    run(database, "DELETE FROM foreign_token_change")

    store(app, [policy("b")])
    answer = operate(app, "PUT", A, policy("a", {"user": "present?"}))

    assert answer.status_code == 201
    assert versions(app) == [5, 3, 2, 1]
    assert answer.headers["ETag"] == 'W/"5"'


def test_an_old_tag_is_never_that_of_something_else(app: Flask, database: str) -> None:
    tag = operate(app, "PUT", A, policy("a", {"user": "present?"})).headers["ETag"]
    operate(app, "DELETE", A)
    run(database, "DELETE FROM foreign_token_change")
    operate(app, "PUT", A, policy("a", {"jwt": "present?"}))

    answer = operate(app, "PUT", A, policy("a"), headers={"If-Match": tag})

    assert answer.status_code == 412


# ---- two at once


def test_of_two_who_have_read_the_same_the_second_is_told(make_worker: Callable[[], Flask]) -> None:
    workers = [make_worker() for _ in range(2)]
    tag = operate(workers[0], "PUT", A, policy("a", description="0")).headers["ETag"]
    for number in range(1, ROUNDS + 1):
        asked = [
            lambda worker=worker, tag=tag, text=f"{number} {name}": operate(
                worker, "PUT", A, policy("a", description=text), headers={"If-Match": tag}
            )
            for name, worker in enumerate(workers)
        ]

        assert at_once(*asked) == [200, 412]
        assert len(versions(workers[0])) == number + 1
        tag = operate(workers[1], "GET", A).headers["ETag"]


def test_of_an_edit_and_a_way_back_the_second_is_told(make_worker: Callable[[], Flask]) -> None:
    workers = [make_worker() for _ in range(2)]
    operate(workers[0], "PUT", A, policy("a", {"user": "present?"}))
    tag = operate(workers[0], "PUT", A, policy("a", description="0")).headers["ETag"]
    for number in range(1, ROUNDS + 1):
        edited = policy("a", description=str(number))

        statuses = at_once(
            lambda tag=tag, edited=edited: operate(workers[0], "PUT", A, edited, headers={"If-Match": tag}),
            lambda tag=tag: back(workers[1], A, "1", headers={"If-Match": tag}),
        )

        assert statuses == [200, 412]
        operate(workers[0], "PUT", A, policy("a", description=f"{number} again"))
        tag = operate(workers[0], "GET", A).headers["ETag"]


def test_many_at_once_leave_one_version_each(make_worker: Callable[[], Flask]) -> None:
    workers = [make_worker() for _ in range(4)]

    statuses = at_once(
        *(
            lambda worker=worker, name=f"by {number}": operate(worker, "PUT", A, policy("a", description=name))
            for number, worker in enumerate(workers)
        )
    )

    assert statuses == [200, 200, 200, 201]
    assert versions(workers[0]) == [4, 3, 2, 1]
    assert [entry["request"]["method"] for entry in history(workers[0], A)] == ["PUT", "PUT", "PUT", "POST"]


def test_what_another_worker_brought_back_is_in_force_here(make_worker: Callable[[], Flask]) -> None:
    here, there = make_worker(), make_worker()
    made_changed_and_deleted(here)

    back(there, A, "2")

    assert operate(here, "GET", A).json["matcho"] == {"jwt": "present?"}


def test_a_plan_is_not_carried_out_where_another_worker_was_quicker(make_worker: Callable[[], Flask]) -> None:
    here, there = make_worker(), make_worker()
    store(here, [policy("a", {"user": "present?"})])
    store(here, [policy("a", {"jwt": "present?"})])
    plan = catalog_of(here, lambda catalog: catalog.plan_rollback(POLICY, "1"))
    store(there, [policy("a", description="quicker")])

    with pytest.raises(Conflict):
        catalog_of(here, lambda catalog: catalog.apply(plan.edit))
    assert operate(here, "GET", A).json["description"] == "quicker"


# ---- databases from before


@pytest.fixture
def project(database: str, tmp_path: Path) -> Project:
    """An app whose tables are those of the first version, with what was stored in them."""
    project = Project("default", database, database, str(tmp_path))
    first_tables(project)
    return project


def test_the_table_is_made_and_what_was_there_before_is_kept(project: Project) -> None:
    with project.running(migrate=False) as app:
        before = catalog_of(app, lambda catalog: catalog.history(KNOWN_ISSUER))
        store(app, [policy("known-issuer", {"user": "present?"})])
        store(app, [policy("known-issuer", {"jwt": "present?"})])
        after = catalog_of(app, lambda catalog: catalog.history(KNOWN_ISSUER))
        outcome = catalog_of(app, lambda catalog: catalog.rollback(KNOWN_ISSUER, before[0].version))
        shown = catalog_of(app, lambda catalog: catalog.get(KNOWN_ISSUER))

    assert HISTORY in project.tables()
    assert [(past.version, past.outcome, past.at, past.by) for past in before] == [("3", "created", 1.0, "")]
    assert [past.version for past in after] == ["5", "4", "3"]
    assert after[-1] == before[0]
    assert outcome == "updated"
    assert shown.body["matcho"] == before[0].body["matcho"]


def test_with_flask_migrate_the_table_is_asked_for_and_not_made(
    project: Project, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    tables = project.tables()

    answer = project.ask(issuer)

    assert answer.status_code == 503
    assert f"{HISTORY}: {MISSING}" in caplog.text
    assert project.tables() == tables


def test_a_row_that_was_written_by_hand_is_kept_by_the_first_edit(app: Flask, database: str) -> None:
    store(app, [policy("b")])
    row = sa.table("foreign_token_resource", *map(sa.column, ("type", "id", "version", "body", "last_updated")))
    with connected(database) as connection:
        text = json.dumps(policy("a", {"user": "present?"}))
        connection.execute(sa.insert(row).values(type="AccessPolicy", id="a", version=70, body=text, last_updated=1.5))

    store(app, [policy("a", {"jwt": "present?"})])

    assert versions(app) == [71, 70]
    assert history(app, A)[1]["resource"]["matcho"] == {"user": "present?"}
