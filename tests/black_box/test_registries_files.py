"""A registry in a file is read again when its content changes, however it is written, and never by halves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import Resource, ask, policy, provider, registry_of, trusting, write_registry
from ..conftest import MakeApp
from ..integration.waiting import until
from .callers import OPERATOR_SETTINGS, operate, run, write
from .registries import AT_ONCE, Mounted, health, live, ready

ALL = {**OPERATOR_SETTINGS, **AT_ONCE}


def letting_in(issuer: Issuer) -> list[Resource]:
    return trusting(issuer)


def letting_nobody_in(issuer: Issuer) -> list[Resource]:
    return trusting(issuer, policy("known-issuer", {"jwt": {"sub": "nobody-of-that-name"}}))


@pytest.fixture
def app(make_app: MakeApp, issuer: Issuer) -> Flask:
    app = make_app(letting_in(issuer), **ALL)
    assert ask(app, issuer.token()).status_code == 200
    return app


def in_place(file: Path, content: str) -> None:
    file.write_text(content, encoding="utf-8")


def renamed_over(file: Path, content: str) -> None:
    write_registry(file, content)


def with_a_backup(file: Path, content: str) -> None:
    """As vim does it with ``backupcopy=no``."""
    file.rename(file.with_name(file.name + "~"))
    file.write_text(content, encoding="utf-8")


def removed_and_made_again(file: Path, content: str) -> None:
    file.unlink()
    file.write_text(content, encoding="utf-8")


def with_the_old_time(file: Path, content: str) -> None:
    """As ``cp -p``, ``rsync -t`` and images of containers do it."""
    times = file.stat()
    beside = file.with_name("beside")
    beside.write_text(content, encoding="utf-8")
    os.utime(beside, ns=(times.st_atime_ns, times.st_mtime_ns))
    beside.replace(file)


def by_a_link(file: Path, content: str) -> None:
    elsewhere = file.with_name("elsewhere.json")
    elsewhere.write_text(content, encoding="utf-8")
    link = file.with_name("link")
    link.symlink_to(elsewhere)
    link.replace(file)


EDITORS = [in_place, renamed_over, with_a_backup, removed_and_made_again, with_the_old_time, by_a_link]


@pytest.mark.parametrize("save", EDITORS, ids=lambda save: save.__name__)
def test_what_an_editor_saves_is_in_force_with_the_next_request(app: Flask, issuer: Issuer, save):
    token = issuer.token()
    assert ask(app, token).status_code == 200

    save(registry_of(app), json.dumps(letting_nobody_in(issuer)))

    assert ask(app, token).status_code == 403


def test_other_content_of_the_same_length_and_time_is_seen(make_app: MakeApp, issuer: Issuer):
    yes, no = (
        json.dumps(trusting(issuer, policy("p", {"jwt": {"scope": f"#{word}"}}))) for word in ("openid", "nobody")
    )
    assert len(yes) == len(no)
    app = make_app(yes, **ALL)
    token, file = issuer.token(), registry_of(app)
    assert ask(app, token).status_code == 200
    times = file.stat()

    in_place(file, no)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert ask(app, token).status_code == 403


def test_a_worker_that_polls_sees_it_soon(make_app: MakeApp, issuer: Issuer):
    app = make_app(letting_in(issuer), **OPERATOR_SETTINGS, FOREIGN_TOKEN_REGISTRY_POLL=0.2)
    token = issuer.token()
    assert ask(app, token).status_code == 200

    write_registry(registry_of(app), letting_nobody_in(issuer))

    until(lambda status: status == 403, lambda: ask(app, token).status_code)


def test_the_same_content_saved_again_is_the_same_version(app: Flask):
    before = health(app)["registry"]["version"]

    write_registry(registry_of(app), registry_of(app).read_text())

    assert health(app)["registry"]["version"] == before


def test_the_same_resources_otherwise_indented_are_in_force_as_before(app: Flask, issuer: Issuer):
    write_registry(registry_of(app), json.dumps(letting_in(issuer), indent=4))

    assert ask(app, issuer.token()).status_code == 200
    assert ready(app) == 200


@pytest.fixture
def mounted(make_app: MakeApp, tmp_path: Path, issuer: Issuer) -> tuple[Flask, Mounted]:
    volume = Mounted(tmp_path / "volume")
    volume.switch(registry_json=json.dumps(letting_in(issuer)))
    app = make_app(**ALL, FOREIGN_TOKEN_REGISTRY=str(volume.folder / "registry.json"))
    assert ask(app, issuer.token()).status_code == 200
    return app, volume


def test_a_switch_of_a_mounted_volume_is_seen(mounted, issuer: Issuer):
    app, volume = mounted
    token = issuer.token()

    for letting, status in [(letting_nobody_in, 403), (letting_in, 200), (letting_nobody_in, 403)]:
        volume.switch(registry_json=json.dumps(letting(issuer)))
        assert ask(app, token).status_code == status


def test_a_switch_to_something_broken_leaves_what_was_in_force(mounted, issuer: Issuer):
    app, volume = mounted

    volume.switch(registry_json="{")
    assert ask(app, issuer.token()).status_code == 200

    volume.switch(registry_json=json.dumps(letting_nobody_in(issuer)))
    assert ask(app, issuer.token()).status_code == 403


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.99], ids=str)
def test_a_half_written_file_leaves_what_was_in_force(app: Flask, issuer: Issuer, part: float):
    content = json.dumps(letting_nobody_in(issuer))
    token, file = issuer.token(), registry_of(app)

    in_place(file, content[: int(len(content) * part)])
    assert [ask(app, token).status_code for _ in range(3)] == [200] * 3
    assert ask(app, issuer.token(sub="another")).status_code == 200

    in_place(file, content)
    assert ask(app, token).status_code == 403


WRONG = [
    "gone",
    "not JSON",
    "not UTF-8",
    "another thing",
    "a wrong value",
    "an unknown attribute",
    "a reference to nothing",
    "two of one system",
    "two of one issuer",
    "two of one id",
]


def wrong(issuer: Issuer) -> dict[str, object]:
    nobody = letting_nobody_in(issuer)
    return {
        "gone": None,
        "not JSON": "{",
        "not UTF-8": b"\xff\xfe",
        "another thing": "3",
        "a wrong value": [*nobody, provider("bad", system=7)],
        "an unknown attribute": [*nobody, provider("bad", unknown=1)],
        "a reference to nothing": [nobody[1], nobody[2]],
        "two of one system": [*nobody, provider("other", system="keycloak")],
        "two of one issuer": [*nobody, {**nobody[1], "id": "other"}],
        "two of one id": [*nobody, nobody[2]],
    }


@pytest.mark.parametrize("name", WRONG)
def test_a_file_with_a_fault_is_rejected_as_a_whole_and_the_last_good_state_stays(app: Flask, issuer: Issuer, name):
    content = wrong(issuer)[name]
    file, token = registry_of(app), issuer.token()
    version = health(app)["registry"]["version"]

    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        write_registry(file, content)

    assert ask(app, token).status_code == 200
    assert ask(app, issuer.token(sub="another")).status_code == 200
    assert health(app)["registry"]["version"] == version
    write_registry(file, letting_nobody_in(issuer))
    assert ask(app, token).status_code == 403


def test_what_was_rejected_is_named_for_the_operator_and_logged_once(app: Flask, issuer: Issuer, caplog):
    write_registry(registry_of(app), [*letting_in(issuer), provider("misspelt", engine="x")])

    for _ in range(3):
        assert ask(app, issuer.token()).status_code == 200

    records = [record for record in caplog.records if "IdentityProvider/misspelt" in record.getMessage()]
    assert len(records) == 1
    assert "engine" in records[0].getMessage()
    assert "misspelt" in json.dumps(health(app))


def test_what_is_mended_is_complained_of_no_more(app: Flask, issuer: Issuer):
    write_registry(registry_of(app), [*letting_in(issuer), provider("misspelt", engine="x")])
    ask(app, issuer.token())

    write_registry(registry_of(app), letting_in(issuer))
    ask(app, issuer.token())

    assert "misspelt" not in json.dumps(health(app))


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_used_at_the_start_is_an_outage_until_it_is_mended(
    make_app: MakeApp, issuer: Issuer, name
):
    content = wrong(issuer)[name]
    app = make_app([], **ALL)
    file = registry_of(app)
    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        write_registry(file, content)

    answer = ask(app, issuer.token())
    assert (answer.status_code, bool(answer.headers.get("Retry-After"))) == (503, True)
    assert (live(app), ready(app)) == (200, 503)

    write_registry(file, letting_in(issuer))
    assert ask(app, issuer.token()).status_code == 200
    assert ready(app) == 200


def test_two_workers_of_one_file_see_what_a_command_changes(make_app: MakeApp, tmp_path: Path, issuer: Issuer):
    file = str(write_registry(tmp_path / "both.json", letting_in(issuer)))
    first, second = (make_app(**ALL, FOREIGN_TOKEN_REGISTRY=file) for _ in range(2))
    token = issuer.token()
    assert [ask(app, token).status_code for app in (first, second)] == [200, 200]

    run(first, "apply", write(tmp_path, "p.json", policy("known-issuer", {"jwt": {"sub": "nobody"}})), "--yes")

    assert [ask(app, token).status_code for app in (first, second)] == [403, 403]


def test_an_introspector_that_leaves_the_file_ends_its_tokens(app: Flask, issuer: Issuer):
    token = issuer.token()

    write_registry(registry_of(app), [one for one in letting_in(issuer) if one["id"] != "keycloak-jwt"])

    assert ask(app, token).status_code == 401


def test_an_introspector_that_is_deactivated_in_the_file_ends_its_tokens(app: Flask, issuer: Issuer):
    token, (first, second, third) = issuer.token(), letting_in(issuer)

    write_registry(registry_of(app), [first, {**second, "active": False}, third])

    assert ask(app, token).status_code == 401


def test_a_file_keeps_no_history_and_says_so(app: Flask):
    for method, path, body in [
        ("GET", "AccessPolicy/known-issuer/_history", None),
        ("POST", "AccessPolicy/known-issuer/$rollback", {"versionId": "1"}),
    ]:
        answer = operate(app, method, f"/fhir/{path}", body)
        assert 400 <= answer.status_code < 500
        assert "file" in answer.get_data(as_text=True)


@pytest.mark.parametrize("words", [("history",), ("rollback", "1", "--yes")], ids=["history", "rollback"])
def test_commands_say_that_a_file_keeps_no_history(app: Flask, words):
    command, *more = words
    before = registry_of(app).read_bytes()

    result = run(app, command, "AccessPolicy", "known-issuer", *more, status=1)

    assert "file" in result.stderr
    assert "Traceback" not in result.output
    assert registry_of(app).read_bytes() == before
