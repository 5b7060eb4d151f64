"""The app's own table: patients."""

from __future__ import annotations

import datetime
from contextlib import suppress

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, select
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

db = SQLAlchemy()


class Patient(db.Model):
    """Somebody who is treated here."""

    id: Mapped[str] = mapped_column(primary_key=True)
    family: Mapped[str]
    given: Mapped[str]
    gender: Mapped[str]
    birth_date: Mapped[datetime.date]

    @property
    def resource(self) -> dict[str, object]:
        """The patient as FHIR shows one."""
        return {
            "resourceType": "Patient",
            "id": self.id,
            "name": [{"family": self.family, "given": [self.given]}],
            "gender": self.gender,
            "birthDate": self.birth_date.isoformat(),
        }


def make_samples(engine: Engine) -> None:
    """Make the table and three patients unless they are there, whoever else is about to do the same."""
    with suppress(DatabaseError):
        # Between the look and the making another process may have made it. If that was not it, the select raises.
        Patient.__table__.create(engine, checkfirst=True)
    with suppress(IntegrityError), Session(engine) as session, session.begin():
        if session.scalar(select(Patient.id).limit(1)) is None:
            session.add_all(_samples())


def _samples() -> list[Patient]:
    return [
        Patient(id="ada", family="Moreau", given="Ada", gender="female", birth_date=datetime.date(1987, 3, 14)),
        Patient(id="jonas", family="Lindqvist", given="Jonas", gender="male", birth_date=datetime.date(1962, 11, 2)),
        Patient(id="noor", family="Haddad", given="Noor", gender="other", birth_date=datetime.date(2004, 7, 30)),
    ]
