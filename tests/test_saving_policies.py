"""A policy that would be out of service is not saved, by whatever way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flask_foreign_token.testing import Issuer

from .apps import Resource, ask, policy, registry_of, secret_token, trusting_a_secret
from .black_box.callers import OPERATOR_SETTINGS, operate
from .cli.commands import fill, refused, run, written
from .conftest import MakeApp


def nested(depth: int) -> Resource:
    pattern: Resource = {}
    for _ in range(depth):
        pattern = {"a": pattern}
    return {"jwt": pattern}


BAD = {
    "an unknown engine": {"engine": "mathco"},
    "a wrong pattern": {"engine": "matcho", "matcho": {"uri": None}},
    "a pattern nested 1 000 deep": {"engine": "matcho", "matcho": nested(1000)},
    "a pattern nested 200 deep": {"engine": "matcho", "matcho": nested(200)},
    "a pattern over 64 KiB": {"engine": "matcho", "matcho": {"uri": {"$enum": ["x" * 65_536]}}},
    "a condition of no engine": {"engine": "complex", "and": [{"engine": "nothing"}]},
    "a query without a database": {"engine": "sql", "sql": {"query": "SELECT true"}},
    "a link to nothing that we know": {"engine": "allow", "link": [{"reference": "Group/x"}]},
    "another engine's attribute": {"engine": "allow", "matcho": {"uri": "/"}},
    "a misspelt attribute": {"engine": "allow", "rolename": "doctor"},
}
GOOD = {
    "allow": {"engine": "allow", "roleName": "doctor"},
    "matcho": {"engine": "matcho", "matcho": {"jwt": {"sub": "bob"}}},
    "complex": {"engine": "complex", "and": [{"engine": "allow"}, {"engine": "matcho", "matcho": {"uri": "/x"}}]},
}


def body(attributes: Resource) -> Resource:
    return {"resourceType": "AccessPolicy", "id": "p", **attributes}


def text(attributes: Resource) -> str:
    """As JSON, however deep."""
    if attributes is not BAD["a pattern nested 1 000 deep"]:
        return json.dumps(body(attributes))
    pattern = '{"a":' * 1000 + "{}" + "}" * 1000
    return json.dumps(body({"engine": "matcho", "matcho": "PATTERN"})).replace('"PATTERN"', f'{{"jwt":{pattern}}}')


@pytest.mark.parametrize("attributes", BAD.values(), ids=BAD.keys())
def test_rest_answers_that_it_is_wrong_and_what_was_there_stays(
    make_app: MakeApp, issuer: Issuer, attributes: Resource
) -> None:
    app = fill(make_app(**OPERATOR_SETTINGS), trusting_a_secret(policy("p", {"jwt": {"sub": "ann"}})))

    answer = operate(app, "PUT", "/fhir/AccessPolicy/p", text(attributes), content_type="application/json")

    assert answer.status_code in {400, 422}
    assert answer.json["error"]
    assert [ask(app, secret_token(issuer, sub=name)).status_code for name in ("ann", "bob")] == [200, 403]


@pytest.mark.parametrize("attributes", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("kept", ["database", "file"])
def test_apply_fails_and_nothing_is_written(make_app: MakeApp, tmp_path: Path, attributes: Resource, kept: str) -> None:
    app = make_app([policy("p")]) if kept == "file" else fill(make_app(), [policy("p")])
    before = registry_of(app).read_text() if kept == "file" else None

    said = refused(app, "apply", written(tmp_path / "p.json", text(attributes)))

    assert said
    assert json.loads(run(app, "get", "AccessPolicy", "p", "--json").stdout)["engine"] == "allow"
    assert before is None or registry_of(app).read_text() == before


@pytest.mark.parametrize("attributes", GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("kept", ["database", "file"])
def test_a_good_one_is_saved_by_either_way(make_app: MakeApp, tmp_path: Path, attributes: Resource, kept: str) -> None:
    app = make_app([], **OPERATOR_SETTINGS) if kept == "file" else make_app(**OPERATOR_SETTINGS)

    applied = run(app, "apply", written(tmp_path / "p.json", text(attributes)))
    answer = operate(app, "PUT", "/fhir/AccessPolicy/q", attributes)

    assert applied.exit_code == 0, applied.output
    assert answer.status_code == (405 if kept == "file" else 201)
    shown = json.loads(run(app, "get", "AccessPolicy", "p", "--json").stdout)
    assert {name: shown[name] for name in attributes} == attributes
