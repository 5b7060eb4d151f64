"""The command that shows what would become of a request, and why."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import click
from flask import request
from flask.cli import with_appcontext

from ..credentials import MAX_HEADER
from ..journey import Guarded, Journey, follow
from ..policies.explain import Report, place_of, shown_mismatch
from ..policies.redaction import Redaction
from .current import application
from .failures import Failure
from .output import COLOURS, entry, in_json, json_option, print_json, print_lines
from .quiet import quiet

_WIDTH = 18
_NEAREST = 3
# Policies that are shown where none could have allowed the request.
_INDENT = 2 + 8 + 1


def _headers(ctx: click.Context, param: click.Parameter, values: Iterable[str]) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    for header in values:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not header.isprintable():
            raise click.BadParameter("must read 'Name: value'")
        headers.append((name.strip(), value.strip()))
    return headers


def _utf8(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """Arguments that are no UTF-8 come as texts that are none."""
    if text is not None and any("\ud800" <= character <= "\udfff" for character in text):
        raise click.BadParameter("must be UTF-8, and no half of a pair of surrogates")
    return text


@click.command("explain", short_help="Show what would become of a request, and why.")
@click.argument("method", metavar="METHOD", callback=_utf8)
@click.argument("path", metavar="PATH", callback=_utf8)
@click.option("--token", metavar="T", help="The bearer token; - reads it from standard input. None: nobody signs in.")
@click.option(
    "--header", "headers", metavar="'NAME: V'", multiple=True, callback=_headers, help="A header; repeatable."
)
@click.option(
    "--data", metavar="TEXT", callback=_utf8, help="The body; JSON unless a Content-Type is among the headers."
)
@click.option("--all", "show_all", is_flag=True, help="Show the policies too that could not allow it.")
@json_option
@with_appcontext
def explain(
    method: str,
    path: str,
    token: str | None,
    headers: list[tuple[str, str]],
    data: str | None,
    show_all: bool,
    as_json: bool,
) -> None:
    """Show what would become of a request, stage by stage with its time, and why.

    PATH may have a query. The stages: what the header holds, which introspector takes the token, each check of it,
    whose it is, which view the request is for and which guards stand before it, and what every policy says that could
    allow it: the path in the request, what the policy expects there, and what was found. Where none could, the three
    that come nearest are shown; policies that are out of service always.

    The view is not run, no user is made and nothing is stored. Keys are fetched and opaque tokens asked about as for a
    request. Tokens and secrets are not shown; what the token says is.

    A token on the command line can be seen by others on the same machine; `--token -` reads it from standard input.

    Ends with status 0 where the request is allowed, and with 1 where it is refused.

    \b
    Example:
        flask foreign-token explain GET /fhir/Patient
        flask foreign-token explain --token - GET /fhir/Patient < token.txt
        flask foreign-token explain --token "$TOKEN" POST /fhir/Patient --data '{"active": true}'
    """
    sent = _with_token(headers, _read(token))
    if not path.startswith("/"):
        raise click.UsageError("PATH begins with a slash, such as /fhir/Patient?page=2")
    if data is not None and not any(name.lower() == "content-type" for name, _ in sent):
        sent.append(("Content-Type", "application/json"))
    app = application()
    with quiet(), app.app.test_request_context(path, method=method.upper(), headers=sent, data=data):
        journey = follow(app, request._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001
    secrets = [value.partition(" ")[2].strip() for name, value in sent if name.lower() == "authorization"]
    redaction = Redaction(*secrets, app.settings.admin_client_secret)
    if as_json:
        print_json(_as_json(journey, redaction, show_all=show_all))
    else:
        _print(journey, redaction, show_all=show_all)
    if not journey.allowed:
        click.get_current_context().exit(Failure.exit_code)


def _read(token: str | None) -> str | None:
    if token != "-":  # noqa: S105 - it stands for standard input
        return token
    # No more than a header may have, and a line break.
    return sys.stdin.read(MAX_HEADER + 2).strip()


def _with_token(headers: list[tuple[str, str]], token: str | None) -> list[tuple[str, str]]:
    if token is None:
        return [*headers]
    if any(name.lower() == "authorization" for name, _ in headers):
        raise click.UsageError("--token and a header Authorization cannot stand beside each other")
    if not token or not token.isprintable():
        raise click.UsageError("--token is empty, or not one line")
    return [*headers, ("Authorization", f"Bearer {token}")]


def _print(journey: Journey, redaction: Redaction, *, show_all: bool) -> None:
    for stage in journey.stages:
        label = f"  {stage.mark:<8} {stage.name:<{_WIDTH}}"
        first, *rest = entry(label, f"{redaction.text(stage.found)} ({stage.milliseconds:.1f} ms)", _INDENT)
        click.secho(first[:_INDENT], fg=COLOURS[stage.mark], nl=False)
        print_lines([first[_INDENT:], *rest])
    for guarded in journey.guards:
        print_lines(list(_lines_of_guard(guarded, redaction, show_all=show_all)))
    print_lines([_answer(journey)])


def _lines_of_guard(guarded: Guarded, redaction: Redaction, *, show_all: bool) -> Iterator[str]:
    if guarded.explanation is None:
        return
    reports = guarded.explanation.reports
    shown = _worth_showing(guarded, show_all=show_all)
    for report in shown:
        yield from _lines_of_report(report, redaction)
    if len(shown) < len(reports):
        yield f"  and {len(reports) - len(shown)} that could not allow it; --all shows them"


def _worth_showing(guarded: Guarded, *, show_all: bool) -> list[Report]:
    """What the policies say that matter to a guard: those that it names first, then in the order of the registry."""
    if guarded.explanation is None:
        return []
    reports, named = guarded.explanation.reports, guarded.requirement.policies
    nearest = [] if any(report.candidate for report in reports) else guarded.explanation.nearest(_NEAREST)
    return [
        report
        for report in sorted(reports, key=lambda report: report.id not in named)
        if show_all or report.candidate or report.out_of_service or report.id in named or report in nearest
    ]


def _lines_of_report(report: Report, redaction: Redaction) -> Iterator[str]:
    outcome = "allows" if report.allowed else "does not allow"
    yield f"  AccessPolicy/{report.id} {outcome} ({redaction.text(report.why)})"
    if report.error is not None:
        yield f"      cannot be evaluated: {report.error}"
    for mismatch in report.mismatches:
        shown = shown_mismatch(mismatch, redaction)
        place = place_of(mismatch, redaction)
        found = "nothing" if shown["but"] is None else in_json(shown["but"])
        yield f"      {place}: expected {in_json(shown['expected'])}" + (f", found {found}" if mismatch.path else "")


def _answer(journey: Journey) -> str:
    if journey.allowed:
        return "allowed: the view runs" if journey.status is None else f"answered with {journey.status}"
    return f"{'refused' if journey.operation else 'answered'} with {journey.status}"


def _as_json(journey: Journey, redaction: Redaction, *, show_all: bool) -> dict[str, object]:
    return {
        "allowed": journey.allowed,
        "status": journey.status,
        "operation": journey.operation,
        "stages": [
            {
                "stage": stage.name,
                "mark": stage.mark,
                "found": redaction.text(stage.found),
                "milliseconds": round(stage.milliseconds, 3),
            }
            for stage in journey.stages
        ],
        "guards": [_guard_as_json(guarded, redaction, show_all=show_all) for guarded in journey.guards],
    }


def _guard_as_json(guarded: Guarded, redaction: Redaction, *, show_all: bool) -> dict[str, object]:
    told: dict[str, object] = {
        "policies-asked-for": list(guarded.requirement.policies),
        "scopes": list(guarded.requirement.scopes),
        "allowed": guarded.refusal is None,
        "error": None if guarded.refusal is None else guarded.refusal.error,
    }
    if guarded.explanation is not None:
        reports = guarded.explanation.reports
        told["policy"] = guarded.explanation.decision.policy
        told["policies"] = [report.shown(redaction) for report in _worth_showing(guarded, show_all=show_all)]
        told["not-candidates"] = sum(not report.candidate for report in reports)
    return told
