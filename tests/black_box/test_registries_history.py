"""Every change with who and when; an older version is read, and brought back."""

from __future__ import annotations

import json
import re
import socket
import time
from datetime import datetime
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import SECRET, ask, introspector, policy, provider, secret_token, trusting, trusting_a_secret
from .callers import (
    BODIES,
    CLIENT_SECRET,
    REGISTRY_TYPES,
    SIGNING_SECRET,
    TYPES,
    Operated,
    as_token,
    linked,
    operate,
    parsed,
    put_all,
    read,
    run,
    write,
)
from .registries import history, refusal, rollback, version_of

PATH = "AccessPolicy/readers"


def described(text: str, name: str = "readers") -> dict[str, object]:
    return policy(name, {"uri": "/x"}, description=text)


@pytest.fixture
def app(operated: Operated) -> Flask:
    """One policy in three versions."""
    app = operated(FOREIGN_TOKEN_REGISTRY_POLL=0)
    for text in ("first", "second", "third"):
        put_all(app, [described(text)])
    return app


def texts(app: Flask, path: str = PATH) -> list[str | None]:
    return [entry.get("resource", {}).get("description") for entry in history(app, path)]


def test_every_version_is_there_newest_first(app: Flask):
    assert texts(app) == ["third", "second", "first"]


@pytest.mark.parametrize("name", REGISTRY_TYPES)
def test_every_type_has_a_history(app: Flask, name: str):
    operate(app, "PUT", f"/fhir/{name}/x", BODIES[name])
    operate(app, "DELETE", f"/fhir/{name}/x")

    entries = history(app, f"{name}/x")

    assert entries[0]["request"]["method"] == "DELETE"
    assert entries[1]["request"]["method"] in {"POST", "PUT"}
    assert entries[1]["resource"]["id"] == "x"


def test_users_have_none(app: Flask):
    assert operate(app, "GET", "/fhir/User/x/_history").status_code == 404


def test_what_never_was_has_none(app: Flask):
    refusal(operate(app, "GET", "/fhir/AccessPolicy/never-was/_history"), 404, "not_found")


def test_an_entry_says_when(app: Flask):
    entries = history(app, PATH)

    times = [datetime.fromisoformat(entry["resource"]["meta"]["lastUpdated"]) for entry in entries]
    assert times == sorted(times, reverse=True)
    assert all(abs(at.timestamp() - time.time()) < 600 for at in times)


def test_versions_are_those_of_the_resource(app: Flask):
    versions = [version_of(entry["resource"]) for entry in history(app, PATH)]

    assert versions[0] == version_of(read(app, PATH))
    assert len(set(versions)) == 3


def test_an_entry_says_which_operator(app: Flask):
    assert all("operator:operator" in json.dumps(entry) for entry in history(app, PATH))


def test_an_entry_says_which_user_came_with_a_token(operated: Operated, issuer: Issuer):
    app = operated([*trusting(issuer), linked("opens", "Operation/foreign_token.update_access_policy")])
    answer = as_token(app, issuer.token(sub="ada"), "PUT", "/fhir/AccessPolicy/new", {"engine": "allow"})
    assert answer.status_code == 201, answer.get_data(as_text=True)
    [user] = [entry["resource"]["id"] for entry in read(app, "User")["entry"]]

    [entry] = history(app, "AccessPolicy/new")

    assert f"user:{user}" in json.dumps(entry)


def test_an_entry_says_which_client_came_where_there_is_no_user(operated: Operated, issuer: Issuer):
    _, trust, rule = trusting(issuer)
    del trust["identity_provider"]
    app = operated([trust, rule, linked("opens", "Operation/foreign_token.update_access_policy")])
    token = issuer.token(azp="robot", client_id="robot")
    assert as_token(app, token, "PUT", "/fhir/AccessPolicy/new", {"engine": "allow"}).status_code == 201

    [entry] = history(app, "AccessPolicy/new")

    assert "client:robot" in json.dumps(entry)


def test_an_entry_says_who_typed_a_command_and_where(app: Flask, tmp_path: Path):
    run(app, "apply", write(tmp_path, "p.json", described("fourth")), "--yes")

    said = json.dumps(history(app, PATH)[0])

    assert re.search(r"cli:[^@\"]+@" + re.escape(socket.gethostname()), said), said


def test_a_delete_by_command_is_one_of_the_changes(app: Flask):
    run(app, "delete", "AccessPolicy", "readers", "--yes")

    newest = history(app, PATH)[0]

    assert newest["request"]["method"] == "DELETE"
    assert "cli:" in json.dumps(newest)


def test_what_changes_nothing_is_no_entry(app: Flask, tmp_path: Path):
    run(app, "apply", write(tmp_path, "p.json", described("third")), "--yes")

    assert texts(app) == ["third", "second", "first"]


