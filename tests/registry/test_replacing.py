from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flask_foreign_token.registry.replacing import locked, replace

from ..apps import environment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.json"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_made_for_its_owner_alone(path: Path) -> None:
    replace(path, b"[]")

    assert path.read_bytes() == b"[]"
    assert mode_of(path) == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_keeps_its_mode(path: Path, mode: int) -> None:
    path.write_bytes(b"old")
    path.chmod(mode)

    replace(path, b"new")

    assert (path.read_bytes(), mode_of(path)) == (b"new", mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(path: Path) -> None:
    path.write_bytes(b"old")
    os.chown(path, 12345, 54321)

    replace(path, b"new")

    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_whoever_has_the_old_file_open_reads_it_to_its_end(path: Path) -> None:
    path.write_bytes(b"old")

    with path.open("rb") as file:
        replace(path, b"new")

        assert file.read() == b"old"


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(path: Path) -> None:
    path.mkdir()

    with pytest.raises(OSError, match="directory"):
        replace(path, b"new")

    assert list(path.parent.iterdir()) == [path]


def test_one_at_a_time_is_in_a_locked_folder(tmp_path: Path) -> None:
    inside = threading.Semaphore(1)
    start = threading.Barrier(4)

    def enter(_number: int) -> bool:
        start.wait(10)
        alone = True
        for _ in range(50):
            with locked(tmp_path):
                alone &= inside.acquire(blocking=False)
                os.sched_yield()
                inside.release()
        return alone

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(enter, range(4)))


def test_an_editor_does_not_wait_for_ever(tmp_path: Path) -> None:
    refused = pytest.raises(TimeoutError, match="another process has kept its folder locked")

    with locked(tmp_path), refused, locked(tmp_path, 0.05):
        pytest.fail("two are in it")

    with locked(tmp_path, 0):
        pass


def test_an_editor_waits_for_another_one(tmp_path: Path) -> None:
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with locked(tmp_path):
            inside.set()
            leave.wait(30)

    with ThreadPoolExecutor(1) as threads:
        staying = threads.submit(stay)
        assert inside.wait(30)
        threading.Timer(0.05, leave.set).start()
        with locked(tmp_path):
            assert leave.is_set()
        staying.result(30)


def test_a_folder_is_free_again_though_something_failed_in_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        _ = 1 / 0

    with locked(tmp_path):
        pass


def test_a_process_forked_meanwhile_does_not_keep_the_folder_locked(tmp_path: Path) -> None:
    script = f"""
import os, pathlib, signal
from flask_foreign_token.registry.replacing import locked

folder = pathlib.Path({str(tmp_path)!r})
with locked(folder):
    child = os.fork()
    if not child:
        signal.pause()
with locked(folder):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
    subprocess.run([sys.executable, "-c", script], env=environment(), timeout=30, check=True)
