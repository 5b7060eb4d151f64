"""``flask foreign-token apply``: all of it or nothing, and every fault named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import SECRET, ask, policy, provider, registry_of, rows, secret_token, trusting_a_secret
from ..conftest import MakeApp
from .commands import NAMES, fill, printed, refused, run, stored, without_roots_rights, written

YAML = """
resourceType: IdentityProvider
id: keycloak
system: keycloak
userinfo-source: id-token
---
resourceType: AccessPolicy
id: anyone
engine: allow
"""


def test_what_is_applied_is_stored_and_named(empty_app: Flask, tmp_path: Path) -> None:
    result = run(empty_app, "apply", written(tmp_path / "all.json", trusting_a_secret()))

    assert (result.exit_code, result.stdout.splitlines()) == (0, [f"created {name}" for name in NAMES])
    assert stored(empty_app) == NAMES


def test_what_is_applied_is_in_force_at_once(empty_app: Flask, issuer: Issuer, tmp_path: Path) -> None:
    before = ask(empty_app, secret_token(issuer)).status_code

    run(empty_app, "apply", written(tmp_path / "all.json", trusting_a_secret()))

    assert (before, ask(empty_app, secret_token(issuer)).status_code) == (401, 200)


def test_what_is_there_already_is_unchanged(filled_app: Flask, tmp_path: Path) -> None:
    resources = [*trusting_a_secret()[:2], policy("known-issuer", {"uri": "/x"}), policy("new")]

    result = run(filled_app, "apply", written(tmp_path / "all.json", resources))

    assert result.stdout.splitlines() == [
        "unchanged IdentityProvider/keycloak",
        "unchanged TokenIntrospector/secret",
        "updated AccessPolicy/known-issuer",
        '  + matcho.uri: "/x"',
        "  - matcho.jwt",
        "created AccessPolicy/new",
    ]


def test_programs_get_json(filled_app: Flask, tmp_path: Path) -> None:
    outcomes = printed(filled_app, "apply", written(tmp_path / "all.json", [provider(), policy("new")]))

    assert outcomes == [
        {
            "resourceType": "IdentityProvider",
            "id": "keycloak",
            "outcome": "unchanged",
            "applied": True,
            "differences": [],
        },
        {"resourceType": "AccessPolicy", "id": "new", "outcome": "created", "applied": True, "differences": []},
    ]


FILES: dict[str, str] = {
    "an object": json.dumps(policy("anyone")),
    "an array": json.dumps([policy("anyone")]),
    "an array in YAML": "- resourceType: AccessPolicy\n  id: anyone\n  engine: allow\n",
    "YAML in braces": "{resourceType: AccessPolicy, id: anyone, engine: allow}",
    "YAML and an empty document": "# who\n---\nresourceType: AccessPolicy\nid: anyone\nengine: allow\n---\n",
    "with meta": json.dumps({**policy("anyone"), "meta": {"versionId": "7", "lastUpdated": "2026-01-01T00:00:00Z"}}),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("name", ["resources.json", "resources.yaml", "resources"])
def test_a_file_is_read_by_what_is_in_it(make_app: MakeApp, tmp_path: Path, content: str, name: str) -> None:
    app = make_app()

    result = run(app, "apply", written(tmp_path / name, content))

    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "created AccessPolicy/anyone")


def test_a_file_may_hold_several_yaml_documents(empty_app: Flask, tmp_path: Path) -> None:
    result = run(empty_app, "apply", written(tmp_path / "all.yaml", YAML))

    assert result.stdout.splitlines() == ["created IdentityProvider/keycloak", "created AccessPolicy/anyone"]


def test_several_files_are_one_change(empty_app: Flask, tmp_path: Path) -> None:
    """The introspector comes before the provider that it refers to."""
    first, second, third = trusting_a_secret()
    files = [written(tmp_path / f"{number}.json", body) for number, body in enumerate((second, first, third))]

    result = run(empty_app, "apply", *files)

    assert result.exit_code == 0
    assert stored(empty_app) == NAMES


def test_a_dash_is_standard_input(empty_app: Flask) -> None:
    result = run(empty_app, "apply", "-", stdin=YAML)

    assert result.stdout.splitlines() == ["created IdentityProvider/keycloak", "created AccessPolicy/anyone"]


def test_ten_files_of_which_the_last_is_wrong_change_nothing(filled_app: Flask, tmp_path: Path) -> None:
    before = printed(filled_app, "export")
    files = [written(tmp_path / f"{number}.json", policy(f"p{number}")) for number in range(9)]
    files.append(written(tmp_path / "last.yaml", "resourceType: AccessPolicy\nid: last\nengine: magic\n"))

    reason = refused(filled_app, "apply", *files)

    assert f"{files[-1]} AccessPolicy/last engine: there is no such engine" in reason
    assert printed(filled_app, "export") == before


def test_every_fault_of_every_file_is_named_with_its_place(empty_app: Flask, tmp_path: Path) -> None:
    one = written(tmp_path / "one.json", [provider(issuerr="x", active="yes"), policy("fine")])
    other = written(tmp_path / "other.json", policy("bad", {"user": None}))

    reason = refused(empty_app, "apply", one, other)

    assert reason.splitlines()[0].endswith("nothing was changed.")
    for line in (
        f"{one} IdentityProvider/keycloak issuerr: no such attribute; did you mean issuer?",
        f"{one} IdentityProvider/keycloak active: must be true or false",
        f"{other} AccessPolicy/bad matcho.user: ",
    ):
        assert line in reason


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "holds no resource"),
    "blanks": (b" \n", "holds no resource"),
    "an empty array": (b"[]", "holds no resource"),
    "neither JSON nor YAML": (b"[{", ""),
    "a member twice": (b'{"resourceType": "AccessPolicy", "id": "a", "id": "b", "engine": "allow"}', ""),
    "no UTF-8": (b"resourceType: AccessPolicy\nid: a\ndescription: caf\xe9\nengine: allow\n", "UTF-8"),
    "binary": (bytes(range(256)), ""),
    "a text": (b"resources", "must be an object with resourceType and id"),
    "a number": (b"7", "must be an object with resourceType and id"),
    "no type": (b"id: a\n", "resourceType: is required"),
    "no id": (b"[{resourceType: AccessPolicy, engine: allow}]", "item 0 id: is required"),
    "a misspelt type": (b"{resourceType: AccesPolicy, id: a}", "did you mean AccessPolicy?"),
    "a wrong second document": (b"{resourceType: AccessPolicy, id: a, engine: allow}\n---\n7\n", "document 2"),
    "a Bundle": (b'{"resourceType": "Bundle", "entry": []}', "resourceType: must be one of"),
    "a user": (b"{resourceType: User, id: ann}", "User/ann: users are not kept in the registry"),
    "too much": (b"#" * (16 * 1024 * 1024 + 1), "must not be larger than 16 MiB"),
    "deep nesting": (b"[" * 5000, ""),
}


@pytest.mark.parametrize(("content", "reason"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_file_that_holds_something_else_is_refused(
    make_app: MakeApp, tmp_path: Path, content: bytes, reason: str
) -> None:
    app = make_app()
    file = tmp_path / "file"
    file.write_bytes(content)

    said = refused(app, "apply", written(tmp_path / "good.json", policy("good")), str(file))

    assert str(file) in said
    assert reason in said
    assert stored(app) == []


@pytest.mark.parametrize(("content", "reason"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_standard_input_that_holds_something_else_is_refused(make_app: MakeApp, content: bytes, reason: str) -> None:
    said = refused(make_app(), "apply", "-", stdin=content)

    assert "standard input" in said
    assert reason in said


def test_a_file_that_is_not_there_is_refused(empty_app: Flask, tmp_path: Path) -> None:
    assert "No such file" in refused(empty_app, "apply", str(tmp_path / "absent.json"))


def test_a_directory_is_refused(empty_app: Flask, tmp_path: Path) -> None:
    assert "Is a directory" in refused(empty_app, "apply", str(tmp_path))


def test_a_file_that_must_not_be_read_is_refused(empty_app: Flask, tmp_path: Path) -> None:
    file = Path(written(tmp_path / "closed.json", policy("a")))
    file.chmod(0)

    with without_roots_rights():
        reason = refused(empty_app, "apply", str(file))

    assert f"{file}: cannot be read: Permission denied" in reason


def test_one_resource_in_two_files_is_refused(empty_app: Flask, tmp_path: Path) -> None:
    one, other = (written(tmp_path / name, policy("a")) for name in ("one.json", "other.json"))

    assert f"{other} AccessPolicy/a: stands in {one} already" in refused(empty_app, "apply", one, other)


def test_no_file_at_all_is_refused(empty_app: Flask) -> None:
    assert "FILE" in refused(empty_app, "apply")


def test_a_masked_secret_stays_what_it_is(filled_app: Flask, issuer: Issuer, tmp_path: Path) -> None:
    body = printed(filled_app, "get", "TokenIntrospector", "secret")
    assert body["jwt"]["secret"] == "********"

    result = run(filled_app, "apply", written(tmp_path / "same.json", body))

    assert result.stdout == "unchanged TokenIntrospector/secret\n"
    assert ask(filled_app, secret_token(issuer)).status_code == 200


def test_a_mask_without_a_secret_behind_it_is_refused(empty_app: Flask, tmp_path: Path) -> None:
    resources = trusting_a_secret(jwt={"secret": "********"})

    assert "TokenIntrospector/secret jwt.secret: " in refused(
        empty_app, "apply", written(tmp_path / "all.json", resources)
    )


def test_a_refusal_tells_no_secret(empty_app: Flask, tmp_path: Path) -> None:
    resources = trusting_a_secret(jwt={"leeway": -1})

    assert SECRET not in refused(empty_app, "apply", written(tmp_path / "all.json", resources))


def test_control_characters_of_a_file_do_not_reach_the_terminal(empty_app: Flask, tmp_path: Path) -> None:
    body = {"resourceType": "Access\x1b[31mPolicy", "id": "a\x1b]0;x\x07"}

    said = refused(empty_app, "apply", written(tmp_path / "\x1b[2Jall.json", body))

    assert all(sign == "\n" or sign.isprintable() for sign in said)


def test_a_registry_file_that_is_absent_is_made(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app([])
    registry_of(app).unlink()

    result = run(app, "apply", written(tmp_path / "all.json", trusting_a_secret()))

    assert result.exit_code == 0, result.output
    assert [body["id"] for body in json.loads(registry_of(app).read_text())] == ["keycloak", "secret", "known-issuer"]


def test_a_registry_file_keeps_its_variables(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLINIC_TITLE", "Clinic")
    app = make_app([provider(title="${CLINIC_TITLE}")])

    run(app, "apply", written(tmp_path / "more.json", policy("more")))

    assert json.loads(registry_of(app).read_text())[0]["title"] == "${CLINIC_TITLE}"


def test_a_row_that_was_spoilt_by_hand_is_mended(make_app: MakeApp, tmp_path: Path) -> None:
    app = fill(make_app())
    rows(app, "UPDATE foreign_token_resource SET body = '[{' WHERE id = 'known-issuer' RETURNING id")

    result = run(app, "apply", written(tmp_path / "all.json", trusting_a_secret()))

    assert result.exit_code == 0, result.output
    assert stored(app) == NAMES
