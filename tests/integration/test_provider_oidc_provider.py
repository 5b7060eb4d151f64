"""`provider add` and `doctor` with a provider that is no Keycloak."""

from __future__ import annotations

from ..cli.commands import refused, run
from ..conftest import MakeApp
from .oidc_provider import OidcProvider


def test_another_provider_is_registered_from_what_it_publishes(make_app: MakeApp, oidc_provider: OidcProvider) -> None:
    app = make_app([])
    words = ["provider", "add", "node", "--issuer", oidc_provider.issuer]

    reason = refused(app, *words)
    added = run(app, *words, "--audience", "https://your-api.example")
    examined = run(app, "doctor", "node")

    assert "--audience https://your-api.example" in reason
    assert added.exit_code == 0, added.output
    for check in ("discovery", "keys", "clock"):
        assert f"ok       {check}" in examined.stdout
