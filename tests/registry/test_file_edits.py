from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.errors import Conflict, Issue, NotStored, Rejected
from flask_foreign_token.registry.edits import Edit, State
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.replacing import locked
from flask_foreign_token.registry.resources import Key

from .bodies import policy, provider
from .files import edit, items_in, write
from .places import unchecked

A: Key = ("AccessPolicy", "a")
NO_RESOURCES: list[Any] = [5, {"resourceType": "AccessPolicy"}, {"note": "keep"}, None, [1.5]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.json"


def refuse(before: State, after: State) -> None:
    raise Rejected.at("", "no")


def test_what_became_of_each_resource_is_told(path: Path) -> None:
    write(path, policy("a"), policy("b"), policy("c"))

    outcomes = edit(path, policy("d"), policy("a"), policy("b", active=False), deletes=[("AccessPolicy", "c")])

    assert [(id_, outcome) for (_type, id_), outcome in outcomes.items()] == [
        ("d", "created"),
        ("a", "unchanged"),
        ("b", "updated"),
        ("c", "deleted"),
    ]


def test_resources_are_replaced_where_they_stand_and_new_ones_come_last(path: Path) -> None:
    write(path, policy("b"), provider(), policy("a"), policy("c"))

    edit(path, policy("d"), policy("a", active=False), policy("e"), deletes=[("AccessPolicy", "b")])

    assert items_in(path) == [provider(), policy("a", active=False), policy("c"), policy("d"), policy("e")]


def test_the_file_is_written_for_people(path: Path) -> None:
    edit(path, {"resourceType": "AccessPolicy", "id": "a", "engine": "allow", "description": "für alle"})

    assert path.read_text(encoding="utf-8") == (
        '[\n  {\n    "resourceType": "AccessPolicy",\n    "id": "a",\n    "engine": "allow",\n'
        '    "description": "für alle"\n  }\n]\n'
    )


def test_items_that_are_not_touched_keep_their_members_in_order_and_meta(path: Path) -> None:
    untouched = {"id": "x", "link": [{"resourceType": "User", "id": "u"}], "meta": {"n": 1.0}, **policy("x")}
    write(path, untouched)

    edit(path, policy("a"))

    assert json.dumps(items_in(path)[0]) == json.dumps(untouched)


def test_items_that_are_no_resources_are_not_lost(path: Path) -> None:
    write(path, *NO_RESOURCES, policy("a"))

    edit(path, policy("b"), deletes=[A])

    assert items_in(path) == [*NO_RESOURCES, policy("b")]


def test_what_is_written_as_it_stands_leaves_the_file_alone(path: Path) -> None:
    before = write(path, {"id": "a", **policy("a"), "meta": {}})
    written = path.stat().st_mtime_ns, path.stat().st_ino

    assert edit(path, policy("a")) == {A: "unchanged"}
    assert (path.read_bytes(), (path.stat().st_mtime_ns, path.stat().st_ino)) == (before, written)


def test_what_was_edited_can_be_read(path: Path) -> None:
    registry = FileRegistry(path, {})
    write(path, policy("a"))
    known = registry.read()

    registry.edit(Edit([policy("a", active=False)]), check=unchecked)

    assert registry.read(known).resources[0].body == policy("a", active=False)


def test_a_file_that_is_not_there_is_made(path: Path) -> None:
    assert edit(path, policy("a")) == {A: "created"}
    assert items_in(path) == [policy("a")]


@pytest.mark.parametrize(
    ("changes", "reason"), [({}, None), ({"deletes": [A]}, NotStored), ({"expected": {A: "*"}}, Conflict)]
)
def test_a_file_that_is_not_there_is_made_for_no_other_edit(
    path: Path, changes: dict[str, Any], reason: type[Exception] | None
) -> None:
    if reason is None:
        edit(path, **changes)
    else:
        with pytest.raises(reason):
            edit(path, **changes)

    assert not path.exists()


def test_a_folder_that_somebody_keeps_locked_is_named(path: Path) -> None:
    before = write(path, policy("a"))
    registry = FileRegistry(path, {}, wait=0)

    with locked(path.parent), pytest.raises(Rejected, match=r"registry\.json: cannot be written: another process has"):
        registry.edit(Edit([policy("b")]), check=lambda before, after: None)

    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "registry.json"

    with pytest.raises(Rejected) as caught:
        edit(path, policy("a"))

    reason = f"cannot be written: there is no folder {path.parent}"
    assert caught.value.issues == (Issue(str(path), "", reason),)


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b'[{"a": 1, "a": 2}]', b"\xff", b"\xef\xbb\xbf[]"])
def test_a_file_that_is_no_array_of_json_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(Rejected, match=r"registry\.json"):
        edit(path, policy("a"))

    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_what_is_no_file_is_refused(path: Path) -> None:
    path.mkdir()

    with pytest.raises(Rejected, match="is not a file"):
        edit(path, policy("a"))


