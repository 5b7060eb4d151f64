"""The blocks of README.md, of docs/ and of the example's README that are not run as they stand, and why."""

from __future__ import annotations

from collections.abc import Mapping

from .pages import Name

_TUTORIAL = "example_app/README.md"

NOT_RUN: Mapping[Name, str] = {
    ("README.md", "$ make demo"): "test_readme compares what it says with what is shown",
    ("README.md", "$ make test"): "it is what runs this",
    ("README.md", '$ curl -H "Authorization: Bearer $TOKEN" http://localhost:5000/me'): "the quickstart runs the same",
    (
        "docs/metrics.md",
        "$ pip install '.[prometheus]'",
    ): "the client is installed already, and it may need the network",
    ("docs/quickstart.md", "$ pip install ."): "the package is installed already, and it may need the network",
    ("docs/workers.md", "$ pip install '.[redis]'"): "the client is installed already, and it may need the network",
    ("docs/workers.md", "$ MACHINES=3 WORKERS=2 docker compose --file docker-compose.workers.yaml up --build --wait"): (
        "it takes Docker; test_workers checks the file"
    ),
    ("docs/performance.md", "$ make bench"): "it takes ten minutes, and the packages that it measures beside this one",
    (_TUTORIAL, "$ docker compose up --build --wait"): "it takes Docker; test_container checks the file",
    (
        _TUTORIAL,
        "$ KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD=admin bin/kc.sh start-dev --http-port 8180 \\",
    ): "it takes Java; the stand-in is started in its place, and make demo-keycloak starts this",
    (_TUTORIAL, "$ docker compose exec app flask --app example_app foreign-token apply example_app/resources.yaml"): (
        "it takes Docker; test_resources applies the file"
    ),
    (
        _TUTORIAL,
        "$ flask --app example_app foreign-token users deactivate ID",
    ): "ID stands for something else each time",
}
"""By document and first line."""
