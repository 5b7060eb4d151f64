"""A registry file that changes as files do: the last good state stays, and the next good one is taken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flask_foreign_token.errors import RegistryUnavailable
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.live import LiveRegistry
from flask_foreign_token.registry.registry_tables import RegistryTables

from .bodies import policy, provider
from .conftest import MakeEngine
from .looking import POLL, Place, policies


@pytest.fixture
def place(engine_of_file: MakeEngine, tables: RegistryTables) -> Place:
    engine = engine_of_file()
    tables.change.metadata.create_all(engine)
    return Place(engine, tables)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


def text(*names: str) -> str:
    return json.dumps([policy(name) for name in names])


def looked(place: Place, live: LiveRegistry) -> set[str]:
    """What is in force after the next look."""
    place.clock.now += POLL
    return policies(live)


# ---- the ways in which a file is changed


def in_place(file: Path, content: str) -> None:
    file.write_text(content)


def by_rename(file: Path, content: str) -> None:
    """As most editors do it: written beside, then moved over."""
    beside = file.with_name(f".{file.name}.swp")
    beside.write_text(content)
    beside.replace(file)


def by_rename_with_backup(file: Path, content: str) -> None:
    """As vim and emacs do it by default: what there was is moved away first."""
    file.rename(file.with_name(f"{file.name}~"))
    file.write_text(content)


def removed_and_written(file: Path, content: str) -> None:
    file.unlink()
    file.write_text(content)


WAYS: list[Callable[[Path, str], None]] = [in_place, by_rename, by_rename_with_backup, removed_and_written]


@pytest.mark.parametrize("change", WAYS)
def test_a_change_is_taken_however_it_was_made(place: Place, folder: Path, change: Callable[[Path, str], None]) -> None:
    file = folder / "registry.json"
    file.write_text(text("a"))
    live = place.live(FileRegistry(file, {}))
    before = policies(live)

    change(file, text("b"))

    assert (before, looked(place, live)) == ({"a"}, {"b"})


@pytest.mark.parametrize("change", WAYS)
def test_a_change_of_the_same_length_and_time_is_taken(
    place: Place, folder: Path, change: Callable[[Path, str], None]
) -> None:
    file = folder / "registry.json"
    file.write_text(text("a"))
    os.utime(file, (1_000_000_000, 1_000_000_000))
    live = place.live(FileRegistry(file, {}))
    policies(live)

    change(file, text("b"))
    os.utime(file, (1_000_000_000, 1_000_000_000))

    assert looked(place, live) == {"b"}


@pytest.mark.parametrize("change", WAYS)
def test_the_same_content_keeps_the_snapshot(place: Place, folder: Path, change: Callable[[Path, str], None]) -> None:
    file = folder / "registry.json"
    file.write_text(text("a"))
    live = place.live(FileRegistry(file, {}))
    before = live.current()

    change(file, text("a"))
    place.clock.now += POLL

    assert live.current() is before


# ---- what Kubernetes mounts


class Mounted:
    """A ConfigMap: names that lead through ``..data``, which is a link that is switched."""

    def __init__(self, folder: Path, content: str) -> None:
        self.folder = folder
        self.number = 0
        self.switch(content)
        self.file = folder / "registry.json"
        self.file.symlink_to("..data/registry.json")

    def switch(self, content: str) -> None:
        self.number += 1
        new = self.folder / f"..2026_{self.number}"
        new.mkdir()
        (new / "registry.json").write_text(content)
        link = self.folder / "..data_tmp"
        link.symlink_to(new.name)
        link.replace(self.folder / "..data")

    def forget_old(self) -> None:
        """What is done a moment later."""
        for old in range(1, self.number):
            gone = self.folder / f"..2026_{old}"
            if gone.exists():
                (gone / "registry.json").unlink()
                gone.rmdir()


def test_a_switch_of_the_link_is_taken_again_and_again(place: Place, folder: Path) -> None:
    mounted = Mounted(folder, text("a"))
    live = place.live(FileRegistry(mounted.file, {}))
    seen = [policies(live)]

    for name in ("b", "c", "a"):
        mounted.switch(text(name))
        mounted.forget_old()
        seen.append(looked(place, live))

    assert seen == [{"a"}, {"b"}, {"c"}, {"a"}]


def test_a_switch_to_the_same_content_keeps_the_snapshot(place: Place, folder: Path) -> None:
    mounted = Mounted(folder, text("a"))
    live = place.live(FileRegistry(mounted.file, {}))
    before = live.current()

    mounted.switch(text("a"))
    mounted.forget_old()
    place.clock.now += POLL

    assert live.current() is before


def test_a_link_that_leads_nowhere_for_a_while_leaves_in_force_what_was(place: Place, folder: Path) -> None:
    mounted = Mounted(folder, text("a"))
    live = place.live(FileRegistry(mounted.file, {}))
    policies(live)
    (folder / "..data").unlink()

    meanwhile = looked(place, live)
    mounted.switch(text("b"))

    assert (meanwhile, looked(place, live)) == ({"a"}, {"b"})


# ---- what is no registry


def half(file: Path) -> None:
    file.write_text(text("b")[:20])


def emptied(file: Path) -> None:
    file.write_text("")


def removed(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_ring_of_links(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe[\x00]\x00")


def a_resource_with_a_fault(file: Path) -> None:
    file.write_text(json.dumps([policy("b"), provider(system=7)]))


def two_that_clash(file: Path) -> None:
    file.write_text(json.dumps([policy("b"), provider("k", system="s"), provider("l", system="s")]))


BAD = [
    half,
    emptied,
    removed,
    a_folder,
    a_pipe,
    a_ring_of_links,
    no_text,
    a_resource_with_a_fault,
    two_that_clash,
]


def restored(file: Path, content: str) -> None:
    """Whatever stands in the file's place is taken away first."""
    if file.is_dir():
        file.rmdir()
    by_rename(file, content)


