from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from flask_foreign_token.sealing import BrokenSeal, Seal

SECRET = b"a secret that all workers know, 32"
VALUE = {"keys": [{"kid": "one", "n": 3.5, "é": None}], "active": True}


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object]]:
        return Path.touch, (self.path,)


def test_what_was_sealed_is_read() -> None:
    assert Seal(SECRET).loads(Seal(SECRET).dumps(VALUE)) == VALUE


def test_nothing_is_nothing() -> None:
    assert Seal(SECRET).loads(None) is None


def test_each_changed_bit_breaks_the_seal() -> None:
    seal = Seal(SECRET)
    sealed = seal.dumps(VALUE)

    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(BrokenSeal):
            seal.loads(bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33])
def test_what_is_cut_off_is_not_read(length: int) -> None:
    seal = Seal(SECRET)

    with pytest.raises(BrokenSeal):
        seal.loads(seal.dumps(VALUE)[:length])


def test_another_secret_reads_nothing() -> None:
    with pytest.raises(BrokenSeal):
        Seal(SECRET + b"!").loads(Seal(SECRET).dumps(VALUE))


def test_json_without_a_seal_is_not_read() -> None:
    with pytest.raises(BrokenSeal):
        Seal(SECRET).loads(b'{"active": true, "padding": "is longer than a seal would be"}')


def test_what_is_no_bytes_is_not_read() -> None:
    with pytest.raises(BrokenSeal):
        Seal(SECRET).loads("a text")  # type: ignore[arg-type]


@pytest.mark.parametrize("before", [b"", b"!"], ids=["bare", "as cachelib writes it"])
def test_nothing_is_unpickled(tmp_path: Path, before: bytes) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "went off"))
    with pytest.raises(BrokenSeal):
        Seal(SECRET).loads(before + bomb)

    assert not (tmp_path / "went off").exists()


def test_a_name_is_the_same_for_who_holds_the_secret_alone() -> None:
    assert Seal(SECRET).name_of("ann") == Seal(SECRET).name_of("ann")
    assert Seal(SECRET).name_of("ann") != Seal(SECRET).name_of("bob")
    assert Seal(SECRET).name_of("ann") != Seal(SECRET + b"!").name_of("ann")
