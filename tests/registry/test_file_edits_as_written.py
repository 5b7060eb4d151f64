"""What an edit leaves as somebody wrote it: variables, masks, and what is shown of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flask_foreign_token.errors import Conflict, Issue, Rejected
from flask_foreign_token.registry.edits import State
from flask_foreign_token.registry.fields import MASK
from flask_foreign_token.registry.file import FileRegistry
from flask_foreign_token.registry.resources import Key

from .bodies import introspector, policy, provider
from .files import edit, items_in, write

K: Key = ("IdentityProvider", "k")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.json"


def test_the_text_of_variables_stays_in_what_is_not_touched(path: Path) -> None:
    item = provider(title="${TITLE}", client={"secret": "${SECRET:-x}"})
    write(path, item)

    edit(path, policy("a"), environ={"TITLE": "K"})

    assert items_in(path) == [item, policy("a")]


def test_a_mask_keeps_the_text_of_the_variable(path: Path) -> None:
    write(path, provider(client={"secret": "${SECRET}"}))

    edit(path, provider(title="${TITLE}", client={"secret": MASK}), environ={"SECRET": "hush", "TITLE": "K"})

    assert items_in(path) == [provider(title="${TITLE}", client={"secret": "${SECRET}"})]


def test_the_masks_of_keys_keep_their_texts(path: Path) -> None:
    body = introspector(jwt={"iss": "i", "keys": [{"kty": "OCT", "alg": "HS256", "k": "${KEY}"}]})
    write(path, body)

    masked = json.loads(json.dumps(body).replace("${KEY}", MASK))
    edit(path, masked | {"cache_ttl": 5}, environ={"KEY": "hush"})

    assert items_in(path) == [body | {"cache_ttl": 5}]


def test_an_id_that_is_a_variable_stays_one(path: Path) -> None:
    write(path, provider("${ID}", system="k"))

    outcomes = edit(path, provider(title="K"), environ={"ID": "k"})

    assert outcomes == {K: "updated"}
    assert items_in(path) == [provider("${ID}", system="k", title="K")]


def test_the_check_sees_variables_replaced_and_what_cannot_be_read(path: Path) -> None:
    write(path, 5, {"id": "x"}, provider(title="${TITLE}"), provider("u", title="${UNSET}"))
    seen: list[State] = []

    edit(
        path,
        provider("new", title="${TITLE}"),
        environ={"TITLE": "K"},
        check=lambda before, after: seen.extend((before, after)),
    )

    before, after = seen
    assert [resource.body for resource in before.resources] == [provider(title="K")]
    assert [resource.body for resource in after.resources] == [provider(title="K"), provider("new", title="K")]
    assert after.unreadable == {("IdentityProvider", "u")}
    assert after.issues == (Issue("IdentityProvider/u", "title", "the environment variable UNSET is not set"),)


def test_a_policy_is_written_as_it_stands(path: Path) -> None:
    body = policy("a", description="${NAME}", matcho={"uri": "#^/${x$"})

    edit(path, body)

    assert items_in(path) == [body]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_resource_with_a_variable_that_is_not_set_is_mended(path: Path, is_deleted: bool) -> None:
    write(path, provider(title="${UNSET}"), policy("a"))

    if is_deleted:
        edit(path, deletes=[K])
    else:
        edit(path, provider())

    assert items_in(path) == ([policy("a")] if is_deleted else [provider(), policy("a")])


def test_resources_are_shown_as_they_are_written(path: Path) -> None:
    write(path, 5, {"id": "x"}, policy("a"), provider("${ID}", title="${UNSET}", meta={}))

    [kept] = FileRegistry(path, {"ID": "k"}).kept("IdentityProvider")

    assert (kept.key, kept.body, kept.last_updated) == (K, provider("k", system="${ID}", title="${UNSET}"), None)
    assert FileRegistry(path, {}).kept("IdentityProvider") == []
    assert FileRegistry(path, {}).kept("AccessPolicy", "b") == []


def test_a_file_that_is_not_there_holds_nothing_to_show(path: Path) -> None:
    assert FileRegistry(path, {}).kept("AccessPolicy") == []


def test_a_file_that_cannot_be_read_is_not_shown_as_empty(path: Path) -> None:
    path.write_text("{}")

    with pytest.raises(Rejected, match="must be an array"):
        FileRegistry(path, {}).kept("AccessPolicy")


def version_of(path: Path, key: Key) -> str:
    [kept] = FileRegistry(path, {}).kept(*key)
    return kept.version


def test_a_version_counts_until_the_resource_is_changed(path: Path) -> None:
    write(path, provider())
    version = version_of(path, K)

    edit(path, provider(title="K"), expected={K: version})
    with pytest.raises(Conflict):
        edit(path, provider(title="L"), expected={K: version})

    assert items_in(path) == [provider(title="K")]


def test_a_version_tells_nothing_of_a_secret(path: Path) -> None:
    write(path, provider(client={"secret": "one"}))
    version = version_of(path, K)

    write(path, provider(client={"secret": "other"}))

    assert version_of(path, K) == version