def test_what_is_refused_is_no_entry(app: Flask):
    assert operate(app, "PUT", f"/fhir/{PATH}", {"engine": "mathco"}).status_code == 422
    etag = {"If-Match": '"0"'}
    assert operate(app, "PUT", f"/fhir/{PATH}", described("x"), headers=etag).status_code == 412

    assert texts(app) == ["third", "second", "first"]


def test_a_version_is_read(app: Flask):
    for entry in history(app, PATH):
        version = version_of(entry["resource"])
        answer = operate(app, "GET", f"/fhir/{PATH}/_history/{version}")
        assert answer.status_code == 200
        assert answer.json == entry["resource"]
        assert version in answer.headers["ETag"]


@pytest.mark.parametrize("version", ["0", "999999", "x", "-1", "1e3", "٣", "%00", "9" * 40])
def test_a_version_that_never_was_is_not_found(app: Flask, version: str):
    refusal(operate(app, "GET", f"/fhir/{PATH}/_history/{version}"), 404, "not_found")


def test_a_version_of_another_resource_is_not_found(app: Flask):
    put_all(app, [described("other", "other")])
    version = version_of(read(app, "AccessPolicy/other"))
    if version in {version_of(entry["resource"]) for entry in history(app, PATH)}:
        return

    refusal(operate(app, "GET", f"/fhir/{PATH}/_history/{version}"), 404, "not_found")
    assert rollback(app, PATH, version).status_code in {404, 422}
    assert texts(app) == ["third", "second", "first"]


def test_a_rollback_brings_a_version_back_as_a_new_one(app: Flask):
    oldest = version_of(history(app, PATH)[-1]["resource"])

    answer = rollback(app, PATH, oldest)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.json["description"] == read(app, PATH)["description"] == "first"
    assert texts(app) == ["first", "third", "second", "first"]
    assert version_of(answer.json) not in {oldest}
    assert version_of(answer.json) in answer.headers["ETag"]


def test_a_rollback_is_in_force_with_the_next_request(operated: Operated, issuer: Issuer):
    app = operated(trusting(issuer))
    token, before = issuer.token(), version_of(read(app, "AccessPolicy/known-issuer"))
    put_all(app, [policy("known-issuer", {"jwt": {"sub": "nobody-of-that-name"}})])
    assert ask(app, token).status_code == 403

    rollback(app, "AccessPolicy/known-issuer", before)

    assert ask(app, token).status_code == 200


def test_what_was_deleted_is_brought_back(app: Flask):
    newest = version_of(read(app, PATH))
    operate(app, "DELETE", f"/fhir/{PATH}")

    assert rollback(app, PATH, newest).status_code in {200, 201}

    assert read(app, PATH)["description"] == "third"
    assert len(history(app, PATH)) == 5


def test_a_rollback_of_what_is_refused_today_changes_nothing(app: Flask):
    put_all(app, [provider("acme"), introspector("tokens", "acme", jwt={"iss": "https://x.example", "secret": SECRET})])
    old = version_of(read(app, "TokenIntrospector/tokens"))
    put_all(app, [introspector("tokens", None, jwt={"iss": "https://x.example", "secret": SECRET})])
    assert operate(app, "DELETE", "/fhir/IdentityProvider/acme").status_code == 204
    before = read(app, "TokenIntrospector/tokens")

    answer = rollback(app, "TokenIntrospector/tokens", old)

    assert answer.status_code == 422
    assert answer.json["issues"][0]["path"].startswith("identity_provider")
    assert "IdentityProvider/acme" in answer.json["issues"][0]["message"]
    assert read(app, "TokenIntrospector/tokens") == before


def test_a_rollback_heeds_if_match(app: Flask):
    oldest, old_etag = (
        version_of(history(app, PATH)[-1]["resource"]),
        operate(app, "GET", f"/fhir/{PATH}").headers["ETag"],
    )
    put_all(app, [described("fourth")])

    refusal(rollback(app, PATH, oldest, headers={"If-Match": old_etag}), 412, "precondition_failed")
    assert read(app, PATH)["description"] == "fourth"

    etag = operate(app, "GET", f"/fhir/{PATH}").headers["ETag"]
    assert rollback(app, PATH, oldest, headers={"If-Match": etag}).status_code == 200


BAD = [{}, {"versionId": 1}, {"versionId": None}, {"versionId": ["1"]}, {"versionId": "1", "more": 1}, [], "1", None]


