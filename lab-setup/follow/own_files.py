"""Files of your own instead of a lab: what each of them is, and what the captures saw. Nothing is run or sent.

The name of a file says where it is from: `NODE_INTERFACE.pcap` or `POD@NODE_INTERFACE.pcap` for a capture, `NODE_` and
anything for a text. What kind of file it is, its content says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath

from follow.explain import read_rules
from kitlib.backends import CaptureData, PointCapture
from kitlib.capture import Capture
from kitlib.drawings.table import Table, table
from kitlib.errors import KitError, NotFound, ParseError, parse_context
from kitlib.parsers import ip, pcap, resolv_conf
from kitlib.result import Result
from kitlib.sighting import DNS_PORT, VantagePoint
from live_labs.clocks import on_one_clock

CAPTURE, RULES, ROUTES, ADDRESSES, RESOLV_CONF = "capture", "rules", "routes", "addresses", "resolv.conf"
EXPECTED = ("a capture (pcap, pcapng), rules (iptables-save, nft -j list ruleset), routes (ip route), addresses "
            "(ip addr) or a resolv.conf")
TEXTS = (       # what only a text of this kind has, and who reads it
    (RULES, re.compile(r'^\*[a-z]+$|\A\s*\{\s*"nftables"', re.MULTILINE), read_rules),
    (ADDRESSES, re.compile(r"^\d+: \S+: <", re.MULTILINE), ip.interfaces),
    (RESOLV_CONF, re.compile(r"^(nameserver|search|domain|options)[ \t]", re.MULTILINE), resolv_conf.parse),
    (ROUTES, re.compile(r"^\S.* (dev|via) \S", re.MULTILINE), ip.routes),
)


@dataclass(frozen=True)
class OwnFile:
    """One file: what it is, what was read in it, and where it is from.

    `machine` is the node whose kernel carries the place; for a capture, `interface` is an interface of the place,
    `damage` says from where on it could not be read, and `dropped` how many packets passed that it does not hold.
    """

    name: str
    place: str
    machine: str
    interface: str
    kind: str
    content: object
    damage: str = ""
    dropped: int = 0


@dataclass(frozen=True, repr=False)
class OwnFiles:
    """The files that somebody brought."""

    files: tuple[OwnFile, ...]

    def __repr__(self) -> str:
        return self.table.text

    def _repr_html_(self) -> str:
        return self.table.html

    @property
    def table(self) -> Table:
        """List the files: what each is, and from where."""
        rows = [{"file": one.name, "is": one.kind + ", damaged" * bool(one.damage), "machine": one.machine,
                 "from": f"{one.place} {one.interface}".strip() or "(not said)"} for one in self.files]
        return table(rows, ["file", "is", "from", "machine"], title="What these files are")

    def contents(self, kind: str, place: str | None = None) -> list:
        """Return what was read in the files of a kind, at one place or at all."""
        return [one.content for one in self.files if one.kind == kind and place in (None, one.place)]

    @property
    def damages(self) -> tuple[str, ...]:
        """Say of each capture that is damaged or not whole what is missing in it."""
        damaged = [f"what {one.name} holds after its whole frames: {one.damage}" for one in self.files if one.damage]
        missing = [f"which packets passed that {one.name} does not hold: it says that {one.dropped} were dropped"
                   for one in self.files if one.dropped]
        return tuple(dict.fromkeys([*damaged, *missing]))

    @property
    def machines(self) -> tuple[str, ...]:
        """The places whose rules are there."""
        return tuple(dict.fromkeys(one.place for one in self.files if one.kind == RULES))

    @cached_property
    def seen(self) -> Capture:
        """What the captures saw together, by the clock of the first. Raises NotFound if there is no capture."""
        captures = [one for one in self.files if one.kind == CAPTURE]
        if not captures:
            raise NotFound("There is no capture among these files, so there is no query to follow. "
                           f"They are: {', '.join(f'{one.name} ({one.kind})' for one in self.files) or 'none'}.")
        points = tuple(self._point(one) for one in captures)
        caught = [PointCapture(point.place, point.interface, "", _no_words, one.content,
                               not (one.damage or one.dropped))
                  for point, one in zip(points, captures, strict=True)]
        by_id = {(point.place, point.interface): point for point in points}
        data = CaptureData(on_one_clock(caught, points, (DNS_PORT,), points[0].machine))
        with Capture(nullcontext(data), tuple(by_id.values()), lambda *place: by_id[place]) as seen:
            return seen

    def _point(self, one: OwnFile) -> VantagePoint:
        kind = "coredns" if "coredns" in one.place else "pod" if one.place != one.machine else "node"
        place = f"{'node' if kind == 'node' else 'container'}:{one.place}"
        return VantagePoint(place, one.interface, one.machine, kind, f"{one.place} {one.interface}".strip())


def read_files(files: Mapping[str, bytes]) -> OwnFiles:
    """Read files, their bytes by name. Raises ParseError, which names the file, at the first that cannot be read."""
    return OwnFiles(tuple(read for name in sorted(files) for read in _read(PurePath(name).name, files[name])))


def read_folder(folder: str | Path) -> OwnFiles:
    """Read every file of a folder. Raises KitError if there is no such folder, or nothing in it."""
    try:
        paths = sorted(path for path in Path(folder).iterdir() if path.is_file() and path.name[:1] != ".")
        files = {path.name: path.read_bytes() for path in paths}
    except OSError as error:
        raise KitError(f"{folder}: expected a folder with your files, found: {error.strerror}. Make it beside this "
                       "notebook, and put them there.") from None
    if not files:
        raise KitError(f"{folder}: expected {EXPECTED}, found an empty folder.")
    return read_files(files)


def _read(name: str, data: bytes) -> list[OwnFile]:
    """Read one file; a pcapng of several interfaces is a capture at each."""
    where, _, rest = name.partition("_") if "_" in name else ("", "", "")
    place, _, machine = where.partition("@")
    with parse_context(where=name):
        if data[:4] in pcap.MAGIC:
            place = place or PurePath(name).stem
            return _captures(OwnFile(name, place, machine or place, PurePath(rest).stem, CAPTURE,
                                     *pcap.frames_before_damage(data), pcap.dropped(data)))
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ParseError("file", EXPECTED, data[:16].hex(" ")) from None
        for kind, sign, parse in TEXTS:
            if sign.search(text):
                return [OwnFile(name, place, machine or place, "", kind, parse(text))]
        raise ParseError("file", EXPECTED, text.strip().partition("\n")[0])


def _captures(whole: OwnFile) -> list[OwnFile]:
    """Take a capture apart by the interfaces that it names; of one alone, the file's name is believed first."""
    names = dict.fromkeys(frame.interface for frame in whole.content)
    if len(names) < 2:
        return [replace(whole, interface=whole.interface or "".join(names))]
    return [replace(whole, interface=name, content=tuple(frame for frame in whole.content if frame.interface == name))
            for name in names]


def _no_words() -> Result:
    raise KitError("What tcpdump prints of a file of your own is not here: use `at` and `packets`.")
