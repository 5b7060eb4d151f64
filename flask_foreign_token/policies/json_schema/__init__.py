"""The engine ``json-schema``, and the part of draft-07 that it takes."""
