"""What the fuzzer begins with: tokens of every algorithm, and what must be refused for one reason each.

::

    python -m tests.fuzz.seeds FOLDER

The keys are made for this and thrown away.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from joserfc.jwk import OctKey

from ..introspection.signing import SECRET, encoded, header, sign

ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
SYMMETRIC = ("HS256", "HS384", "HS512")

HEAD, BODY, SIGNATURE = sign(header("ES256"), algorithm="ES256").split(".")
HEADERS = {
    "alg-absent": b'{"typ":"JWT"}',
    "alg-list": b'{"alg":["none"]}',
    "alg-null": b'{"alg":null}',
    "alg-twice": b'{"alg":"RS256","alg":"none"}',
    "alg-twice-escaped": b'{"alg":"RS256","\\u0061lg":"none"}',
    "array": b'["alg"]',
    "b64-false": b'{"alg":"RS256","b64":false}',
    "crit-empty": b'{"alg":"RS256","crit":[]}',
    "crit-text": b'{"alg":"RS256","crit":"b64"}',
    "kid-list": b'{"alg":"RS256","kid":["a"]}',
    "kid-null": b'{"alg":"RS256","kid":null}',
    "kid-number": b'{"alg":"RS256","kid":1}',
    "kid-object": b'{"alg":"RS256","kid":{"a":1}}',
    "kid-too-long": json.dumps({"alg": "RS256", "kid": "k" * 1025}).encode(),
    "nothing": b"",
    "typ-number": b'{"alg":"RS256","typ":1}',
}
CLAIMS = {
    "bom": b'\xef\xbb\xbf{"sub":"anna"}',
    "comma": b'{"sub":"anna",}',
    "comment": b'{"sub":"anna"/**/}',
    "control-character": b'{"sub":"an\x00na"}',
    "deep-closed": b'{"x":' + b"[" * 64 + b"]" * 64 + b"}",
    "deep-objects": b'{"x":' * 65 + b"1" + b"}" * 65,
    "deep-open": b'{"x":' + b"[" * 900,
    "duplicate": b'{"sub":"anna","sub":"bert"}',
    "duplicate-inside": b'{"x":[{"y":1,"y":2}]}',
    "infinity": b'{"exp":-Infinity}',
    "integer-too-long": b'{"exp":' + b"9" * 4301 + b"}",
    "nan": b'{"exp":NaN}',
    "null": b"null",
    "number": b"17",
    "out-of-range": b'{"exp":1e400}',
    "something-behind": b'{"sub":"anna"}{}',
    "surrogate": b'{"sub":"\\ud800"}',
    "surrogate-name": b'{"\\udc00":1}',
    "text": b'"sub"',
    "utf-16": '{"sub":"anna"}'.encode("utf-16"),
    "utf-8-broken": b'{"sub":"\xc3"}',
    "utf-8-overlong": b'{"sub":"\xc0\x80"}',
    "white-space": b'{"sub":\xc2\xa0"anna"}',
}
ODD_CLAIMS = {
    "deepest": b'{"x":' + b"[" * 63 + b"]" * 63 + b"}",
    "brackets-in-text": b'{"x":"' + b'[{\\"' * 40 + b'"}',
    "empty": b"{}",
    "escapes": b'{"\\u0073ub":"\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\"\\\\"}',
    "float": b'{"exp":1.8e9,"nbf":-0.0,"iat":0.1E-2}',
    "longest-integer": b'{"exp":-' + b"9" * 4300 + b"}",
    "noncharacters": '{"x":"\ufffe\uffff\U0010ffff"}'.encode(),
    "spaces": b' \t\r\n{ "sub" : [ ] , "x" : { } } \n',
}
FORMS = {
    "another-alphabet": f"{HEAD}.{BODY}.++//",
    "dots": "." * 40,
    "five-parts": f"{HEAD}.{BODY}.{SIGNATURE}.AAAA.AAAA",
    "four-parts": f"{HEAD}.{BODY}.{SIGNATURE}.AAAA",
    "json-serialization": json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
    "left-over-bits": f"{HEAD}.{BODY}.AB",
    "no-ascii": f"{HEAD}.{BODY}.ä",
    "one-character": f"{HEAD}.{BODY}.A",
    "one-part": HEAD,
    "padding": f"{HEAD}.{BODY}.AA==",
    "skipped-character": f"-{HEAD}.{BODY}.AAAA",
    "space": f"{HEAD}.{BODY}. AAA",
    "two-parts": f"{HEAD}.{BODY}",
}
JSON = {
    "json-array": b'[1,1.0,true,null,"",{}]',
    "json-integer": b"-0",
    "json-scalar": b"1E400",
    "json-text": b'"\\u00e4\\ud800"',
}


def seeds() -> Iterator[tuple[str, bytes]]:
    """Names and inputs; those whose names begin with ``good-`` are tokens in good form."""
    for algorithm in ASYMMETRIC:
        yield f"good-{algorithm}", sign(header(algorithm), algorithm=algorithm).encode()
    for algorithm in SYMMETRIC:
        token = sign(header(algorithm, kid=None), algorithm=algorithm, key=OctKey.import_key(SECRET * 2))
        yield f"good-{algorithm}", token.encode()
    for name, octets in ODD_CLAIMS.items():
        yield f"good-claims-{name}", f"{HEAD}.{encoded(octets)}.{SIGNATURE}".encode()
    for name, octets in HEADERS.items():
        yield f"bad-header-{name}", f"{encoded(octets)}.{BODY}.{SIGNATURE}".encode()
    for name, octets in CLAIMS.items():
        yield f"bad-claims-{name}", f"{HEAD}.{encoded(octets)}.{SIGNATURE}".encode()
    for name, text in FORMS.items():
        yield f"bad-form-{name}", text.encode("latin-1")
    for name, octets in JSON.items():
        yield f"bad-{name}", octets


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, octets in seeds():
        (folder / name).write_bytes(octets)


if __name__ == "__main__":
    main()
