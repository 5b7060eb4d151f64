"""What commands print: tables and YAML for people, JSON for programs, and no control character of what is stored."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO
from typing import Any, Final

import click

from ..diagnosis.findings import Mark
from ..documents import write_yaml
from ..errors import Issue
from ..printable import printable
from ..registry.resources import Key

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

COLOURS: Final[Mapping[Mark, str]] = {
    "ok": "green",
    "warning": "yellow",
    "failed": "red",
    "skipped": "bright_black",
}
"""What the mark of a finding looks like on a terminal."""

_UNBOUNDED = 1_000_000
# Columns of a line that is not printed on a terminal, so that no value is broken in two.


def in_json(value: object) -> str:
    """`value` as JSON for people, on one line."""
    return json.dumps(value, ensure_ascii=False)


def print_json(value: object) -> None:
    """`value` as JSON in ASCII, which every terminal and every encoding can take."""
    click.echo(json.dumps(value, indent=2))


def print_outcomes(outcomes: Mapping[Key, str], as_json: bool) -> None:
    """What became of each resource."""
    if as_json:
        print_json([outcome_of(key, outcome) for key, outcome in outcomes.items()])
    else:
        print_lines([f"{outcome} {'/'.join(key)}" for key, outcome in outcomes.items()])


def outcome_of(key: Key, outcome: str) -> dict[str, str]:
    """What became of one, for programs."""
    type_, id_ = key
    return {"resourceType": type_, "id": id_, "outcome": outcome}


def print_yaml(documents: Sequence[object]) -> None:
    """`documents` as one YAML stream: byte for byte where it is piped, printable on a terminal."""
    text = "---\n".join(map(write_yaml, documents))
    if sys.stdout.isatty():
        print_lines(text.splitlines())
    else:
        click.echo(text.encode(), nl=False)


def print_resource(body: Mapping[str, object], as_json: bool) -> None:
    """One resource, whole."""
    if as_json:
        print_json(body)
    else:
        print_yaml([body])


def print_lines(lines: Sequence[str]) -> None:
    """`lines`, made printable."""
    for line in lines:
        _echo(printable(line))


def entry(label: str, text: str, indent: int) -> list[str]:
    """`text` beside its label, or below it where a terminal is too narrow for both.

    :param indent: columns before `text` where it stands below.
    """
    line = printable(f"{label} {text}")
    if not sys.stdout.isatty() or len(line) <= shutil.get_terminal_size().columns:
        return [line]
    return [printable(label).rstrip(), *wrapped(text, " " * indent)]


def wrapped(text: str, before: str) -> list[str]:
    """`text` after what stands before it, broken between words where a terminal is narrower."""
    line = printable(text)
    if not sys.stdout.isatty():
        return [before + line]
    return textwrap.wrap(
        line,
        shutil.get_terminal_size().columns,
        initial_indent=before,
        subsequent_indent=" " * len(before),
        # An address that does not fit stays whole, for whoever copies it.
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table: as wide as the terminal, where values are broken rather than cut; elsewhere plain, a row a line."""
    # Commands alone need these, and every worker of a server imports this module.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False)
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    console = Console(
        file=StringIO(),
        force_terminal=is_terminal,
        color_system="auto" if is_terminal else None,
        width=shutil.get_terminal_size().columns if is_terminal else _UNBOUNDED,
    )
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        if line.strip():
            _echo(line.rstrip())


def print_note(text: str) -> None:
    """A remark beside what is printed, on stderr."""
    click.echo(printable(text), err=True)


def print_warnings(warnings: Iterable[Issue]) -> None:
    """What is probably not meant, a line each, on stderr."""
    for issue in warnings:
        print_note(f"warning: {issue}")


def _echo(line: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(line.encode(encoding, "backslashreplace").decode(encoding))
