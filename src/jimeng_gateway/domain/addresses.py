"""Which addresses a caller's URL may lead to: a verdict with its reason, for one address at a time.

Only global unicast addresses are allowed. Addresses that carry another one inside (mapped, 6to4, Teredo,
NAT64 …) are refused whole, whatever they carry: there is no honest use of them in a URL, and each has once
been a way around such a list. The tables are our own, because the answers of `ipaddress` change between
releases of Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an address may be dialled, and what it is."""

    allowed: bool
    #: One word: "public", "loopback", "private", "metadata" …
    reason: str


#: The first network that holds an address names it.
_REASONS: tuple[tuple[str, str], ...] = (
    # Where clouds tell machines their own secrets.
    ("169.254.169.254/32", "metadata"),
    ("169.254.170.2/32", "metadata"),
    ("100.100.100.200/32", "metadata"),
    ("168.63.129.16/32", "metadata"),
    ("192.0.0.192/32", "metadata"),
    ("fd00:ec2::254/128", "metadata"),
    ("fd20:ce::254/128", "metadata"),
    ("0.0.0.0/32", "unspecified"),
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "reserved"),
    ("192.52.193.0/24", "reserved"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "reserved"),
    ("198.18.0.0/15", "benchmark"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::ffff:0:0:0/96", "IPv4-translated"),
    ("::/96", "IPv4-compatible"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    ("100::/64", "discard"),
    ("2001::/32", "Teredo"),
    ("2001:db8::/32", "documentation"),
    ("2001::/23", "reserved"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "reserved"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "reserved"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_TABLE: tuple[tuple[Network, str], ...] = tuple((ip_network(text), word) for text, word in _REASONS)
_GLOBAL_V6 = IPv6Network("2000::/3")
#: Interface part of an ISATAP address, before the IPv4 address that it carries.
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)

#: What a host that the operator listed by name may also be.
_LISTED = frozenset({"private", "loopback", "carrier-grade NAT"})


def classify(address: str | Address) -> Verdict:
    """The verdict on an address; text that is none, or names an interface, is refused as "malformed"."""
    parsed = _parsed(address)
    if parsed is None:
        return Verdict(False, "malformed")
    for network, reason in _TABLE:
        if parsed.version == network.version and parsed in network:
            return Verdict(False, reason)
    if isinstance(parsed, IPv6Address):
        if parsed not in _GLOBAL_V6:
            return Verdict(False, "reserved")
        if int(parsed) >> 32 & 0xFFFF_FFFF in _ISATAP:
            return Verdict(False, "ISATAP")
    return Verdict(True, "public")


def is_address(text: str) -> bool:
    """Whether a host is an address and not a name."""
    return _parsed(text) is not None


def _parsed(address: str | Address) -> Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return None if isinstance(parsed, IPv6Address) and parsed.scope_id is not None else parsed


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Hosts to which callers' URLs may lead; without any, every public one.

    An entry is a host (`cdn.example.com`), a suffix (`.example.com`), an address or a network
    (`10.1.0.0/16`), each perhaps with a port (`127.0.0.1:5200`, `[::1]:5200`). What is listed may also be
    private or loopback; link-local and metadata addresses only if the address itself is listed.
    """

    entries: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> AllowedHosts:
        """The entries of a list with commas."""
        return cls(tuple(entry for entry in text.split(",") if entry))

    def names(self, host: str, port: int) -> bool:
        """Whether an entry names the host, so that only its addresses are left to judge."""
        return any(_is_host(entry, host, port) for entry in self.entries)

    def judge(self, host: str, port: int, address: str) -> Verdict:
        """The verdict on an address that the host has."""
        verdict = classify(address)
        if any(_holds(entry, address, port) for entry in self.entries):
            return Verdict(True, "listed")
        if not self.entries:
            return verdict
        if not self.names(host, port):
            return Verdict(False, "not among the allowed hosts")
        return Verdict(True, "listed") if verdict.reason in _LISTED else verdict


def _is_host(entry: str, host: str, port: int) -> bool:
    wanted, number = _split(entry)
    wanted, host = wanted.lower(), host.lower().rstrip(".")
    if number not in (None, port) or not wanted or not host:
        return False
    return host.endswith(wanted) if wanted.startswith(".") else host == wanted


def _holds(entry: str, address: str, port: int) -> bool:
    """Whether the entry is a network that holds the address."""
    text, number = _split(entry)
    parsed = _parsed(address)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return False
    return number in (None, port) and parsed is not None and parsed in network


def _split(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry; an IPv6 address has its port behind brackets."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        host, port = entry, ""
    return host.removeprefix("*"), int(port) if port.isascii() and port.isdigit() else None
