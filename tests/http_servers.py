"""Servers on real sockets that say exactly the bytes they are told to, at the pace they are told to."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Server:
    """What a test sees of a server.

    :param origin: ``"http://127.0.0.1:49152"``.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.connections = 0
        self.requests: list[bytes] = []
        self.stopping = threading.Event()


class Peer:
    """One connection, as the server sees it.

    :param number: counts the server's connections from 1.
    """

    def __init__(self, server: Server, sock: socket.socket, number: int) -> None:
        self.server = server
        self.number = number
        self.sock = sock
        self._received = b""

    def read(self) -> bytes:
        """The next request, head and body; ``b""`` when the client is gone."""
        while (request := self._whole_request()) is None:
            piece = self.sock.recv(65536)
            if not piece:
                return b""
            self._received += piece
        self.server.requests.append(request)
        return request

    def write(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, pause: float = 0.05) -> None:
        """Write a byte at a time, `pause` seconds apart."""
        for at in range(len(data)):
            self.write(data[at : at + 1])
            if self.server.stopping.wait(pause):
                return

    def _whole_request(self) -> bytes | None:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0]) if lengths else 0
        if not end or len(rest) < length:
            return None
        self._received = rest[length:]
        return head + end + rest[:length]


def answer(
    body: bytes = b'{"a": 1}',
    *headers: str,
    status: str = "200 OK",
    content_type: str = "application/json",
    length: int | None = None,
) -> bytes:
    """An answer with a ``Content-Length``: that of `body`, or `length`."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answering(*answers: bytes) -> Callable[[Peer], None]:
    """Handles connections that are kept: one of `answers` to each request, the last one to all that follow."""

    def handle(peer: Peer) -> None:
        left = list(answers)
        while peer.read():
            peer.write(left.pop(0) if len(left) > 1 else left[0])

    return handle


@contextmanager
def serving(
    handle: Callable[[Peer], None], *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """A server that calls `handle` in a thread for each connection and closes the connection when it returns."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            server.connections += 1
            with suppress(OSError):
                sock = tls.wrap_socket(self.request, server_side=True) if tls else self.request
                with sock:
                    open_sockets.append(sock)
                    handle(Peer(server, sock, server.connections))

    class TCPServer(socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        request_queue_size = 64

    open_sockets: list[socket.socket] = []
    with TCPServer((host, 0), Handler) as listener:
        name = f"[{host}]" if ":" in host else host
        server = Server(f"{'https' if tls else 'http'}://{name}:{listener.server_address[1]}")
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
            server.stopping.set()
            for sock in open_sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def self_signed(folder: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """The file of a certificate for `names`, which may be addresses, and the context of a server that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([_alternative_name(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return certificate_file, context


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
