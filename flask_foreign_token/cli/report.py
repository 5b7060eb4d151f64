"""What `doctor` has found: line by line for people, or all at the end as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Final

import click

from ..diagnosis.findings import Finding, Mark
from .failures import Failure
from .output import COLOURS, entry, print_json, print_lines, wrapped
from .progress import progress

MOST: Final = 20
"""Findings of one check that people are shown, where there may be thousands."""

_WIDTH = 28
_INDENT = 2 + 8 + 1
_REMEDY = " " * _INDENT + "> "


class Report:
    """Prints what is found.

    :param fatal: the marks that end the command with status 1.
    """

    def __init__(self, as_json: bool, fatal: tuple[Mark, ...] = ("failed",)) -> None:
        self._as_json = as_json
        self._fatal = fatal
        self._entries: list[dict[str, object]] = []
        self._counts: Counter[Mark] = Counter()
        self._given: set[str] = set()
        self._commands: set[tuple[str, ...]] = set()

    def section(self, provider_id: str | None, findings: Iterable[Finding], *, heading: str | None = None) -> None:
        """Findings about a provider; none: about what is under `heading`, or without one about all.

        What they wait for is told while they are found.
        """
        if heading is None and provider_id is not None:
            heading = f"IdentityProvider/{provider_id}"
        if not self._as_json and heading is not None:
            print_lines([heading])
        for finding in _awaited(findings, heading):
            self._note(provider_id, finding)
            if not self._as_json:
                self._print(finding)
                self._print_remedy(finding)

    def several(self, findings: Sequence[Finding]) -> None:
        """Findings of one check about all, of which there may be thousands: the first ones, and one remedy for all."""
        for finding in findings:
            self._note(None, finding)
        if self._as_json or not findings:
            return
        for finding in findings[:MOST]:
            self._print(finding)
        if len(findings) > MOST:
            print_lines([f"{' ' * _INDENT}and {len(findings) - MOST} more, which --json names"])
        self._print_remedy(findings[0])

    def end(self) -> None:
        """Close the report, and with status 1 the command, if something is fatal."""
        if self._as_json:
            print_json(self._entries)
        else:
            counts = [f"{self._counts[mark]} {mark}" for mark in COLOURS if self._counts[mark]]
            print_lines([", ".join(counts)])
        if any(self._counts[mark] for mark in self._fatal):
            click.get_current_context().exit(Failure.exit_code)

    def _note(self, provider_id: str | None, finding: Finding) -> None:
        self._counts[finding.mark] += 1
        self._entries.append({"provider": provider_id, **asdict(finding)})

    def _print(self, finding: Finding) -> None:
        first, *rest = entry(f"  {finding.mark:<8} {finding.check:<{_WIDTH}}", finding.found, _INDENT)
        click.secho(first[:_INDENT], fg=COLOURS[finding.mark], nl=False)
        print_lines([first[_INDENT:], *rest])

    def _print_remedy(self, finding: Finding) -> None:
        """What mends it, but for what was said before; a command comes with all that leads to it."""
        command = () if finding.command in self._commands else finding.command
        lines = [line for line in finding.remedy if command or line not in self._given]
        for line in lines:
            print_lines(wrapped(line, _REMEDY))
        if len(lines) < len(finding.remedy) or command != finding.command:
            print_lines([f"{_REMEDY}({'and ' if lines else ''}the remedy is the one above)"])
        if command:
            # Without an indent, which the end of a here-document must not have.
            print_lines(["", *command, ""])
        self._given.update(finding.remedy)
        self._commands.add(finding.command)


def _awaited(findings: Iterable[Finding], heading: str | None) -> Iterator[Finding]:
    """`findings`, while each of which is looked for it is told about what."""
    found = iter(findings)
    while True:
        with progress(f"waiting for {heading or 'the app'}"):
            finding = next(found, None)
        if finding is None:
            return
        yield finding
