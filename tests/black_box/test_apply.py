"""Storing the resources of files: all of them, or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from flask import Flask

from ..apps import policy, registry_of
from ..conftest import MakeApp
from .callers import (
    OPERATOR_SETTINGS,
    SECRETS,
    SIGNING_SECRET,
    everything,
    parsed,
    run,
    secret_introspector,
    secret_provider,
    write,
)


@pytest.fixture(params=["database", "file"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    return make_app([] if request.param == "file" else None, **OPERATOR_SETTINGS)


def ten(folder: Path, last: object, name: str = "10.json") -> list[str]:
    """Ten files, of which the last is `last`."""
    return [
        *(write(folder, f"{number}.yaml", policy(f"p{number}", {"uri": f"/{number}"})) for number in range(1, 10)),
        write(folder, name, last),
    ]


def exported(app: Flask) -> list[str]:
    return [f"{resource['resourceType']}/{resource['id']}" for resource in parsed(app, "export")]


def test_ten_good_files_are_stored(app: Flask, tmp_path: Path):
    run(app, "apply", *ten(tmp_path, policy("p10")))

    assert len(exported(app)) == 10


LAST = [
    (policy("p10", engine="mathco"), ["AccessPolicy/p10", "engine"]),
    (policy("p10", unknown=1), ["AccessPolicy/p10", "unknown"]),
    (policy("p10", {"user": None}), ["AccessPolicy/p10", "matcho.user"]),
    ({"resourceType": "AccessPolicy", "engine": "allow"}, ["id"]),
    ({"id": "p10", "engine": "allow"}, ["resourceType"]),
    ({"resourceType": "Patient", "id": "p10"}, ["resourceType"]),
    ({"resourceType": "User", "id": "p10"}, ["User"]),
    (secret_introspector(identity_provider={"reference": "IdentityProvider/none"}), ["IdentityProvider/none"]),
    ({**secret_introspector(), "cache_ttl": 3.7}, ["TokenIntrospector/acme-tokens", "cache_ttl"]),
    ([policy("p10"), policy("p10")], ["AccessPolicy/p10"]),
    ([secret_introspector("a"), secret_introspector("b")], ["TokenIntrospector/", "iss"]),
    ([secret_provider("a", system="same"), secret_provider("b", system="same")], ["IdentityProvider/", "system"]),
    (policy("p1", {"uri": "/again"}), ["AccessPolicy/p1"]),
    ([policy("ok"), 3], ["10.json"]),
    ([], ["10.json"]),
    (3, ["10.json"]),
    ("{", ["10.json"]),
    ("", ["10.json"]),
    ("engine: [", ["10.json"]),
    (policy("********"), ["10.json"]),
    ("\ufeff" + json.dumps(policy("p10")), ["10.json"]),
    ({**secret_introspector(), "jwt": {"iss": "x", "aud": "a", "secret": "********"}}, ["jwt.secret"]),
    ({**secret_introspector(), "jwks_uri": "http://elsewhere.example/keys"}, ["TokenIntrospector/acme-tokens"]),
]


@pytest.mark.parametrize(("last", "named"), LAST, ids=lambda value: str(value)[:60])
def test_ten_files_of_which_the_last_is_wrong_change_nothing(app: Flask, tmp_path: Path, last, named):
    files = ten(tmp_path, last)

    result = run(app, "apply", *files, status=1)

    assert all(name in result.stderr for name in named), result.stderr
    assert result.stdout == ""
    assert exported(app) == []


@pytest.mark.parametrize("style", [[], ["--json"]], ids=["people", "json"])
def test_a_file_that_is_not_there_changes_nothing(app: Flask, tmp_path: Path, style):
    result = run(app, "apply", *ten(tmp_path, policy("p10")), str(tmp_path / "none.yaml"), *style, status=1)

    assert "none.yaml" in result.stderr
    assert exported(app) == []


def test_what_was_there_before_stays_as_it_was(app: Flask, tmp_path: Path):
    run(app, "apply", write(tmp_path, "before.json", policy("p1", {"uri": "/before"})))
    before = everything(app)

    run(app, "apply", *ten(tmp_path, policy("p10", engine="mathco")), status=1)

    assert everything(app) == before


def test_every_fault_of_every_file_is_named(app: Flask, tmp_path: Path):
    files = [
        write(tmp_path, "a.json", policy("a", engine="mathco", unknown=1)),
        write(tmp_path, "b.yaml", policy("b", {"user": None})),
    ]

    said = run(app, "apply", *files, status=1).stderr

    for name in ("a.json", "AccessPolicy/a", "engine", "unknown", "b.yaml", "AccessPolicy/b", "matcho.user"):
        assert name in said


def test_resources_may_refer_to_each_other_in_any_order(app: Flask, tmp_path: Path):
    introspector = secret_introspector(identity_provider={"reference": "IdentityProvider/acme"})

    run(app, "apply", write(tmp_path, "a.json", introspector), write(tmp_path, "b.json", secret_provider()))

    assert set(exported(app)) == {"IdentityProvider/acme", "TokenIntrospector/acme-tokens"}


FORMS = {
    "one.json": json.dumps(policy("a")),
    "array.json": json.dumps([policy("a")]),
    "one.yaml": yaml.safe_dump(policy("a")),
    "array.yaml": yaml.safe_dump([policy("a")]),
    "stream.yaml": "---\n" + yaml.safe_dump(policy("a")) + "---\n",
    "json.yaml": json.dumps(policy("a")),
    "yaml.json": yaml.safe_dump(policy("a")),
    "without-a-suffix": yaml.safe_dump(policy("a")),
    "comment.yaml": "# says who may read\n" + yaml.safe_dump(policy("a")),
    "windows.yaml": yaml.safe_dump(policy("a")).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_file_is_read(app: Flask, tmp_path: Path, name):
    run(app, "apply", write(tmp_path, name, FORMS[name]))

    assert exported(app) == ["AccessPolicy/a"]


@pytest.mark.parametrize("name", ["one.json", "array.json", "one.yaml", "stream.yaml"])
def test_standard_input_is_read_as_a_file_is(app: Flask, name):
    run(app, "apply", "-", stdin=FORMS[name])

    assert exported(app) == ["AccessPolicy/a"]


def test_several_documents_are_several_resources(app: Flask):
    run(app, "apply", "-", stdin=yaml.safe_dump_all([policy("a"), policy("b")]))

    assert exported(app) == ["AccessPolicy/a", "AccessPolicy/b"]


def test_outcomes_are_told_apart(app: Flask):
    run(app, "apply", "-", stdin=json.dumps([policy("same"), policy("other")]))

    said = parsed(app, "apply", "-", stdin=json.dumps([policy("same"), policy("other", {"uri": "/"}), policy("new")]))

    assert {one["id"]: one["outcome"] for one in said} == {"same": "unchanged", "other": "updated", "new": "created"}


DANGEROUS = [
    "resourceType: !!python/object/apply:os.system ['true']",
    "a: &a [*a]",
    "a: &a [x, x]\n" + "".join(f"{chr(c)}: &{chr(c)} [{', '.join([f'*{chr(c - 1)}'] * 9)}]\n" for c in range(98, 112)),
    "[" * 100_000,
    '{"a":' * 100_000,
    "\x00",
    "resourceType: AccessPolicy\nresourceType: AccessPolicy\nid: x\nengine: allow\n",
]


@pytest.mark.parametrize("text", DANGEROUS, ids=lambda text: repr(text)[:40])
def test_dangerous_texts_are_refused_without_a_traceback(app: Flask, tmp_path: Path, text):
    result = run(app, "apply", write(tmp_path, "x.yaml", text), status=1)

    assert isinstance(result.exception, SystemExit)
    assert "x.yaml" in result.stderr
    assert exported(app) == []


def test_a_file_that_is_not_utf8_is_refused_with_its_name(app: Flask, tmp_path: Path):
    (tmp_path / "latin.yaml").write_bytes("description: é".encode("latin-1"))

    assert "latin.yaml" in run(app, "apply", str(tmp_path / "latin.yaml"), status=1).stderr


@pytest.mark.parametrize("wrong", [{"cache_ttl": 0}, {"unknown": 1}, {"type": "saml"}, {"jwks_uri": 3}], ids=str)
def test_no_refusal_prints_a_secret(app: Flask, tmp_path: Path, caplog, wrong):
    said = run(app, "apply", write(tmp_path, "a.json", {**secret_introspector(), **wrong}), status=1).output

    assert not [secret for secret in SECRETS if secret in said + caplog.text]


@pytest.mark.parametrize("text", ['{"jwt": {"secret": "%s"', "jwt: {secret: %s", "secret: '%s\n\t- x"])
def test_no_syntax_error_prints_a_secret(app: Flask, tmp_path: Path, text):
    said = run(app, "apply", write(tmp_path, "a.yaml", text % SIGNING_SECRET), status=1).output

    assert SIGNING_SECRET not in said


def test_a_secret_that_was_masked_is_kept(app: Flask, tmp_path: Path):
    run(app, "apply", write(tmp_path, "a.json", secret_introspector()))
    shown = parsed(app, "get", "TokenIntrospector", "acme-tokens")

    run(app, "apply", write(tmp_path, "a.json", {**shown, "cache_ttl": 60}))

    where = registry_of(app)
    if where.exists():
        assert SIGNING_SECRET in where.read_text()
    assert parsed(app, "get", "TokenIntrospector", "acme-tokens")["cache_ttl"] == 60
