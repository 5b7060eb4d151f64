"""A worker that is killed while it makes a user leaves the whole user behind, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import urllib3

from flask_foreign_token.testing import Issuer

from .databases import counts
from .racing import ask_all, racing, token_of, trusted
from .racing_app import MOMENTS, ORDER, TABLES
from .repeating import TIMES


def test_a_killed_worker_leaves_no_half_of_a_user(tmp_path: Path, own_issuer: Issuer, database: str) -> None:
    log: list[str] = []
    order = tmp_path / ORDER
    arguments = ["--workers", "2"]
    moments = MOMENTS * TIMES
    with racing(tmp_path, trusted(own_issuer), *arguments, database=database, model="own", log=log) as address:
        ask_all(address, [token_of(own_issuer, "0")])
        for number, moment in enumerate(moments, start=1):
            tokens = [token_of(own_issuer, f"{number}") for _ in range(3)]
            order.write_text(moment)
            with pytest.raises(urllib3.exceptions.ProtocolError):
                ask_all(address, tokens[:1])
            assert not order.exists()
            left = counts(database, TABLES["own"])

            found = ask_all(address, tokens)

            before = number + 1 if moment == "after COMMIT" else number
            assert left == (before, before), moment
            assert {body["email"] for body in found} == {f"{number}@example.com"}
            assert len({body["user"] for body in found}) == 1
            assert counts(database, TABLES["own"]) == (number + 1, number + 1)

    assert sum("SIGKILL" in line for line in log) == len(moments)
