"""What is made from code: tables of resources, settings and refusals, and the examples of the commands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields as dataclass_fields
from types import ModuleType
from typing import Any, ClassVar

import click
from docutils import nodes
from marshmallow import Schema, fields, missing, validate
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flask_foreign_token import errors
from flask_foreign_token.admin import refusals as admin_refusals
from flask_foreign_token.registry import fields as ours
from flask_foreign_token.registry.schemas import SCHEMAS, ResourceSchema
from flask_foreign_token.settings import PREFIX, Settings
from flask_foreign_token.users.account_body import UserSchema

Row = Sequence[str]

_KINDS: Sequence[tuple[type[fields.Field[Any]], str]] = (
    (ours.Flag, "true or false"),
    (ours.Seconds, "seconds"),
    (ours.Secret, "secret"),
    (ours.Line, "text"),
    (ours.Text, "text"),
    (ours.OneOrSeveral, "text, or list of them"),
    (ours.Items, "list"),
    (ours.Object, "object"),
    (ours.Group, "object"),
    (fields.Raw, "any JSON"),
)
"""What each class of field takes; the first that fits."""


class TableDirective(SphinxDirective):
    """A table whose cells are written in Markdown."""

    columns: ClassVar[Sequence[str]]
    widths: ClassVar[Sequence[int]]

    def table(self, rows: Iterable[Row]) -> nodes.table:
        group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in self.widths), cols=len(self.columns))
        group += nodes.thead("", self._row(self.columns))
        group += nodes.tbody("", *map(self._row, rows))
        return nodes.table("", group, classes=["colwidths-given"])

    def _row(self, cells: Row) -> nodes.row:
        return nodes.row("", *(self._entry(cell) for cell in cells))

    def _entry(self, cell: str) -> nodes.entry:
        entry = nodes.entry()
        entry += self.parse_text_to_nodes(cell)
        return entry


class ResourceTables(TableDirective):
    """``resource-tables`` TYPE: a table of the type's own attributes, and one for each object in it.

    TYPE is ``Resource`` for those that the registry's types have in common.
    """

    required_arguments = 1
    columns = ("attribute", "takes", "default", "meaning")
    widths = (24, 24, 16, 36)

    def run(self) -> list[nodes.Node]:
        type_ = self.arguments[0]
        schema = {**SCHEMAS, "Resource": ResourceSchema(), "User": UserSchema()}[type_]
        common = dict(_attributes(ResourceSchema())) if type_ in SCHEMAS else {}
        made: list[nodes.Node] = [self._table_of(schema, leave_out=common)]
        for path, inner in _groups(schema):
            made.append(nodes.rubric("", "", nodes.literal("", path)))
            made.append(self._table_of(inner))
        if later := sorted(getattr(schema, "later", ())):
            names = ", ".join(f"`{name}`" for name in later)
            made += self.parse_text_to_nodes(f"Known, and refused by this version: {names}.")
        return made

    def _table_of(self, schema: Schema, leave_out: Collection[str] = ()) -> nodes.table:
        return self.table(
            (f"`{name}`", _takes(field), _default(field), field.metadata["description"])
            for name, field in _attributes(schema)
            if name not in leave_out
        )


class SettingsTable(TableDirective):
    """``settings-table``: every setting."""

    columns = ("setting", "default", "a value that works", "meaning")
    widths = (34, 18, 18, 30)

    def run(self) -> list[nodes.Node]:
        return [self.table(self._rows())]

    def _rows(self) -> Iterator[Row]:
        for item in dataclass_fields(Settings):
            default = "none" if item.default is None else f"`{item.default!r}`"
            yield f"`{PREFIX}{item.name.upper()}`", default, f"`{item.metadata['works']}`", item.metadata["meaning"]


class RefusalsTable(TableDirective):
    """``refusals-table``: what a view's caller may get; ``refusals-table`` admin: what an operator may get besides."""

    optional_arguments = 1
    columns = ("status", "`error`", "class", "when", "`WWW-Authenticate`")
    widths = (8, 20, 22, 30, 20)

    def run(self) -> list[nodes.Node]:
        return [self.table(self._rows())]

    def _rows(self) -> Iterator[Row]:
        is_admin = self.arguments == ["admin"]
        for kind in _refusals_of(admin_refusals if is_admin else errors):
            reference = f"`{kind.__name__}`" if is_admin else f"{{class}}`~{kind.__module__}.{kind.__name__}`"
            yield str(kind.code), f"`{kind.error}`", reference, _when(kind), _challenge(kind)


def show_examples(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Let what follows a ``\\b`` in a command's help be a block of its own, in which nothing is markup."""
    shown: list[str] = []
    for line in lines:
        text = line.removeprefix("| ")
        shown += [f"{text}:", ""] if text != line and not text.startswith(" ") else [text]
    lines[:] = shown


def _refusals_of(module: ModuleType) -> list[type[errors.Refusal]]:
    """Every class of refusal that `module` makes, by status."""
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
    refusals = [kind for kind in kinds if issubclass(kind, errors.Refusal) and hasattr(kind, "error")]
    return sorted(refusals, key=lambda kind: kind.code or 0)


def _when(kind: type[errors.Refusal]) -> str:
    summary = inspect.getdoc(kind).split("\n\n")[0].replace("``", "`").replace("\n", " ")
    return re.sub(r":(\w+):`", r"{\1}`", summary)


def _challenge(kind: type[errors.Refusal]) -> str:
    if not kind.challenged:
        return "none; `Retry-After`" if kind.code in (429, 503) else "none"
    if kind.challenge_error is None:
        return "without `error`"
    return f'`error="{kind.challenge_error}"`'


def _attributes(schema: Schema) -> Iterator[tuple[str, fields.Field[Any]]]:
    """Those of one object, by the names that are written."""
    for name, field in schema.load_fields.items():
        yield field.data_key or name, field


def _groups(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """The objects in a resource that have attributes of their own: ``jwt``, ``jwt.keys[]``."""
    for name, field in _attributes(schema):
        several = isinstance(field, ours.Items)
        inner = field.inner if isinstance(field, ours.Items) else field
        if isinstance(inner, ours.Group):
            here = f"{path}{name}{'[]' if several else ''}"
            yield here, inner.schema
            yield from _groups(inner.schema, f"{here}.")


def _takes(field: fields.Field[Any]) -> str:
    if isinstance(field, ours.Items) and isinstance(field.inner, ours.Group):
        return "list of objects"
    kind = next(text for class_, text in _KINDS if isinstance(field, class_))
    checked = field.inner if isinstance(field, ours.Items) else field
    limits = [text for check in checked.validators if (text := _limit(check))]
    return "; ".join([kind, *limits])


def _limit(check: Any) -> str | None:
    if isinstance(check, validate.OneOf):
        return " | ".join(f"`{choice}`" for choice in check.choices)
    if isinstance(check, validate.Range):
        return f"{check.min:,} to {check.max:,}".replace(",", " ")
    if isinstance(check, validate.Regexp):
        return str(check.error).removeprefix("must be ")
    return None


def _default(field: fields.Field[Any]) -> str:
    if field.required:
        return "**required**"
    if field.load_default is missing:
        return "none"
    value = field.load_default() if callable(field.load_default) else field.load_default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def setup(app: Sphinx) -> dict[str, object]:
    app.add_directive("resource-tables", ResourceTables)
    app.add_directive("settings-table", SettingsTable)
    app.add_directive("refusals-table", RefusalsTable)
    app.connect("sphinx-click-process-description", show_examples)
    return {"parallel_read_safe": True}
