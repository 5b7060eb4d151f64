"""How a command fails: lines on stderr that say why, status 1, and no traceback for what an operator can mend."""

from __future__ import annotations

import errno
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from ..errors import ConfigError, Conflict, Refusal, Rejected
from ..printable import printable

NOTHING_CHANGED = "nothing was changed."


class Failure(click.ClickException):
    """What ends a command.

    :param lines: what is wrong, a line each; made printable here.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(printable, lines)))


class Commands(AppGroup):
    """A group under which everything that an operator can mend ends as a :class:`Failure`, and every mistake as 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.exit_code = Failure.exit_code  # type: ignore[misc]  # whoever shows it asks the instance
            raise
        except (Rejected, Refusal, Conflict, ConfigError, SQLAlchemyError, OSError) as error:
            # Who closes the pipe has read enough; click knows what to do.
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            raise Failure(*reasons(error)) from None


def reasons(error: Exception) -> list[str]:
    """What is wrong, a line each; no parameter of a statement is in it."""
    match error:
        case Rejected():
            return [str(issue) for issue in error.issues]
        case Refusal():
            return [_reason_of_refusal(error)]
        case SQLAlchemyError():
            return [f"the database cannot be used: {_reason_of_database(error)}"]
        case OSError():
            return [": ".join(str(part) for part in (error.filename, error.strerror or type(error).__name__) if part)]
        case _:
            return [str(error)]


def _reason_of_refusal(refusal: Refusal) -> str:
    if refusal.hint:
        return refusal.hint
    text = refusal.description or type(refusal).__name__
    return f"{text}: {_reason_of_database(refusal.__cause__)}" if refusal.__cause__ else text


def _reason_of_database(error: BaseException) -> str:
    """The driver's own words where it could not do its work at all; what else it says may quote what is stored."""
    if isinstance(error, OperationalError) and str(error.orig):
        return str(error.orig).splitlines()[0]
    return type(error.orig if isinstance(error, DBAPIError) else error).__name__
