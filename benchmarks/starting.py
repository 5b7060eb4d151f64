"""A process that starts an app and has it answer once: ``python -m benchmarks.starting KIND FOLDER``.

It reads a WSGI environ in JSON, and writes what each step took, seconds of processor time. What is imported is part of
that, so that nothing is imported here before it begins.
"""

from collections.abc import Callable
from time import process_time

BARE, PROTECTED = "bare", "protected"


def start(kind: str, folder: str, said: dict[str, object]) -> dict[str, float]:
    """Start an app.

    :param kind: :data:`BARE` or :data:`PROTECTED`.
    :param folder: with ``registry.json`` of the latter, and its database.
    :param said: what the environ of its only request says in text.
    """
    import io

    environ = {**said, "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO()}
    begun = process_time()
    import flask
    import flask_sqlalchemy

    if kind == PROTECTED:
        import flask_foreign_token
    imported = process_time()
    app = flask.Flask("clinic", root_path=folder, instance_path=folder)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/clinic.sqlite"
    app.config["FOREIGN_TOKEN_REGISTRY"] = "registry.json"
    flask_sqlalchemy.SQLAlchemy(app)

    def room(name: str) -> dict[str, str]:
        return {"name": name}

    with_database = process_time()
    if kind == PROTECTED:
        flask_foreign_token.ForeignToken(app)
        room = flask_foreign_token.require_policy(room)
    ready = process_time()
    app.add_url_rule("/rooms/<name>", "room", room)
    statuses = []

    def start_response(status: str, headers: object, error: object = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return bytes

    b"".join(app(environ, start_response))
    answered = process_time()
    assert statuses == ["200 OK"], statuses
    return {"import": imported - begun, "set-up": ready - with_database, "answer": answered - ready, "all": answered}


if __name__ == "__main__":
    import json
    import sys

    kind, folder = sys.argv[1:]
    print(json.dumps(start(kind, folder, json.load(sys.stdin))))
