"""The engine ``sql`` on MariaDB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import pymysql  # type: ignore[import-untyped]
from sqlalchemy import URL
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql

from .server import (
    CONNECT_TIMEOUT,
    GRACE,
    STATEMENT_TIMEOUT,
    TOO_LONG,
    QueryFailed,
    Row,
    SqlUnavailable,
    Value,
    closed_on_failure,
)

_SESSION: Final = (
    "SET SESSION TRANSACTION READ ONLY",
    f"SET SESSION max_statement_time = {STATEMENT_TIMEOUT}, SESSION sql_select_limit = 2",
    # In others a backslash is no escape, or double quotes are for names.
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
)

_TABLES: Final = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() LIMIT 1000000"

_HARMLESS: Final = frozenset({"USAGE", "SELECT", "SHOW VIEW"})

_GRANT: Final = re.compile(r"GRANT (?P<privileges>.+?) ON .+ TO (?P<rest>.+)", re.DOTALL)
_GRANTED_ROLE: Final = re.compile(r"GRANT (?P<role>`(?:[^`]|``)+`) TO [^ ]+")
_COLUMNS: Final = re.compile(r" \((?:`(?:[^`]|``)+`(?:, )?)+\)")

_LOST: Final = frozenset({1053, 1927, 2006, 2013, 2014, 2055})
"""Numbers of errors after which a connection is of no more use."""

_END: Final = "DO RELEASE_ALL_LOCKS(), LAST_INSERT_ID(0)"
"""Takes back what a function can set for the session."""


class MariaDB:
    """MariaDB by PyMySQL. It is the server that prepares a statement, and takes one; each is a transaction of its own
    that only reads."""

    marker = "?"
    quote = "`"

    def __init__(self, url: URL) -> None:
        self.dialect = MySQLDialect_pymysql(dbapi=pymysql)
        _, self._options = self.dialect.create_connect_args(url)
        # Whatever the URL says.
        self._options.update(
            charset="utf8mb4",
            client_flag=0,
            init_command=None,
            local_infile=False,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=STATEMENT_TIMEOUT + GRACE,
            write_timeout=STATEMENT_TIMEOUT + GRACE,
        )

    def literal(self, sql: str) -> str:
        return sql

    def open(self) -> Any:
        try:
            connection = pymysql.connect(**self._options)
        except (pymysql.Error, OSError, TypeError, ValueError) as error:
            # The latter two where it does not take what the URL says. Its text names the host and the role.
            raise SqlUnavailable(f"there is no connection: {_name(error)}") from None
        with closed_on_failure(connection):
            try:
                _set_up(connection)
            except pymysql.Error as error:
                raise SqlUnavailable(f"the connection cannot be made to only read: {_name(error)}") from None
        return connection

    def rows(self, connection: Any, text: str, values: Sequence[Value]) -> Sequence[Row]:
        using = f" USING {', '.join(['%s'] * len(values))}" if values else ""
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"EXECUTE IMMEDIATE %s{using}", (text, *values))
                rows: Sequence[Row] = cursor.fetchmany(2)
                warnings = cursor.warning_count
        except pymysql.Error as error:
            if not connection.open or _number(error) in _LOST:
                raise SqlUnavailable(f"the connection is lost: {_name(error)}") from None
            raise QueryFailed(_reason(error)) from None
        if warnings:
            # It takes 'alice' = 0 for true, and says so by a warning.
            raise QueryFailed("it has warnings, such as for a text that is compared with a number; see SHOW WARNINGS")
        return rows

    def objection(self, connection: Any, text: str, count: int) -> str | None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("PREPARE objection FROM %s", (text,))
                cursor.execute("DEALLOCATE PREPARE objection")
        except pymysql.Error as error:
            return f"{_name(error)}: {error.args[-1]}"
        return None

    def end(self, connection: Any) -> None:
        _ask(connection, _END)

    def tables(self, connection: Any) -> Iterable[str]:
        try:
            return [name for (name,) in _ask(connection, _TABLES)]
        except pymysql.Error as error:
            raise SqlUnavailable(f"its tables cannot be listed: {_name(error)}") from None


def _set_up(connection: Any) -> None:
    ((version,),) = _ask(connection, "SELECT VERSION()")
    if "mariadb" not in version.lower():
        raise SqlUnavailable("the server is not MariaDB")
    if reason := _more_than_reading(connection):
        raise SqlUnavailable(f"the role {reason}")
    for command in _SESSION:
        _ask(connection, command)


def _more_than_reading(connection: Any) -> str | None:
    ((before,),) = _ask(connection, "SELECT CURRENT_ROLE()")
    # Without FOR, those to PUBLIC are among them.
    grants = [grant for (grant,) in _ask(connection, "SHOW GRANTS")]
    for role in [found["role"] for found in map(_GRANTED_ROLE.match, grants) if found]:
        # What a role can do is shown to those alone who have taken it.
        _ask(connection, f"SET ROLE {role}")
        grants += [grant for (grant,) in _ask(connection, "SHOW GRANTS")]
    _ask(connection, "SET ROLE NONE" if before is None else f"SET ROLE `{before.replace('`', '``')}`")
    return next((reason for reason in map(_reason_against, grants) if reason), None)


def _reason_against(grant: str) -> str | None:
    """Why the role of a grant can do more than read; none if it cannot."""
    if " WITH GRANT OPTION" in grant or " WITH ADMIN OPTION" in grant:
        return "can grant what it has to others"
    if _GRANTED_ROLE.fullmatch(grant) or grant.startswith("SET DEFAULT ROLE "):
        return None
    found = _GRANT.fullmatch(grant)
    if found is None:
        return "has a grant that is none of USAGE, SELECT and SHOW VIEW"
    privileges = _COLUMNS.sub("", found["privileges"]).split(", ")
    further = [privilege for privilege in privileges if privilege not in _HARMLESS]
    return f"has {', '.join(further)}, which is more than SELECT" if further else None


def _ask(connection: Any, command: str) -> Sequence[Row]:
    with connection.cursor() as cursor:
        cursor.execute(command)
        rows: Sequence[Row] = cursor.fetchall()
    return rows


def _reason(error: pymysql.Error) -> str:
    return TOO_LONG if _number(error) == 1969 else _name(error)


def _name(error: Exception) -> str:
    number = _number(error)
    return type(error).__name__ if number is None else f"{type(error).__name__} {number}"


def _number(error: Exception) -> int | None:
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None