@pytest.mark.parametrize(
    ("bodies", "changes", "reason"),
    [
        ([policy("b"), policy("a b")], {}, Rejected),
        ([policy("b"), policy("b")], {}, Rejected),
        ([policy("b"), provider(client={"secret": MASK})], {}, Rejected),
        ([policy("b", description="x" * 1024 * 1024)], {}, Rejected),
        ([policy("b")], {"deletes": [("AccessPolicy", "z")]}, NotStored),
        ([policy("b")], {"expected": {A: "x"}}, Conflict),
        ([policy("b")], {"check": refuse}, Rejected),
    ],
    ids=range(7),
)
def test_what_is_refused_changes_nothing_and_leaves_nothing_behind(
    path: Path, bodies: list[Any], changes: dict[str, Any], reason: type[Exception]
) -> None:
    before = write(path, policy("a"))

    with pytest.raises(reason):
        edit(path, *bodies, **changes)

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_body_that_nests_too_deeply_for_an_array_is_refused_by_name(path: Path) -> None:
    deep: object = 1
    for _ in range(63):
        deep = [deep]

    with pytest.raises(Rejected, match="AccessPolicy/a: is JSON nested too deeply"):
        edit(path, policy("a", matcho=deep))


def test_a_file_that_would_become_too_large_is_refused(path: Path) -> None:
    bodies = [policy(str(number), description="x" * 1_000_000) for number in range(17)]

    with pytest.raises(Rejected, match="must not be larger than 16 MiB"):
        edit(path, *bodies)

    assert not path.exists()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    before = write(path, policy("a"))

    with pytest.raises(Rejected, match="cannot be written: File name too long"):
        edit(path, policy("b"))

    assert path.read_bytes() == before


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "resources.json", tmp_path / "registry.json"
    write(target, policy("a"))
    link.symlink_to(Path("real") / "resources.json")

    edit(link, policy("b"))

    assert link.is_symlink()
    assert items_in(target) == [policy("a"), policy("b")]
    assert [file.name for file in target.parent.iterdir()] == ["resources.json"]


def test_a_link_to_nothing_yet_makes_its_target(tmp_path: Path) -> None:
    target, link = tmp_path / "resources.json", tmp_path / "registry.json"
    link.symlink_to(target.name)

    edit(link, policy("a"))

    assert link.is_symlink()
    assert items_in(target) == [policy("a")]


def test_editors_at_once_lose_nothing(path: Path) -> None:
    count, turns = 4, 15
    start = threading.Barrier(count)

    def work(number: int) -> None:
        start.wait(10)
        for turn in range(turns):
            edit(path, policy(f"{number}-{turn}"))

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(work, range(count)))

    assert len(items_in(path)) == count * turns


def test_readers_never_see_half_a_file(path: Path) -> None:
    registry = FileRegistry(path, {})
    edit(path, policy("0"), policy("b", description="x" * 100_000))
    is_done = threading.Event()

    def change() -> None:
        for turn in range(50):
            edit(path, policy(str(turn + 1)), deletes=[("AccessPolicy", str(turn))])
        is_done.set()

    with ThreadPoolExecutor(1) as threads:
        changing = threads.submit(change)
        counts = {len(registry.read().resources)}
        while not is_done.is_set() and not changing.done():
            counts.add(len(registry.read().resources))
        changing.result(30)

    assert counts == {2}


def test_a_resource_that_is_there_twice_is_mended_by_writing_it(path: Path) -> None:
    write(path, policy("a"), policy("b"), policy("a", active=False))

    assert edit(path, policy("a")) == {A: "updated"}
    assert items_in(path) == [policy("a"), policy("b")]


def test_a_resource_that_is_there_twice_is_mended_by_deleting_it(path: Path) -> None:
    write(path, policy("a"), policy("b"), policy("a", active=False))

    edit(path, deletes=[A])

    assert items_in(path) == [policy("b")]
