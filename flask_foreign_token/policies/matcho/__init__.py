"""The engine ``matcho`` and its pattern language."""
