from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flask_foreign_token.errors import Issue, Rejected
from flask_foreign_token.registry.file import WRITTEN_AS_JSON, FileRegistry
from flask_foreign_token.registry.resources import Resource

PROVIDER = {"resourceType": "IdentityProvider", "id": "k", "system": "k", "userinfo-source": "id-token"}
POLICY = {"resourceType": "AccessPolicy", "id": "p", "engine": "allow"}

MakeRegistry = Callable[..., FileRegistry]


def long_after() -> int:
    return time.time_ns() + 3_600_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resources.json"


@pytest.fixture
def registry_of(path: Path) -> MakeRegistry:
    def make(content: object, environ: Mapping[str, str] = {}, clock: Callable[[], int] = long_after) -> FileRegistry:
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return FileRegistry(path, environ, clock)

    return make


def issues_of(registry: FileRegistry) -> list[Issue]:
    with pytest.raises(Rejected) as caught:
        registry.read()
    return list(caught.value.issues)


def test_every_resource_of_the_array_is_read(registry_of: MakeRegistry) -> None:
    contents = registry_of([PROVIDER, POLICY | {"meta": {"versionId": "1"}}]).read()

    assert [(resource.name, resource.body) for resource in contents.resources] == [
        ("IdentityProvider/k", PROVIDER),
        ("AccessPolicy/p", POLICY),
    ]


def test_an_empty_array_is_a_registry_with_nothing_in_it(registry_of: MakeRegistry) -> None:
    assert registry_of([]).read().resources == ()


def test_the_registry_is_named_by_its_file(path: Path) -> None:
    assert str(FileRegistry(path, {})) == str(path)


def test_the_version_of_a_resource_depends_on_its_body_alone(registry_of: MakeRegistry) -> None:
    first = registry_of([POLICY, PROVIDER]).read()
    second = registry_of([PROVIDER, dict(reversed(POLICY.items())), POLICY | {"id": "q"}]).read()

    versions = {resource.name: resource.version for resource in second.resources}
    assert {resource.name: resource.version for resource in first.resources}.items() <= versions.items()
    assert len(set(versions.values())) == 3
    assert first.version != second.version


def test_what_is_known_is_returned_itself_while_nothing_changes(registry_of: MakeRegistry) -> None:
    registry = registry_of([POLICY])
    known = registry.read()

    assert registry.read(known) is known


def test_an_unchanged_file_is_not_read_again(registry_of: MakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = registry_of([POLICY])
    known = registry.read()
    monkeypatch.setattr(Path, "open", None)

    assert registry.read(known) is known


def test_a_file_that_was_only_touched_or_indented_is_as_it_was(registry_of: MakeRegistry, path: Path) -> None:
    registry = registry_of([POLICY])
    known = registry.read()

    os.utime(path, (1, 1))
    assert registry.read(known) is known
    path.write_text(json.dumps([POLICY], indent=4))
    assert registry.read(known) is known


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_changed_file_is_read(registry_of: MakeRegistry, path: Path, is_replaced: bool) -> None:
    registry = registry_of([POLICY])
    known = registry.read()
    other = path.with_suffix(".new") if is_replaced else path
    other.write_text(json.dumps([POLICY | {"active": False}]))
    if is_replaced:
        other.rename(path)

    contents = registry.read(known)

    assert contents.resources[0].body["active"] is False
    assert contents.version != known.version


def test_a_link_that_is_switched_to_another_folder_is_followed(tmp_path: Path) -> None:
    for folder, body in (("one", POLICY), ("two", POLICY | {"active": False})):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "resources.json").write_text(json.dumps([body]))
    (tmp_path / "data").symlink_to("one")
    registry = FileRegistry(tmp_path / "data" / "resources.json", {}, long_after)
    known = registry.read()

    (tmp_path / "data.new").symlink_to("two")
    (tmp_path / "data.new").rename(tmp_path / "data")

    assert registry.read(known).resources[0].body["active"] is False


