"""What ``make test`` runs before pytest: brings the servers that the tests start, as far as they are absent.

Keycloak and oidc-provider need no root and go into the cache; with ``CI`` set or ``SERVERS=apt``, apt brings the rest.
What cannot be had is named, and the tests that need it say so again: skipped, or failed where ``CI`` is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from example_app import keycloak_server

from . import oidc_provider
from .servers import program

PACKAGES = {
    "curl": ("curl",),
    "mariadb-server": ("mariadbd", "mariadb-install-db"),
    "maven": ("mvn",),
    "nodejs": ("node",),
    "npm": ("npm",),
    "postgresql": ("initdb", "pg_ctl"),
    "prometheus": ("prometheus", "promtool"),
    "redis-server": ("redis-server",),
}
"""Which Debian package brings which programs."""

JAVAS = tuple(f"openjdk-{version}-jre-headless" for version in (17, 21, 25))

# policy-rc.d is what Debian's packages ask before they start a server; 101 forbids it. It may be a symbolic link, and
# a run that was killed may have left the machine's own one aside.
APT_INSTALL = """
set -eu
rule=/usr/sbin/policy-rc.d
kept=$rule.kept-by-tests
restore() { rm -f "$rule"; if [ -e "$kept" ] || [ -L "$kept" ]; then mv "$kept" "$rule"; fi; }
if { [ -e "$rule" ] || [ -L "$rule" ]; } && ! { [ -e "$kept" ] || [ -L "$kept" ]; }; then mv "$rule" "$kept"; fi
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\\nexit 101\\n' >"$rule"
chmod 755 "$rule"
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --no-remove \
  -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
"""


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    wanted = os.environ.get("SERVERS", "")
    if wanted not in ("", "apt"):
        sys.exit(f"SERVERS is {wanted}; it can be apt, or unset")
    if wanted or os.environ.get("CI"):
        install_packages()
    try:
        keycloak_server.fetch(say)
    except keycloak_server.KeycloakUnavailable as error:
        say(f"No Keycloak: {error}.")
    try:
        oidc_provider.install(say)
    except oidc_provider.OidcProviderUnavailable as error:
        say(f"No oidc-provider: {error}.")


def install_packages() -> None:
    """Install with apt whatever is absent, or say why not."""
    packages = absent_packages()
    if not packages and has_java():
        return
    if shutil.which("apt-get") is None:
        say(f"There is no apt-get here; what is absent, by its name in Debian: {', '.join(packages) or 'Java'}.")
        return
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    if as_root and shutil.which("sudo") is None:
        say(f"There is no sudo here; as root: apt-get install {' '.join(packages)}")
        return
    say("Asking apt what there is.")
    run([*as_root, "apt-get", "update", "-q"])
    if not has_java():
        packages += [java for java in JAVAS if known(java)][:1]
    say(f"Installing {', '.join(packages)} with apt, which takes a minute.")
    told = ["Need to get", *(f"Setting up {package}" for package in packages)]
    run([*as_root, "sh", "-c", APT_INSTALL, "sh", *packages], told)


def absent_packages() -> list[str]:
    """The packages of which a program is absent."""
    return [package for package, names in PACKAGES.items() if not all(map(program, names))]


def has_java() -> bool:
    """Whether there is a Java that is new enough for Keycloak."""
    try:
        keycloak_server.java()
    except keycloak_server.KeycloakUnavailable:
        return False
    return True


def known(package: str) -> bool:
    """Whether apt can install a package."""
    done = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    return "Candidate: " in done.stdout and "Candidate: (none)" not in done.stdout


def run(command: list[str], told: Sequence[str] = ()) -> None:
    """Run a command; tell the lines that begin with one of `told`, and its last ones where it fails."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith(tuple(told)):
                say(lines[-1])
    if process.returncode:
        say("It fails:\n" + "\n".join(lines[-10:]))


if __name__ == "__main__":
    main()
