"""Several operators at the same moment."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.registry.edits import Edit

from ..apps import policy, rows
from ..conftest import MakeApp
from .asking import ADMIN, BODIES, operate

OPERATORS = 8

each_type = pytest.mark.parametrize("type_", ["AccessPolicy", "User"])


@pytest.fixture(params=["file", "memory"])
def app(request: pytest.FixtureRequest, make_app: MakeApp, tmp_path: Path) -> Flask:
    shared = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shared.sqlite"} if request.param == "file" else {}
    return make_app(**ADMIN, **shared)


def statuses(work: Callable[[int], int]) -> dict[int, int]:
    start = threading.Barrier(OPERATORS)

    def act(number: int) -> int:
        start.wait(30)
        return work(number)

    with ThreadPoolExecutor(OPERATORS) as threads:
        return dict(Counter(threads.map(act, range(OPERATORS))))


def body(type_: str, number: int) -> dict[str, Any]:
    return policy("new", description=str(number)) if type_ == "AccessPolicy" else {"id": "new"}


@each_type
def test_of_many_who_create_one_resource_one_does(app: Flask, type_: str) -> None:
    found = statuses(lambda number: operate(app, "POST", f"/{type_}", body(type_, number)).status_code)

    assert found == {201: 1, 409: OPERATORS - 1}


@each_type
def test_of_many_who_put_what_must_be_new_one_does(app: Flask, type_: str) -> None:
    headers = {"If-None-Match": "*"}

    found = statuses(
        lambda number: operate(app, "PUT", f"/{type_}/new", body(type_, number), headers=headers).status_code
    )

    assert found == {201: 1, 412: OPERATORS - 1}


def test_a_condition_that_names_another_version_holds_for_the_one_that_is_replaced(app: Flask) -> None:
    operate(app, "PUT", "/AccessPolicy/new", body("AccessPolicy", 99))
    headers = {"If-None-Match": 'W/"999999"'}

    found = statuses(
        lambda number: (
            operate(app, "PUT", "/AccessPolicy/new", body("AccessPolicy", number), headers=headers).status_code
        )
    )

    assert set(found) <= {200, 412}
    assert found[200] >= 1


def test_what_is_stored_and_cannot_be_read_is_not_new(app: Flask) -> None:
    operate(app, "PUT", "/AccessPolicy/other", BODIES["AccessPolicy"])
    rows(app, "UPDATE foreign_token_resource SET body = '[{' WHERE id = 'other' RETURNING id")

    assert operate(app, "POST", "/AccessPolicy", policy("other")).status_code == 409
    answer = operate(app, "PUT", "/AccessPolicy/other", policy("other"), headers={"If-None-Match": "*"})
    assert answer.status_code == 412


@pytest.mark.parametrize(("method", "path"), [("POST", "/IdentityProvider"), ("PUT", "/IdentityProvider/other")])
def test_what_others_delete_at_once_is_not_shown_as_it_was_sent(app: Flask, method: str, path: str) -> None:
    catalog = app.extensions["foreign_token"].runtime().catalog
    refresh = catalog._refresh

    def delete_meanwhile() -> None:
        catalog._refresh = refresh
        catalog.apply(Edit(deletes=[("IdentityProvider", "other")]))

    catalog._refresh = delete_meanwhile

    answer = operate(app, method, path, {**BODIES["IdentityProvider"], "client": {"id": "app", "secret": "hush"}})

    assert answer.status_code == 404
    assert "ETag" not in answer.headers
    assert "hush" not in answer.text
