"""Who may ask what: hosts, origins, keys, tickets, and the headers that keep browsers in bounds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tunesmith.errors import UserError
from tunesmith.serving.problems import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = frozenset({"/", "/favicon.ico", "/health/live", "/health/ready"})
OPEN_PREFIX = "/static/"
TICKET_S = 600
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
SANDBOX = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""For pages that come out of a model's folder: whatever stands in them runs no script and is of no origin."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Gate:
    """Decides which requests come through.

    Attributes:
        key_hashes: SHA-256 of each key; none: no key is asked for, which is for loopback only.
        names: host names, lower case, that the server may be called by.
        numbers: whether any IP address will do as a host: no other site can have its name there.
        seal: signs tickets; new with each start.
    """

    key_hashes: tuple[bytes, ...] = ()
    names: frozenset[str] = LOOPBACK_NAMES
    numbers: bool = False
    seal: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def check(self, method: str, path: str, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Let a request pass.

        Args:
            method: in upper case.
            path: without the query.
            query: what stands behind the question mark.
            headers: names in lower case, as they came.

        Raises:
            Problem: 400, 401, 403 or 421.
        """
        fields = list(headers)
        host = self._check_host(fields)
        if method not in SAFE_METHODS:
            _check_origin(fields, host)
        if self.key_hashes and path not in OPEN_PATHS and not path.startswith(OPEN_PREFIX):
            self._check_key(path, query, fields)

    def _check_host(self, fields: list[tuple[bytes, bytes]]) -> str:
        hosts = [value for name, value in fields if name == b"host"]
        if len(hosts) != 1:
            raise Problem(400, f"{len(hosts)} Host headers came, wanted one", fix="send one Host header")
        host = hosts[0].decode("latin-1").lower()
        name = host_name(host)
        if name in self.names or (self.numbers and _is_number(name)):
            return host
        raise Problem(
            421,
            "this server does not go by the name in the Host header",
            fix="use its address, or start it with --allow-host NAME",
        )

    def _check_key(self, path: str, query: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        given = [value for name, value in fields if name == b"authorization"]
        scheme, _, key = (given[0] if len(given) == 1 else b"").partition(b" ")
        digest = hashlib.sha256(key.strip()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self.key_hashes]  # all, whichever fits
        if scheme.lower() == b"bearer" and any(matches):
            return
        if query.startswith(b"ticket=") and self.is_ticket(path, query.removeprefix(b"ticket=")):
            return
        message = "this server asks for an API key" if not given else "the API key is not one of this server's"
        raise Problem(401, message, fix="send the header Authorization: Bearer KEY")

    def make_link(self, path: str) -> str:
        """The path as a browser can follow it: with a ticket for some minutes where a key is asked for.

        A link cannot carry a key, and a key in an address would end up in histories and logs.
        """
        if not self.key_hashes:
            return path
        until = int(time.time()) + TICKET_S
        return f"{path}?ticket={until}.{self._sign(path, until)}"

    def is_ticket(self, path: str, ticket: bytes) -> bool:
        """Whether a ticket was made for this path and is still good."""
        until, _, signature = ticket.decode("latin-1").partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 12) or int(until) < time.time():
            return False
        return hmac.compare_digest(signature.encode("latin-1"), self._sign(path, int(until)).encode())

    def _sign(self, path: str, until: int) -> str:
        digest = hmac.new(self.seal, f"{until} {path}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def host_name(host: str) -> str:
    """A Host header without its port.

    Example:
        >>> host_name("localhost:8000"), host_name("[::1]:8000")
        ('localhost', '::1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def read_name(text: str) -> str:
    """A host name as an operator types it, also with a port.

    Raises:
        UserError: it is an address or nothing.

    Example:
        >>> read_name("Tunes.example.org:8443")
        'tunes.example.org'
    """
    text = text.strip().lower()
    name = text if _is_number(text) else host_name(text)
    if not name or "/" in text:
        raise UserError(
            f"--allow-host {text!r} is no name of a host", fix="give the name alone, such as tunes.example.org"
        )
    return name


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _check_origin(fields: list[tuple[bytes, bytes]], host: str) -> None:
    """A browser says where a request comes from; other programs say nothing."""
    found: Mapping[bytes, bytes] = dict(fields)
    origin = found.get(b"origin")
    same_site = found.get(b"sec-fetch-site", b"same-origin") in (b"same-origin", b"none")
    if origin is not None:
        scheme, _, place = origin.decode("latin-1").lower().partition("://")
        same_site = same_site and scheme in ("http", "https") and place == host
    if not same_site:
        fix = "use this server's own page, or a program that is no browser"
        raise Problem(403, "the request comes from another site's page", fix=fix)
