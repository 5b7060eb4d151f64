"""Which files references to secrets may lead to."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from .secret_places import HUSH, read, written

MakeSwap = Callable[[Callable[[], object]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file beside the folder."""
    return written(tmp_path / "outside", HUSH)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> MakeSwap:
    """Has something done once, just when it was found where a path leads."""

    def make(swap: Callable[[], object]) -> None:
        left, real_path = [swap], os.path.realpath

        def found(path: str) -> str:
            real = real_path(path)
            if left:
                left.pop()()
            return real

        monkeypatch.setattr(os.path, "realpath", found)

    return make


# ---- where a file may be


def test_a_file_in_a_folder_below_is_read(folder: Path) -> None:
    (folder / "idp" / "clinic").mkdir(parents=True)

    assert read(written(folder / "idp" / "clinic" / "secret", HUSH), folder).text == HUSH


def test_a_file_in_any_of_the_folders_is_read(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "others").mkdir()

    assert read(written(folder / "secret", HUSH), tmp_path / "others", folder).text == HUSH


@pytest.mark.parametrize(
    "path",
    ["{folder}/../outside", "{folder}/./../secrets/../outside", "{outside}", "/etc/passwd", "/dev/zero"],
    ids=str,
)
def test_a_file_outside_of_the_folders_is_refused(folder: Path, outside: Path, path: str) -> None:
    reading = read(path.format(folder=folder, outside=outside), folder)

    assert (reading.text, reading.is_absent) == (None, False)
    assert "is in none of the folders of FOREIGN_TOKEN_SECRET_DIRS" in reading.fault


def test_a_folder_that_only_begins_alike_is_another(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "secrets-of-others").mkdir()

    reading = read(written(tmp_path / "secrets-of-others" / "secret", HUSH), folder)

    assert (reading.text, reading.is_absent) == (None, False)


def test_nobody_learns_whether_there_is_a_file_outside(folder: Path, outside: Path) -> None:
    there, absent = read(outside, folder), read(f"{outside}-not", folder)

    assert there.fault.replace(str(outside), "") == absent.fault.replace(f"{outside}-not", "")
    assert (there.is_absent, absent.is_absent) == (False, False)


def test_without_a_folder_no_file_may_be_named(outside: Path) -> None:
    assert read(outside).text is None


def test_a_dotted_path_that_ends_within_is_read(folder: Path) -> None:
    written(folder / "secret", HUSH)

    assert read(f"{folder}/../secrets/./secret", folder).text == HUSH


# ---- what Kubernetes mounts for the pod


@pytest.fixture
def pod_token(folder: Path) -> Path:
    """A token where Kubernetes puts that of the service account, links and all."""
    account = folder / "kubernetes.io" / "serviceaccount"
    (account / "..1").mkdir(parents=True)
    written(account / "..1" / "token", HUSH)
    (account / "..data").symlink_to("..1")
    (account / "token").symlink_to("..data/token")
    return account / "token"


@pytest.mark.parametrize("given", [".", ".."], ids=["the folder", "one above"])
def test_the_pods_own_credential_is_refused(folder: Path, pod_token: Path, given: str) -> None:
    (folder / "mine").symlink_to(pod_token)

    for path in (pod_token, folder / "mine"):
        reading = read(path, folder / given)

        assert (reading.text, reading.is_absent) == (None, False)
        assert "is below a folder kubernetes.io, where the pod's own credential is" in reading.fault


@pytest.mark.parametrize("named", ["kubernetes.io", "kubernetes.io/serviceaccount"])
def test_the_pods_own_credential_is_read_where_its_folder_is_named(folder: Path, pod_token: Path, named: str) -> None:
    assert read(pod_token, folder, folder / named).text == HUSH


# ---- links


def test_a_link_within_the_folders_is_followed(folder: Path) -> None:
    (folder / "link").symlink_to(written(folder / "secret", HUSH))

    assert read(folder / "link", folder).text == HUSH


def test_a_folder_may_be_named_by_a_link_to_it(tmp_path: Path, folder: Path) -> None:
    written(folder / "secret", HUSH)
    (tmp_path / "run").symlink_to(folder)

    assert read(tmp_path / "run" / "secret", tmp_path / "run").text == HUSH
    assert read(tmp_path / "run" / "secret", folder).text == HUSH
    assert read(folder / "secret", tmp_path / "run").text == HUSH


