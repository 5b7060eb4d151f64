"""The seam between the engine ``sql`` and the kinds of databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeAlias

from sqlalchemy import Dialect

SETTING: Final = "FOREIGN_TOKEN_SQL_URI"

Kind: TypeAlias = Literal["sqlite", "postgresql", "mariadb"]
"""The databases whose SQL is understood."""

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "sqlite": "sqlite",
        "postgresql+psycopg": "postgresql",
        "mysql+pymysql": "mariadb",
        "mariadb+pymysql": "mariadb",
    }
)
"""The drivers that are supported, as a URL names them."""

STATEMENT_TIMEOUT: Final = 2
"""Seconds after which the database gives a query up, and the policy denies."""

CONNECT_TIMEOUT: Final = 3
"""Seconds that connecting may take."""

GRACE: Final = 1
"""Seconds beyond :data:`STATEMENT_TIMEOUT` after which a server that does not answer at all is given up."""

TOO_LONG: Final = f"it takes longer than {STATEMENT_TIMEOUT} s"
"""What is said of a query that is given up."""

Value: TypeAlias = str | bool | int | float
Row: TypeAlias = Sequence[Any]


class SqlFault(Exception):
    """A query that has no answer. The text never holds a value of the request or of the database."""


class SqlUnavailable(SqlFault):
    """The database cannot be asked: it is down, not there, busy, or its role can do more than read."""


class QueryFailed(SqlFault):
    """The database refuses the query, or gives it up; the text is the kind of the fault, and nothing that a database
    says, which may be about a value."""


class UnknownTable(SqlFault):
    """The database has no table of the name that stands in the request."""


class UnusableValue(SqlFault):
    """What stands in the request is no value that every database takes for the same."""


class UnusableAnswer(SqlFault):
    """The answer is not one row with one column, true, false, a number or null."""


@contextmanager
def closed_on_failure(connection: Any) -> Iterator[None]:
    """A block that makes a new connection ready; one that it cannot be done with stays open for nobody."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


class SqlServer(Protocol):
    """How one kind of database is asked. What it raises is a :class:`SqlFault`, and nothing of its driver's."""

    marker: str
    """What stands for a parameter in the text of a statement."""
    quote: str
    """What a name is quoted with; doubled in the name itself."""

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's, which knows how to look whether a connection is alive."""

    def literal(self, sql: str) -> str:
        """`sql` as it must be written beside parameters."""

    def open(self) -> Any:
        """A new connection of the driver, on which nothing can be written.

        :raises SqlUnavailable: there is no connection, or its role can do more than read.
        """

    def rows(self, connection: Any, text: str, values: Sequence[Value]) -> Sequence[Row]:
        """The first rows that one statement gives, at most two.

        :param text: with a :attr:`marker` for each of `values`.
        :raises QueryFailed: it fails, takes longer than :data:`STATEMENT_TIMEOUT`, is not one statement, or writes.
        :raises SqlUnavailable: the connection is of no more use.
        """

    def objection(self, connection: Any, text: str, count: int) -> str | None:
        """What the database says against a statement before it knows a value or looks at a row, with the kind of the
        fault; none: nothing.

        :param count: how many parameters stand in `text`.
        """

    def end(self, connection: Any) -> None:
        """Take back what a statement leaves on a connection: a transaction, and what outlives one, as locks do.

        :raises Exception: the driver's; the connection is of no more use.
        """

    def tables(self, connection: Any) -> Iterable[str]:
        """The names of all tables and views that are known without a schema.

        :raises SqlFault: as :meth:`rows`.
        """
