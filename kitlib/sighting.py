"""A sighting: one DNS message, seen at one vantage point, at one moment. And the frames in which none could be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

DNS_PORT = 53
SHOWN_DETAILS = 3           # of the frames that were left out for one reason


@dataclass(frozen=True, slots=True)
class VantagePoint:
    """Where tcpdump listened: an interface of a place.

    `machine` is the node (or "host") whose kernel carries the interface: a pod's is its node.
    `kind` is the kind of place, for colours: pod, node, host, coredns, upstream or container.
    """

    place: str            # as recorded: "host", "node:NAME", "pod:NAMESPACE/NAME", "container:NAME"
    interface: str        # "eth0", "veth4b6923b0", or "any"
    machine: str
    kind: str
    title: str            # short and human: "my-nginx eth0", "worker3 veth4b6923b0"


class Socket(NamedTuple):
    """One end of a flow: an address and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Question:
    """What a DNS message asks: a name (with its final dot), a record type and a class."""

    name: str
    type: str
    rclass: str = "IN"

    def __str__(self) -> str:
        return f"{self.name} {self.type}" if self.rclass == "IN" else f"{self.name} {self.rclass} {self.type}"


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record: owner name, type, time to live in seconds, data as text, class."""

    name: str
    type: str
    ttl: int
    data: str
    rclass: str = "IN"


@dataclass(frozen=True, slots=True)
class Edns:
    """The OPT pseudo-record (RFC 6891): UDP size offered, version, options as (name, value)."""

    udp_size: int
    version: int
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A DNS message (RFC 1035). `flags` are dig's words: qr, aa, tc, rd, ra, ad, cd.

    Of its `size` in bytes the last `extraneous` belong to no record.
    """

    id: int
    flags: tuple[str, ...]
    opcode: str
    rcode: str
    questions: tuple[Question, ...]
    answers: tuple[Record, ...] = ()
    authorities: tuple[Record, ...] = ()
    additionals: tuple[Record, ...] = ()
    edns: Edns | None = None
    size: int = 0
    extraneous: int = 0

    @property
    def is_response(self) -> bool:
        """Return True for a response, False for a query."""
        return "qr" in self.flags

    @property
    def question(self) -> Question | None:
        """Return the first (in practice the only) question."""
        return self.questions[0] if self.questions else None


@dataclass(frozen=True, slots=True)
class Sighting:
    """One DNS message at one vantage point. Times are nanoseconds since the epoch.

    `link` holds what tcpdump wrote for this packet (for TCP: the segment that completed the message).
    """

    point: VantagePoint | None
    time_ns: int
    protocol: str                     # "UDP" or "TCP"
    source: Socket
    destination: Socket
    ttl: int
    ip_id: int
    message: Message
    interface_index: int | None = None    # known for Linux cooked v2 captures ("any")
    link: Frame | None = field(default=None, repr=False, compare=False)

    @property
    def direction(self) -> str:
        """Return "query" or "response", from the QR bit."""
        return "response" if self.message.is_response else "query"

    @property
    def client(self) -> Socket:
        """Return the end that asks, as addressed here."""
        return self.destination if self.message.is_response else self.source

    @property
    def server(self) -> Socket:
        """Return the end that answers, as addressed here."""
        return self.source if self.message.is_response else self.destination


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame: `data` as on the wire, `link_type` as in pcap (1 Ethernet, 276 cooked, 101 raw IP)."""

    number: int                       # from 1, as Wireshark counts
    time_ns: int
    link_type: int
    data: bytes
    interface: str = ""               # pcapng: the interface's name
    length: int = 0                   # on the wire; larger than len(data) if the capture cut it short


class Reason(StrEnum):
    """Why no DNS message was read in a frame: none is left out without a word."""

    OTHER_PORT = "not to or from a port of DNS"
    NO_PORTS = "neither UDP nor TCP"
    ENCAPSULATED = "encapsulated, with a packet inside that is not looked at"
    LINK_TYPE = "of a link type that is not read"
    CUT = "cut short by the snapshot length of the capture"
    DAMAGED = "with a damaged header"
    FRAGMENT = "fragments that could not be joined, for others were not captured"
    SEGMENT = "TCP segments of messages or connections that were not captured whole"
    NO_MESSAGE = "to or from a port of DNS, but no whole DNS message"
    STEPPED_BACK = "earlier by its time than frames before it: the clock was set back, or captures were put together"
    EXTRANEOUS = "with more bytes than the DNS message has, extraneous behind its last record"


class LeftOut(NamedTuple):
    """A frame of which something was left out; `detail` says more than the reason: ports, addresses, what is wrong."""

    point: VantagePoint | None
    frame: int
    reason: Reason
    detail: str

    @property
    def may_be_dns(self) -> bool:
        """Say whether this may have been a message that is missed elsewhere."""
        return self.reason not in (Reason.OTHER_PORT, Reason.NO_PORTS, Reason.EXTRANEOUS)


def left_out_lines(left_out: Iterable[LeftOut]) -> list[str]:
    """Count what was left out by vantage point and reason, one line each, with the most frequent details."""
    groups: dict[tuple[VantagePoint | None, str], list[LeftOut]] = defaultdict(list)
    for one in left_out:
        groups[one.point, one.reason].append(one)
    return [f"{len(group)} {'frame' if len(group) == 1 else 'frames'}{f' at {point.title}' if point else ''}: {reason} "
            f"({_details(group)})" for (point, reason), group in groups.items()]


def _details(group: list[LeftOut]) -> str:
    counts = Counter(one.detail for one in group)
    first = {one.detail: one.frame for one in reversed(group)}
    shown = [f"{detail}, {f'frame {first[detail]}' if count == 1 else f'{count} times from frame {first[detail]} on'}"
             for detail, count in counts.most_common(SHOWN_DETAILS)]
    more = len(counts) - len(shown)
    return "; ".join([*shown, *([f"and {more} others"] if more else [])])