@pytest.mark.parametrize("spoil", BAD)
def test_what_is_no_registry_leaves_in_force_what_was_until_the_next_good_state(
    place: Place, folder: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    file = folder / "registry.json"
    file.write_text(text("a"))
    live = place.live(FileRegistry(file, {}))
    before = live.current()

    spoil(file)
    during = [looked(place, live), looked(place, live)]
    is_same = live.current() is before
    restored(file, text("c"))

    assert (during, is_same) == ([{"a"}, {"a"}], True)
    assert looked(place, live) == {"c"}
    assert [str(file) in record.getMessage() for record in caplog.records] == [True, False]
    assert caplog.messages[1] == "the registry can be used again"


@pytest.mark.parametrize("spoil", BAD)
def test_what_was_there_before_something_that_is_none_is_taken_again_as_it_was(
    place: Place, folder: Path, spoil: Callable[[Path], None]
) -> None:
    file = folder / "registry.json"
    file.write_text(text("a"))
    live = place.live(FileRegistry(file, {}))
    policies(live)
    spoil(file)
    looked(place, live)

    restored(file, text("a"))

    assert looked(place, live) == {"a"}
    assert live.state.fault is None


@pytest.mark.parametrize("spoil", BAD)
def test_a_process_that_starts_on_it_waits_for_the_next_good_state(
    place: Place, folder: Path, spoil: Callable[[Path], None]
) -> None:
    file = folder / "registry.json"
    file.write_text(text("a"))
    spoil(file)
    live = place.live(FileRegistry(file, {}))
    with pytest.raises(RegistryUnavailable):
        live.current()

    restored(file, text("c"))

    assert looked(place, live) == {"c"}


def test_a_file_that_is_written_while_it_is_read_is_read_again(place: Place, folder: Path) -> None:
    file = folder / "registry.json"
    file.write_text(text("a"))
    live = place.live(FileRegistry(file, {}))
    policies(live)
    whole = text("a", "b", "c")

    seen = []
    for length in (1, len(whole) // 2, len(whole)):
        file.write_text(whole[:length])
        seen.append(looked(place, live))

    assert seen == [{"a"}, {"a"}, {"a", "b", "c"}]
