"""The command that says what keeps a provider's tokens from being taken."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from ..diagnosis.examination import examine, examine_unlinked
from ..diagnosis.findings import Finding, Mark
from ..diagnosis.grants import SCOPE, Login
from ..diagnosis.guards import check_guards, check_views
from ..diagnosis.policies import check_policies_meant, check_policies_met
from ..diagnosis.remedies import CACHE, DATABASE, IN_DATABASE, IN_FILE, SQL
from ..diagnosis.secrets import check_secrets, for_absent
from ..diagnosis.trust import Examined, check_any, check_left_out, switched_off
from ..errors import DatabaseUnavailable, Issue, Refusal, Rejected
from ..policies.lint import lint
from ..registry.snapshot import RegistrySnapshot
from ..runtime import Runtime
from .current import application, program
from .failures import reasons
from .output import json_option
from .progress import progress
from .quiet import quiet
from .report import Report
from .routes import routes_of

_REGISTRY = "registry"
_FATAL: Mapping[str, tuple[Mark, ...]] = {"failed": ("failed",), "warning": ("failed", "warning")}


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
@click.option(
    "--fail-on",
    type=click.Choice(list(_FATAL)),
    default="failed",
    show_default=True,
    help="What the command ends with status 1 for.",
)
@json_option
@with_appcontext
def doctor(
    id_: str | None,
    client_id: str | None,
    client_secret: str | None,
    username: str | None,
    password: str | None,
    scope: str,
    fail_on: str,
    as_json: bool,
) -> None:
    """Find out whether the tokens of a provider are taken, and if not, why.

    ID is that of an IdentityProvider, or of a TokenIntrospector, which is checked with its provider. What is checked:
    what is stored, the provider's discovery document, its keys, whether it lets this app ask about opaque tokens, the
    clocks, and with a client a token: whether one is issued, whether it is taken here, and whether userinfo answers to
    it. Nothing is stored, and no token or secret is shown.

    Without ID everything is checked: all providers that are active, the introspectors that belong to none, the
    database, resources that cannot be used, secrets that stand in the database, views without a guard, and policies
    that no request can meet, or that `apply` warns of, as of one that lets everybody in. With ID, what fails of that is
    named as well.

    The status is 1 where something failed, with `--fail-on warning` also where there is a warning, and else 0. What is
    waited for longer than a second is told on stderr, if that is a terminal.

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
    report = Report(as_json, fatal=_FATAL[fail_on])
    with quiet():
        snapshot, examined = _examine_app(runtime, report, id_)
        if snapshot is not None:
            _examine_all(runtime, snapshot, examined, login, report)
    report.end()


def _examine_app(runtime: Runtime, report: Report, id_: str | None) -> tuple[RegistrySnapshot | None, Examined]:
    """Examine what is nobody's in particular; return what is in force, none: nothing can be; and who is next.

    :param id_: of whom alone the rest is of interest, so that here only what failed is; none: all is.
    """
    routes, everything = routes_of(application()), id_ is None
    with progress("asking the database"):
        database = _database(runtime)
    with progress("reading the registry"):
        snapshot, fault = _snapshot(runtime)
        examined = Examined([]) if snapshot is None else Examined.of(snapshot, id_)
    with progress("checking the app"):
        of_registry = _of_registry(fault, database, snapshot, examined)
        found = [database, *_sql(runtime), *_cache(runtime), *of_registry, *check_views(routes)]
        if snapshot is not None:
            found += check_guards(application().faults_of_guards(snapshot))
    for several in _by_check(finding for finding in found if everything or finding.mark == "failed"):
        report.several(several)
    if everything and snapshot is not None:
        with progress(f"checking {len(snapshot.policies)} policies"):
            secrets = [] if application().registry_file else list(check_secrets(snapshot))
            met = list(check_policies_met(snapshot, routes, partial(_stored_users, runtime)))
            meant = list(check_policies_meant(snapshot, partial(lint, engines=runtime.engines)))
        for several in (secrets, met, meant):
            report.several(several)
    return snapshot, examined


def _by_check(findings: Iterable[Finding]) -> list[list[Finding]]:
    return [list(group) for _, group in groupby(findings, key=lambda finding: (finding.check, finding.remedy))]


