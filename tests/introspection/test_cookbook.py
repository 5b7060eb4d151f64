"""The examples of :rfc:`7520` section 4, :rfc:`8037` appendix A and :rfc:`7797`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection.jwt import permitted, verified_by
from flask_foreign_token.introspection.key_set import read_key_set
from flask_foreign_token.introspection.keys import KeySource
from flask_foreign_token.introspection.parse import split

from .. import vectors
from .signing import sign
from .test_wycheproof import configured

ACCEPTED = ("4_1", "4_2", "4_3", "4_4", "rfc8037")
ED25519 = f"{vectors.COOKBOOK}/rfc8037_ed25519.json"

Example = dict[str, Any]


def examples() -> Iterator[tuple[str, Example]]:
    for name in vectors.listed(vectors.COOKBOOK):
        example = vectors.read(name)
        if "output" in example:
            yield name.rpartition("/")[2], example


def accepted() -> Iterator[pytest.ParameterSet]:
    return (pytest.param(example, id=name) for name, example in examples() if name.startswith(ACCEPTED))


def refused() -> Iterator[pytest.ParameterSet]:
    for name, example in examples():
        for form, text in example["output"].items():
            if form != "compact" or not name.startswith(ACCEPTED):
                case = text if isinstance(text, str) else json.dumps(text), example
                yield pytest.param(case, id=f"{name} {form}")


def ed25519() -> Iterator[pytest.ParameterSet]:
    yield pytest.param(vectors.read(ED25519), id="rfc8037")


def keys_of(example: Example) -> KeySource:
    key = example["input"]["key"]
    described = [{**key, "alg": example["input"]["alg"]}] if isinstance(key, dict) else key
    if described[0]["kty"] == "oct":
        return configured(described)
    return read_key_set({"keys": described}, ("RS256",))


def payload_of(token: str, example: Example) -> str:
    jws = split(token)
    verified_by(jws, keys_of(example), permitted(None))
    return jws.payload.decode()


@pytest.mark.parametrize("example", vectors.cases("cookbook", accepted))
def test_the_payload_of_an_example_comes_back(example: Example) -> None:
    assert payload_of(example["output"]["compact"], example) == example["input"]["payload"]


@pytest.mark.parametrize("case", vectors.cases("cookbook", refused))
def test_an_example_of_what_is_not_supported_is_refused(case: tuple[str, Example]) -> None:
    text, example = case

    with pytest.raises(InvalidToken):
        payload_of(text, example)


@pytest.mark.parametrize("example", vectors.cases("cookbook", ed25519))
def test_the_ed25519_example_verifies_under_its_new_name(example: Example) -> None:
    private = OKPKey.import_key(example["input"]["key"])

    token = sign({"alg": "Ed25519"}, b"payload", algorithm="Ed25519", key=private)

    assert payload_of(token, example) == "payload"