def test_a_second_write_within_the_same_moment_is_seen(registry_of: MakeRegistry, path: Path) -> None:
    registry = registry_of([POLICY | {"id": "a"}], clock=time.time_ns)
    before = path.stat()
    known = registry.read()
    path.write_text(json.dumps([POLICY | {"id": "b"}]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert [resource.id for resource in registry.read(known).resources] == ["b"]


def test_a_file_that_is_refused_is_read_again_until_it_is_good(registry_of: MakeRegistry, path: Path) -> None:
    registry = registry_of([POLICY])
    known = registry.read()
    path.write_text("[{")
    for _ in range(2):
        with pytest.raises(Rejected):
            registry.read(known)
    path.write_text(json.dumps([POLICY]))

    assert registry.read(known) is known


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    assert issues_of(FileRegistry(path, {})) == [Issue(str(path), "", "cannot be read: No such file or directory")]


def test_a_file_that_is_taken_away_is_refused(registry_of: MakeRegistry, path: Path) -> None:
    registry = registry_of([POLICY])
    known = registry.read()
    path.unlink()

    with pytest.raises(Rejected, match="cannot be read"):
        registry.read(known)


def test_a_file_that_must_not_be_read_is_named(
    registry_of: MakeRegistry, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    registry = registry_of([POLICY])
    monkeypatch.setattr(Path, "open", refuse)

    assert issues_of(registry) == [Issue(str(path), "", "cannot be read: Permission denied")]


def test_what_is_no_file_is_refused(path: Path) -> None:
    path.mkdir()
    assert issues_of(FileRegistry(path, {})) == [Issue(str(path), "", "is not a file")]
    path.rmdir()
    os.mkfifo(path)
    assert issues_of(FileRegistry(path, {})) == [Issue(str(path), "", "is not a file")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", f"line 1, column 1: not JSON; {WRITTEN_AS_JSON}"),
        (b"# Readers.\nresourceType: AccessPolicy\n", f"line 1, column 1: not JSON; {WRITTEN_AS_JSON}"),
        (b"\n- id: readers", f"line 2, column 1: not JSON; {WRITTEN_AS_JSON}"),
        (b"[\n  hush\n]", "line 2, column 3: not JSON"),
        (b'[{"a": 1, "a": 2}]', "JSON with a duplicate member"),
        (b"[1e400]", "JSON with a number out of range"),
        (b"[" * 100_000, "JSON nested too deeply"),
        (b'["\xff"]', "not UTF-8"),
        (b"\xef\xbb\xbf[]", "begins with a byte order mark; save it as UTF-8 without one"),
        (b"{}", "must be an array of resources, [{…}, …]"),
        (b" " * (16 * 1024 * 1024 + 1), "must not be larger than 16 MiB"),
    ],
    ids=range(11),
)
def test_what_is_no_array_in_strict_json_is_refused_without_repeating_it(
    registry_of: MakeRegistry, path: Path, content: bytes, reason: str
) -> None:
    assert issues_of(registry_of(content)) == [Issue(str(path), "", reason)]


def test_every_item_that_is_no_resource_is_named_by_its_place(registry_of: MakeRegistry, path: Path) -> None:
    issues = issues_of(registry_of([POLICY, 5, {"id": "x"}, POLICY | {"id": "a/b"}]))

    assert [(issue.resource, issue.path) for issue in issues] == [
        (str(path), "1"),
        (str(path), "2.resourceType"),
        (str(path), "3.id"),
    ]


def test_variables_are_replaced_in_providers_and_introspectors(registry_of: MakeRegistry) -> None:
    introspector = {
        "resourceType": "TokenIntrospector",
        "id": "${ID}",
        "jwt": {"keys": [{"k": "a${KEY}b"}], "leeway": 1},
    }
    environ = {"ID": "i", "KEY": "${ID}"}

    [provider, other] = registry_of([PROVIDER | {"title": "${TITLE:-none: -}"}, introspector], environ).read().resources

    assert provider.body["title"] == "none: -"
    assert (other.id, other.body["jwt"]) == ("i", {"keys": [{"k": "a${ID}b"}], "leeway": 1})


def test_a_policy_is_taken_as_it_stands(registry_of: MakeRegistry) -> None:
    policy = POLICY | {"description": "${HOME}", "matcho": {"uri": "#/${x}"}}

    assert registry_of([policy], {"HOME": "x"}).read().resources[0].body == policy


def test_an_unset_variable_is_named_with_its_place(registry_of: MakeRegistry, path: Path) -> None:
    provider = PROVIDER | {"title": "${A}", "client": {"secret": "${B}", "id": "${"}}

    assert issues_of(registry_of([provider, {"resourceType": "IdentityProvider", "id": "${C}"}])) == [
        Issue("IdentityProvider/k", "title", "the environment variable A is not set"),
        Issue("IdentityProvider/k", "client.secret", "the environment variable B is not set"),
        Issue("IdentityProvider/k", "client.id", "${ must begin ${NAME} or ${NAME:-default}"),
        Issue(str(path), "1.id", "the environment variable C is not set"),
    ]


def test_a_resource_in_a_file_has_no_time_of_its_own(registry_of: MakeRegistry) -> None:
    [resource] = registry_of([POLICY]).read().resources

    assert isinstance(resource, Resource)
    assert resource.last_updated is None