def _database(runtime: Runtime) -> Finding:
    try:
        runtime.prepare_tables()
    except (Refusal, SQLAlchemyError, OSError) as error:
        return Finding("database", "failed", "; ".join(reasons(error)), DATABASE)
    return Finding("database", "ok", "it answers, and our tables are there")


def _sql(runtime: Runtime) -> list[Finding]:
    return [Finding("sql", "failed", str(fault), SQL) for fault in runtime.faults_of_sql()]


def _cache(runtime: Runtime) -> Iterator[Finding]:
    if runtime.shared_cache is None:
        return
    fault = runtime.shared_cache.fault()
    if fault is None:
        yield Finding("cache", "ok", "it answers, and keeps what is written to it")
    else:
        yield Finding("cache", "warning", f"{fault}; every worker fetches for itself until it can be used", CACHE)


def _stored_users(runtime: Runtime, ids: Collection[str]) -> Collection[str] | None:
    try:
        return runtime.accounts.stored_among(ids)
    except DatabaseUnavailable:
        return None


def _examine_all(
    runtime: Runtime, snapshot: RegistrySnapshot, examined: Examined, login: Login, report: Report
) -> None:
    """Examine each of `examined`; providers that are not active, and that nobody asked for, are only named."""
    ids = examined.providers
    if examined.left_out is not None:
        name = f"TokenIntrospector/{examined.left_out}"
        report.section(None, check_left_out(snapshot, examined.left_out), heading=name)
    elif not ids and not examined.alone:
        report.section(None, check_any(snapshot, program()))
    if login.is_given and len(ids) > 1:
        raise click.UsageError(f"one provider must be named for a login: {', '.join(ids)}")
    if login.is_given and not ids and examined.is_asked_for:
        raise click.UsageError("that introspector belongs to no provider that has a login")
    if len(ids) > 1:
        # What the environment holds is for one of them, and must not reach the others.
        login = Login(scope=login.scope)
    for provider_id in ids:
        passed_over = None if examined.is_asked_for else switched_off(snapshot, provider_id)
        findings = examine(runtime.http, snapshot, provider_id, login, program=program())
        report.section(provider_id, [passed_over] if passed_over else findings)
    for link in examined.alone:
        findings = examine_unlinked(runtime.http, snapshot, link, program=program(), is_asked_for=examined.is_asked_for)
        report.section(None, findings, heading=link.settings.name)


def _snapshot(runtime: Runtime) -> tuple[RegistrySnapshot | None, Exception | None]:
    """What is in force, none: nothing can be; and what is wrong with the registry, none: nothing."""
    try:
        return runtime.registry.load(), None
    except (Rejected, Refusal, SQLAlchemyError, OSError) as error:
        fault = error
    try:
        return runtime.registry.current(), fault
    except Refusal:
        return None, fault


def _of_registry(
    fault: Exception | None, database: Finding, snapshot: RegistrySnapshot | None, examined: Examined
) -> Iterator[Finding]:
    if isinstance(fault, Rejected):
        yield from _of_resources(fault.issues, snapshot, examined)
    elif database.mark == "failed" and isinstance(fault, DatabaseUnavailable):
        yield Finding(_REGISTRY, "skipped", "it is in the database")
    elif fault is not None:
        yield from (Finding(_REGISTRY, "failed", reason) for reason in reasons(fault))


def _of_resources(issues: Iterable[Issue], snapshot: RegistrySnapshot | None, examined: Examined) -> Iterator[Finding]:
    """What is wrong with resources, without what is said where introspectors are looked at."""
    told = frozenset[Issue]() if snapshot is None else examined.faults(snapshot)
    remedy = IN_FILE if application().registry_file else IN_DATABASE
    for issue in issues:
        # Before the name stands where the registry is.
        if issue._replace(resource=issue.resource.rpartition(" ")[2]) not in told:
            put = () if snapshot is None else for_absent(snapshot, [issue])
            yield Finding(_REGISTRY, "failed", str(issue), put or remedy)


def _prompted(text: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{option} is missing")
    answer: str = click.prompt(text, hide_input=True, err=True)
    return answer
