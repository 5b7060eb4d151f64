"""The command that says what keeps a provider's tokens from being taken."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

import click
from flask.cli import with_appcontext

from ..diagnosis.examination import examine, examine_unlinked
from ..diagnosis.findings import Finding, Mark
from ..diagnosis.grants import SCOPE, Login
from ..diagnosis.remedies import SQL
from ..diagnosis.trust import add_command, check_guards, provider_ids, switched_off, unlinked
from ..errors import DatabaseUnavailable, RegistryUnavailable, Rejected
from ..registry.snapshot import RegistrySnapshot
from ..runtime import Runtime
from .current import application, program
from .failures import Failure, reasons
from .output import COLOURS, entry, json_option, print_json, print_lines, wrapped
from .quiet import quiet

_REGISTRY = "registry"
_WIDTH = 28
_INDENT = 2 + 8 + 1
_REMEDY = " " * _INDENT + "> "


@click.command("doctor", short_help="Find out why tokens are not taken.")
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--client-id", metavar="C", help="Whom to ask for tokens as; by default the provider's stored client.")
@click.option(
    "--client-secret",
    metavar="S",
    prompt=True,
    prompt_required=False,
    hide_input=True,
    envvar="DOCTOR_CLIENT_SECRET",
    help="Its secret. Without a value it is prompted for; it may be in the variable DOCTOR_CLIENT_SECRET.",
)
@click.option("--username", metavar="U", help="A user to sign in with a password grant.")
@click.option(
    "--password",
    metavar="P",
    prompt=True,
    prompt_required=False,
    hide_input=True,
    envvar="DOCTOR_PASSWORD",
    help="The user's password. Without a value it is prompted for; it may be in the variable DOCTOR_PASSWORD.",
)
@click.option("--scope", metavar="S", default=SCOPE, show_default=True, help="What tokens are asked for with.")
@json_option
@with_appcontext
def doctor(
    id_: str | None,
    client_id: str | None,
    client_secret: str | None,
    username: str | None,
    password: str | None,
    scope: str,
    as_json: bool,
) -> None:
    """Find out whether the tokens of a provider are taken, and if not, why.

    ID is that of an IdentityProvider; without it all are checked that are active, and the introspectors that belong to
    none. What is checked: what is stored, the provider's discovery document, its keys, whether it lets this app ask
    about opaque tokens, the clocks, and with a client a token: whether one is issued, whether it is taken here, and
    whether userinfo answers to it. Nothing is stored, and no token or secret is shown.

    Views that ask for a policy by name that is not in force are named as well, whoever's the tokens are, and what is
    wrong with the database of FOREIGN_TOKEN_SQL_URI, where that is set.

    The introspection endpoint is asked about a made-up token, with the credential that is stored for it.

    A stored secret is sent to the stored token_endpoint. Where none is stored, it is sent to the one that the provider
    publishes if that is at the host of the stored issuer, introspection_endpoint or revocation_endpoint.

    \b
    Example:
        flask foreign-token doctor keycloak --client-id my-client --client-secret --username testuser --password
    """
    if username and not password:
        password = _prompted("Password", "--password")
    login = Login(client_id, client_secret, username, password, scope)
    runtime = application().runtime()
    report = _Report(as_json)
    with quiet():
        report.section(None, [Finding("sql", "failed", str(fault), SQL) for fault in runtime.faults_of_sql()])
        snapshot = _snapshot(runtime, report)
        if snapshot is not None:
            report.section(None, check_guards(application().faults_of_guards(snapshot)))
            _examine_all(runtime, snapshot, id_, login, report)
    report.end()


class _Report:
    """Prints what is found: line by line, or all at the end as JSON."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._entries: list[dict[str, object]] = []
        self._counts: Counter[Mark] = Counter()
        self._given: set[str] = set()
        self._commands: set[tuple[str, ...]] = set()

    def section(self, provider_id: str | None, findings: Iterable[Finding], *, heading: str | None = None) -> None:
        """Findings about a provider; none: about what is under `heading`, or without one about all."""
        if heading is None and provider_id is not None:
            heading = f"IdentityProvider/{provider_id}"
        if not self._as_json and heading is not None:
            print_lines([heading])
        for finding in findings:
            self._counts[finding.mark] += 1
            if not self._as_json:
                self._print(finding)
            self._entries.append({"provider": provider_id, **asdict(finding)})

    def end(self) -> None:
        """Close the report, and with status 1 the command, if something failed."""
        if self._as_json:
            print_json(self._entries)
        else:
            counts = [f"{self._counts[mark]} {mark}" for mark in COLOURS if self._counts[mark]]
            print_lines([", ".join(counts)])
        if self._counts["failed"]:
            click.get_current_context().exit(Failure.exit_code)

    def _print(self, finding: Finding) -> None:
        first, *rest = entry(f"  {finding.mark:<8} {finding.check:<{_WIDTH}}", finding.found, _INDENT)
        click.secho(first[:_INDENT], fg=COLOURS[finding.mark], nl=False)
        print_lines([first[_INDENT:], *rest])
        self._print_remedy(finding)

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


def _examine_all(runtime: Runtime, snapshot: RegistrySnapshot, id_: str | None, login: Login, report: _Report) -> None:
    """Examine the provider of that id; none: all that are active, with the others named, and what belongs to none."""
    ids = [id_] if id_ else provider_ids(snapshot)
    alone = [] if id_ else unlinked(snapshot)
    if not ids and not alone:
        command = (add_command(program(), "ID"),)
        report.section(None, [Finding(_REGISTRY, "failed", "no IdentityProvider is stored", command=command)])
    if len(ids) > 1:
        if login.is_given:
            raise click.UsageError(f"one provider must be named for a login: {', '.join(ids)}")
        # What the environment holds is for one of them, and must not reach the others.
        login = Login(scope=login.scope)
    for provider_id in ids:
        passed_over = None if id_ else switched_off(snapshot, provider_id)
        findings = examine(runtime.http, snapshot, provider_id, login, program=program())
        report.section(provider_id, [passed_over] if passed_over else findings)
    for link in alone:
        findings = examine_unlinked(runtime.http, snapshot, link, program=program())
        report.section(None, findings, heading=link.settings.name)


def _snapshot(runtime: Runtime, report: _Report) -> RegistrySnapshot | None:
    """What is in force, with what is wrong with the registry reported; none: nothing can be in force."""
    try:
        return runtime.registry.load()
    except (Rejected, DatabaseUnavailable) as error:
        report.section(None, [Finding(_REGISTRY, "failed", reason) for reason in reasons(error)])
    try:
        return runtime.registry.current()
    except (RegistryUnavailable, DatabaseUnavailable):
        return None


def _prompted(text: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{option} is missing")
    answer: str = click.prompt(text, hide_input=True, err=True)
    return answer
