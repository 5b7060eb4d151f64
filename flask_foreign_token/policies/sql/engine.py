"""The engine ``sql``: a query that the database answers with yes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from ...errors import Issue, Rejected
from ..condition import Condition, Decide, Mismatch
from ..engine import EngineContext, refuse_unknown
from ..equality import ARRAY
from ..paths import MISSING, look_up
from ..request import RequestView
from .database import Database
from .server import SETTING, Row, UnusableAnswer
from .statement import Statement, parse

_OFF: Final = (
    f"the engine sql is off; set {SETTING} to the database to ask, as a role that can only read, such as "
    "postgresql+psycopg://reader@db.example.com/app"
)

_USABLE: Final = "a text, a number or a boolean"
_YES: Final = "the database says yes"


@dataclass(frozen=True, slots=True)
class Answers(Condition):
    """The database answers `statement` with one row and one column that is true, or a number other than 0.

    :param database: what is asked, anew for every request.
    """

    statement: Statement
    database: Database = field(repr=False, compare=False)

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(placeholder.path[0] for placeholder in self.statement.placeholders)

    @property
    def needs(self) -> frozenset[str]:
        return self.reads

    def compile(self) -> Decide:
        statement, ask = self.statement, self.database.ask
        look_ups = tuple(look_up(placeholder.path) for placeholder in statement.placeholders)

        def allows(view: RequestView) -> bool:
            values = []
            for standing_there in look_ups:
                value = standing_there(view)
                if not _is_usable(value):
                    return False
                values.append(value)
            return _is_yes(ask(statement, values))

        return allows

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        values = [look_up(placeholder.path)(view) for placeholder in self.statement.placeholders]
        unusable = [
            Mismatch(placeholder.path, _USABLE, None if value is MISSING else _kind(value))
            for placeholder, value in zip(self.statement.placeholders, values, strict=True)
            if not _is_usable(value)
        ]
        if unusable:
            return list(dict.fromkeys(unusable))
        rows = self.database.ask(self.statement, values)
        return [] if _is_yes(rows) else [Mismatch((), _YES, _in_words(rows))]

    def warnings(self) -> Iterator[Issue]:
        if not self.statement.placeholders:
            yield Issue(
                "",
                "sql.query",
                "looks at nothing in the request, so that everybody gets the same answer; say "
                "{{user.id}}, {{jwt.sub}} or whatever else it depends on",
            )


class SqlEngine:
    """``{"engine": "sql", "sql": {"query": "SELECT active FROM staff WHERE id = {{user.id}}"}}``"""

    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        refuse_unknown(policy, ("sql",))
        if context.database is None:
            raise Rejected.at("engine", _OFF)
        written = policy.get("sql")
        if not isinstance(written, Mapping):
            raise Rejected.at("sql", 'the engine sql wants {"query": "SELECT …"} here')
        try:
            refuse_unknown(written, ("query",))
            return Answers(parse(written.get("query"), context.database.kind), context.database)
        except Rejected as rejected:
            raise rejected.within("", "sql") from None


def _is_usable(value: object) -> bool:
    return isinstance(value, str | int | float)


def _is_yes(rows: Sequence[Row]) -> bool:
    """:raises UnusableAnswer: they are neither a yes nor a no."""
    if not rows:
        return False
    if len(rows) > 1:
        raise UnusableAnswer("the query gives more than one row; say SELECT EXISTS (…)")
    if len(rows[0]) != 1:
        raise UnusableAnswer("the query gives more than one column; say which one decides")
    answer = rows[0][0]
    if answer is None:
        return False
    if not isinstance(answer, bool | int | float | Decimal) or math.isnan(answer):
        raise UnusableAnswer("the query gives neither a boolean nor a number nor null; say what must hold, WHERE …")
    return bool(answer)


def _in_words(rows: Sequence[Row]) -> str:
    if not rows:
        return "no row"
    return "null" if rows[0][0] is None else "false"


def _kind(value: object) -> str:
    return "null" if value is None else "an array" if isinstance(value, ARRAY) else "an object"
