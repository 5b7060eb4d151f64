from __future__ import annotations

import pytest
from marshmallow import ValidationError, fields

from flask_foreign_token.registry.fields import Line, Secret, Text

NOT_UTF_8 = b"a\xff".decode(errors="surrogateescape")


@pytest.mark.parametrize("field", [Line(), Secret(), Text()], ids=lambda field: type(field).__name__)
def test_a_text_from_a_variable_that_is_not_utf_8_is_refused(field: fields.Field[str]) -> None:
    with pytest.raises(ValidationError, match="must be UTF-8"):
        field.deserialize(NOT_UTF_8)

    assert field.deserialize("a\U0001f600") == "a\U0001f600"
