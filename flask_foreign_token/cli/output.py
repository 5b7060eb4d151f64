"""What commands print: tables and YAML for people, JSON for programs, and no control character of what is stored."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import click

from ..diagnosis.findings import Mark
from ..documents import write_yaml
from ..errors import Issue
from ..printable import printable
from ..registry.resources import Key

if TYPE_CHECKING:
    from rich.text import Text

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

COLOURS: Final[Mapping[Mark, str]] = {
    "ok": "green",
    "warning": "yellow",
    "failed": "red",
    "skipped": "bright_black",
}
"""What the mark of a finding looks like on a terminal."""

_NARROWEST = 12
# Columns that a shortened text has at least.

_BETWEEN = 2
# Columns between two values of a table.

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


def print_marked(mark: str, colour: str, text: str) -> None:
    """A line that begins with a mark in a colour, which terminals alone get."""
    _echo(click.style(mark, fg=colour) + printable(text))


def beside(before: str, texts: Sequence[str], between: str = "") -> str:
    """`texts` on one line behind what stands before them; on a terminal the longest lose what does not fit."""
    shown = list(map(printable, texts))
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns - len(printable(before)) - len(between) * (len(texts) - 1)
        shown = _shortened(shown, columns)
    return before + between.join(shown)


def _shortened(texts: Sequence[str], width: int) -> list[str]:
    """`texts` whose lengths are `width` together, but for those that nothing more is taken from."""
    shares = _shares(list(map(len, texts)), width)
    return [text if len(text) <= most else f"{text[: most - 1]}…" for text, most in zip(texts, shares, strict=True)]


def _shares(lengths: Sequence[int], width: int) -> list[int]:
    """How much of `width` each may have, at least what nothing more is taken from."""
    left, shares = width, [0] * len(lengths)
    # The short ones first: what they do not need is for the others.
    for count, (length, position) in enumerate(sorted((length, place) for place, length in enumerate(lengths))):
        shares[position] = max(left // (len(lengths) - count), _NARROWEST)
        left -= min(length, shares[position])
    return shares


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


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], whole: Collection[str] = ()) -> None:
    """A table: as wide as the terminal, where values are broken rather than cut; elsewhere plain, a row a line.

    A column in which there is nothing is left out.

    :param whole: headings of columns that stay in one piece on a terminal, if need be on a line that it breaks itself.
        The others are shortened then, and those for which nothing is left are left out.
    """
    # Commands alone need these, and every worker of a server imports this module.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stdout.isatty()
    columns = [
        list(map(Text, (heading, *map(printable, cells))))
        for heading, *cells in zip(headings, *rows, strict=True)
        if any(cells)
    ]
    width = shutil.get_terminal_size().columns if is_terminal else _UNBOUNDED
    if is_terminal and whole:
        columns = _fitted(columns, whole, width)
        width = max(width, width - _room_beside(columns, whole, width))
    style = {"box": box.SIMPLE_HEAD, "show_edge": False, "padding": (0, 1, 0, 0)} if is_terminal else {"box": None}
    table = Table(pad_edge=False, **style)
    for heading, *_ in columns:
        table.add_column(heading, overflow="fold")
    for row in zip(*(cells for _, *cells in columns), strict=True):
        table.add_row(*row)
    console = Console(
        file=StringIO(),
        force_terminal=is_terminal,
        color_system="auto" if is_terminal else None,
        width=width,
    )
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        if line.strip():
            _echo(line.rstrip())


def _fitted(columns: Sequence[list[Text]], whole: Collection[str], width: int) -> list[list[Text]]:
    """The columns for which there is room beside those that stay whole, shortened to it.

    :param columns: each begins with its heading.
    :param width: of all.
    """
    shown = list(columns)
    while _room_beside(shown, whole, width) < 0 and (others := _others(shown, whole)):
        shown.remove(others[-1])
    others = _others(shown, whole)
    widths = list(map(_width, others))
    least = sum(min(natural, _NARROWEST) for natural in widths)
    for column, most in zip(others, _shares(widths, _room_beside(shown, whole, width) + least), strict=True):
        for text in column:
            text.truncate(most, overflow="ellipsis")
    return shown


def _room_beside(columns: Sequence[list[Text]], whole: Collection[str], width: int) -> int:
    """What is left of a line where every column is as narrow as it may be; less than nothing: what lacks."""
    least = [_width(column) if column[0].plain in whole else min(_width(column), _NARROWEST) for column in columns]
    return width - sum(least) - _BETWEEN * (len(columns) - 1)


def _others(columns: Iterable[list[Text]], whole: Collection[str]) -> list[list[Text]]:
    return [column for column in columns if column[0].plain not in whole]


def _width(column: Iterable[Text]) -> int:
    return max(text.cell_len for text in column)


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
