"""JSON under a seal: what is shared with other machines, and must not be read unless one of them wrote it.

cachelib's own serializers unpickle what they read, which runs whatever its writer likes. This one stands in their
place: bytes in, the seal checked, and only then JSON.
"""

from __future__ import annotations

import hmac
import json

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_KEY = 32
"""Bytes of the shortest key that seals may be derived from."""

_SEAL_SIZE = 32
_NAME_DIGITS = 32


class BrokenSeal(ValueError):
    """Nobody who holds the key wrote this."""


class Seal:
    """A serializer for cachelib whose bytes are HMAC-SHA-256 and the JSON that it is over.

    The keys in it are derived from one secret (:rfc:`5869`), each for one purpose.

    :param secret: :data:`MIN_KEY` bytes or more that only the workers know.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = _derived(secret, b"seal")
        self._naming_key = _derived(secret, b"name")

    def name_of(self, text: str) -> str:
        """What stands for `text`, 32 hexadecimal digits, to those who hold the key alone: nobody else can find out
        `text` by trying, be it short.
        """
        return hmac.digest(self._naming_key, text.encode(), "sha256").hex()[:_NAME_DIGITS]

    def dumps(self, value: object) -> bytes:
        """`value` under the seal.

        :param value: what JSON can hold.
        """
        content = json.dumps(value, separators=(",", ":")).encode()
        return self._seal_of(content) + content

    def loads(self, sealed: bytes | None) -> object:
        """The value that was sealed; ``None`` for ``None``.

        :raises BrokenSeal: it was not sealed with this key, or changed since.
        """
        if sealed is None:
            return None
        if not isinstance(sealed, bytes):
            raise BrokenSeal
        seal, content = sealed[:_SEAL_SIZE], sealed[_SEAL_SIZE:]
        if not hmac.compare_digest(seal, self._seal_of(content)):
            raise BrokenSeal
        # Not by the strict reader: who holds the key has written it, and it may be a level deeper than what came.
        return json.loads(content)

    def _seal_of(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _SEAL_SIZE, salt=None, info=b"flask-foreign-token shared cache 1 " + purpose).derive(secret)