@pytest.mark.parametrize("body", BAD, ids=repr)
def test_a_rollback_that_names_no_version_is_refused_and_changes_nothing(app: Flask, body):
    answer = operate(app, "POST", f"/fhir/{PATH}/$rollback", json.dumps(body), content_type="application/json")

    assert answer.status_code in {400, 422}
    assert answer.json["error_description"] or answer.json["issues"]
    assert texts(app) == ["third", "second", "first"]


def test_history_shows_no_secret_and_a_rollback_restores_it(operated: Operated, issuer: Issuer):
    app = operated(trusting_a_secret())
    first = version_of(read(app, "TokenIntrospector/secret"))
    put_all(app, [introspector("secret", jwt={"iss": "https://secret.example", "secret": SIGNING_SECRET})])
    assert [ask(app, secret_token(issuer, s)).status_code for s in (SECRET, SIGNING_SECRET)] == [401, 200]

    shown = operate(app, "GET", "/fhir/TokenIntrospector/secret/_history").get_data(as_text=True)
    shown += operate(app, "GET", f"/fhir/TokenIntrospector/secret/_history/{first}").get_data(as_text=True)
    assert SECRET not in shown
    assert SIGNING_SECRET not in shown
    assert rollback(app, "TokenIntrospector/secret", first).status_code == 200

    assert [ask(app, secret_token(issuer, s)).status_code for s in (SECRET, SIGNING_SECRET)] == [200, 401]


OPERATIONS = {"history": "GET", "version": "GET", "rollback": "POST"}


@pytest.mark.parametrize("name", REGISTRY_TYPES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_it_is_the_operators_or_for_whom_a_policy_names_the_operation(
    operated: Operated, issuer: Issuer, name: str, operation: str
):
    app = operated(trusting(issuer))
    assert operate(app, "PUT", f"/fhir/{name}/x", BODIES[name]).status_code == 201
    version, token = version_of(read(app, f"{name}/x")), issuer.token()
    tail = {"history": "_history", "version": f"_history/{version}", "rollback": "$rollback"}[operation]
    body = {"versionId": version} if operation == "rollback" else None

    def status(token: str | None) -> int:
        return as_token(app, token, OPERATIONS[operation], f"/fhir/{name}/x/{tail}", body).status_code

    assert (status(None), status(token)) == (401, 403)
    put_all(app, [linked("opens", f"Operation/foreign_token.{operation}_{TYPES[name]}")])
    assert (status(None), status(token)) == (401, 200)


def test_the_command_shows_the_same(app: Flask):
    run(app, "delete", "AccessPolicy", "readers", "--yes")

    entries = parsed(app, "history", "AccessPolicy", "readers")

    assert [entry["outcome"] for entry in entries] == ["deleted", "updated", "updated", "created"]
    assert [entry["by"] for entry in entries][1:] == ["operator:operator"] * 3
    assert entries[0]["by"].startswith("cli:")
    assert [str(entry["versionId"]) for entry in entries][1:] == [
        version_of(entry["resource"]) for entry in history(app, PATH)[1:]
    ]


def test_people_see_who_and_when(app: Flask):
    said = run(app, "history", "AccessPolicy", "readers").stdout

    assert said.count("operator:operator") == 3
    assert str(datetime.fromisoformat(read(app, PATH)["meta"]["lastUpdated"]).year) in said


def test_the_history_of_a_command_shows_no_secret(app: Flask):
    put_all(app, [{**BODIES["IdentityProvider"], "resourceType": "IdentityProvider", "id": "acme"}])

    said = run(app, "history", "IdentityProvider", "acme").output
    said += run(app, "history", "IdentityProvider", "acme", "--json").output

    assert CLIENT_SECRET not in said


def test_the_rollback_command_brings_a_version_back(app: Flask):
    oldest = version_of(history(app, PATH)[-1]["resource"])

    run(app, "rollback", "AccessPolicy", "readers", oldest, "--yes")

    assert read(app, PATH)["description"] == "first"
    assert "cli:" in json.dumps(history(app, PATH)[0])


@pytest.mark.parametrize(
    "words", [("readers", "999999"), ("never-was", "1"), ("readers", "x")], ids=["version", "resource", "no number"]
)
def test_the_rollback_command_refuses_what_never_was(app: Flask, words):
    result = run(app, "rollback", "AccessPolicy", *words, "--yes", status=1)

    assert words[0] in result.stderr
    assert "Traceback" not in result.output
    assert texts(app) == ["third", "second", "first"]


def test_history_of_what_never_was_fails(app: Flask):
    assert "never-was" in run(app, "history", "AccessPolicy", "never-was", status=1).stderr


def test_a_version_is_never_given_twice(app: Flask):
    before = {version_of(entry["resource"]) for entry in history(app, PATH)}
    operate(app, "DELETE", f"/fhir/{PATH}")

    put_all(app, [described("again")])

    assert version_of(read(app, PATH)) not in before
