from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import OperationalError

from example_app.models import Patient, make_samples

PROCESSES = 4


def make_samples_in(uri: str, start: object) -> None:
    engine = create_engine(uri)
    start.wait(30)
    make_samples(engine)
    engine.dispose()


def patients_in(uri: str) -> int:
    engine = create_engine(uri)
    with engine.connect() as connection:
        number = connection.scalar(select(func.count()).select_from(Patient))
    engine.dispose()
    return number


def test_processes_that_start_at_the_same_moment_make_the_patients_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/example.sqlite"
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(PROCESSES)
    processes = [context.Process(target=make_samples_in, args=(uri, start)) for _ in range(PROCESSES)]

    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert patients_in(uri) == 3


def test_patients_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/example.sqlite"
    engine = create_engine(uri)
    make_samples(engine)
    with engine.begin() as connection:
        connection.execute(Patient.__table__.delete().where(Patient.id == "ada"))

    make_samples(engine)

    engine.dispose()
    assert patients_in(uri) == 2


def test_a_database_that_cannot_be_had_is_not_passed_over(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/no-such-folder/example.sqlite")

    with pytest.raises(OperationalError):
        make_samples(engine)
