"""What a command asks whoever types it, on a terminal; the questions are on stderr, beside what is printed."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from ..printable import printable
from .failures import Failure


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


def confirmed(question: str) -> bool:
    """Whether the answer is yes; it is no unless somebody says so, also where there is none."""
    try:
        return click.confirm(printable(question), err=True)
    except click.Abort:
        _end_line()
        return False


def answer(question: str, fault: Callable[[str], str], *, otherwise: str) -> str:
    """What somebody types, without blanks around it; asked again while it is nothing, or not right.

    :param fault: what is wrong with an answer; empty: nothing.
    :param otherwise: what to say where there is none.
    :raises Failure: there is none.
    """

    def checked(text: str) -> str:
        text = text.strip()
        if reason := fault(text):
            raise click.UsageError(printable(reason))
        return text

    try:
        typed: str = click.prompt(printable(question), value_proc=checked, err=True)
    except click.Abort:
        _end_line()
        raise Failure(otherwise) from None
    return typed


def _end_line() -> None:
    """Behind the question stands what ended it, and no answer."""
    click.echo(err=True)