def test_a_link_that_leads_out_is_refused(folder: Path, outside: Path) -> None:
    (folder / "link").symlink_to(outside)

    assert "links followed" in read(folder / "link", folder).fault


def test_a_folder_that_is_a_link_out_is_refused(tmp_path: Path, folder: Path, outside: Path) -> None:
    (folder / "inner").symlink_to(tmp_path)

    assert (read(folder / "inner" / outside.name, folder).text) is None


def test_a_link_to_itself_is_no_secret(folder: Path) -> None:
    (folder / "loop").symlink_to(folder / "loop")

    assert read(folder / "loop", folder).text is None


def test_a_file_that_is_swapped_for_a_link_out_is_not_followed(
    folder: Path, outside: Path, meanwhile: MakeSwap
) -> None:
    secret = written(folder / "secret", "before")

    def swap() -> None:
        secret.unlink()
        secret.symlink_to(outside)

    meanwhile(swap)

    reading = read(secret, folder)

    assert (reading.text, "links followed" in reading.fault) == (None, True)


def test_a_folder_that_is_swapped_for_a_link_out_is_not_followed(
    tmp_path: Path, folder: Path, meanwhile: MakeSwap
) -> None:
    (folder / "inner").mkdir()
    secret = written(folder / "inner" / "secret", "before")
    (tmp_path / "evil").mkdir()
    written(tmp_path / "evil" / "secret", HUSH)

    def swap() -> None:
        (folder / "inner").rename(folder / "away")
        (folder / "inner").symlink_to(tmp_path / "evil")

    meanwhile(swap)

    assert read(secret, folder).text is None


def test_a_switch_of_links_while_it_is_read_is_no_absence(folder: Path, meanwhile: MakeSwap) -> None:
    for version in ("1", "2"):
        (folder / version).mkdir()
        written(folder / version / "secret", f"secret {version}")
    (folder / "..data").symlink_to("1")
    (folder / "secret").symlink_to("..data/secret")

    def switch() -> None:
        (folder / "..new").symlink_to("2")
        (folder / "..new").replace(folder / "..data")
        (folder / "1" / "secret").unlink()
        (folder / "1").rmdir()

    meanwhile(switch)

    assert read(folder / "secret", folder).text == "secret 2"


# ---- what is no regular file


def test_a_file_that_is_not_there_is_absent(folder: Path) -> None:
    reading = read(folder / "secret", folder)

    assert (reading.text, reading.is_absent) == (None, True)
    assert reading.fault == f"the file {folder}/secret cannot be read: No such file or directory"


def test_nor_is_one_whose_folder_is_not_there_yet(tmp_path: Path) -> None:
    assert read(tmp_path / "mounted" / "secret", tmp_path / "mounted").is_absent


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_absent(folder: Path) -> None:
    written(folder / "secret", HUSH).chmod(0)

    reading = read(folder / "secret", folder)

    assert (reading.text, reading.is_absent, "Permission denied" in reading.fault) == (None, True, True)


def test_a_folder_whose_names_may_not_be_listed_will_do(folder: Path) -> None:
    written(folder / "secret", HUSH)
    folder.chmod(0o311)

    assert read(folder / "secret", folder).text == HUSH


def test_a_folder_is_no_secret(folder: Path) -> None:
    (folder / "inner").mkdir()

    assert read(folder / "inner", folder).fault.endswith("is not a regular file")
    assert read(folder, folder).fault.endswith("is a folder")


def test_a_pipe_is_no_secret_and_nobody_waits_for_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe")

    assert read(folder / "pipe", folder).fault.endswith("is not a regular file")


def test_a_socket_is_no_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")

        assert read(folder / "socket", folder).text is None


def test_a_device_is_no_secret() -> None:
    assert read("/dev/zero", Path("/dev")).fault.endswith("is not a regular file")


def opened() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_every_file_that_is_opened_is_closed(folder: Path) -> None:
    (folder / "inner").mkdir()
    os.mkfifo(folder / "inner" / "pipe")
    written(folder / "inner" / "secret", HUSH)
    before = opened()

    for name in ("inner/secret", "inner/pipe", "inner/absent", "absent/secret", "inner", "."):
        read(folder / name, folder)

    assert opened() == before


def test_where_files_cannot_be_opened_step_by_step_none_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder / "secret", HUSH)
    monkeypatch.setattr(os, "supports_dir_fd", frozenset())

    assert "cannot be read safely on this system" in read(folder / "secret", folder).fault
