"""What if: the same packet with another source or mark, the Service with other endpoints; walked again on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from ipaddress import IPv4Address

from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.netfilter.kernel import Kernel
from kitlib.netfilter.kube_proxy import SERVICE, endpoints, with_endpoints
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import Walk
from kitlib.netfilter.walk import walks
from kitlib.widgets.twin import Twin, with_twin

OUTSIDE = "192.0.2.1"     # an address for documentation (RFC 5737): nobody in a cluster has it
MASQUERADE_MARK = 0x4000
COLUMNS = ("share", "from", "to", "mark", "how it ends", "if")


@dataclass(frozen=True)
class Case:
    """A packet and what it meets: the endpoints of the Service that it asks for (none if it asks for no Service)."""

    packet: Packet
    endpoints: tuple[str, ...]


def what_if(kernel: Kernel, packet: Packet) -> Twin:
    """The ways of a packet through a kernel, ready to be changed; its twin shows a few changes."""
    service = next((step.verdict.removeprefix("JUMP:") for walk in walks(kernel, packet) for step in walk.matched
                    if step.verdict.startswith(f"JUMP:{SERVICE}")), "")
    case = Case(packet, endpoints(kernel.ruleset, service) if service else ())

    def ways(now: Case) -> tuple[Walk, ...]:
        changed = kernel
        if now.endpoints != case.endpoints:
            changed = replace(kernel, ruleset=with_endpoints(kernel.ruleset, service, now.endpoints))
        return walks(changed, now.packet)

    before = ways(case)

    def build() -> list:
        import ipywidgets

        wide = {"width": "auto", "max_width": "520px"}
        source = ipywidgets.Text(packet.source, description="Source", layout=wide,
                                 tooltip="The address that the packet comes from")
        mark = ipywidgets.Text(f"{packet.mark:#x}", description="Mark", layout=wide,
                               tooltip="The packet's mark when it comes in, as a number: 0x4000")
        behind = ipywidgets.Text(", ".join(case.endpoints), description="Endpoints", layout=wide, disabled=not service,
                                 tooltip="The endpoints of the Service, with commas: take one out, add a third")
        shown = ipywidgets.HTML(_shown(before, before))

        def update(_: object) -> None:
            try:
                shown.value = _shown(ways(_case(packet, source.value, mark.value, behind.value)), before)
            except KitError as error:
                shown.value = f"<p>{escape(str(error))}</p>"

        for control in (source, mark, behind):
            control.observe(update, "value")
        return [source, mark, behind, shown]

    tables = [_ways(ways(changed), title) for title, changed in _changes(case)]
    return with_twin(build, "".join(table.html for table in tables), "\n\n".join(table.text for table in tables))


def _changes(case: Case) -> list[tuple[str, Case]]:
    """The case as it is, and what one would try first."""
    packet, known = case.packet, case.endpoints
    found = [(f"As it is: {packet}", case),
             (f"What if it came from {OUTSIDE}?", replace(case, packet=packet._replace(source=OUTSIDE))),
             (f"What if it carried the mark {MASQUERADE_MARK:#x}?",
              replace(case, packet=packet._replace(mark=MASQUERADE_MARK)))]
    if known:
        third = f"{IPv4Address(known[-1].partition(':')[0]) + 100}:{known[-1].partition(':')[2]}"
        found += [(f"What if there were also the endpoint {third}?", replace(case, endpoints=(*known, third))),
                  (f"What if the endpoint {known[-1]} were gone?", replace(case, endpoints=known[:-1]))]
    return found


def _case(packet: Packet, source: str, mark: str, behind: str) -> Case:
    """What was typed; KitError if it is not what it should be."""
    try:
        number = int(mark.strip(), 0)
    except ValueError:
        number = -1
    if not 0 <= number < 2**32:
        raise KitError(f"a mark is a number from 0 to 0xffffffff, as 0x4000; found {mark!r}")
    sockets = tuple(_socket(words, packet) for words in behind.replace(",", " ").split())
    return Case(packet._replace(source=_address(source), mark=number), tuple(dict.fromkeys(sockets)))


def _socket(words: str, packet: Packet) -> str:
    address, _, port = words.partition(":")
    if port and not (port.isdecimal() and 0 < int(port) < 2**16):
        raise KitError(f"a port is a number from 1 to 65535; found {port!r}")
    return f"{_address(address)}:{port or packet.dport}"


def _address(words: str) -> str:
    try:
        return str(IPv4Address(words.strip()))
    except ValueError:
        raise KitError(f"an address is four numbers, as 10.244.2.3; found {words.strip()!r}") from None


def _shown(now: Sequence[Walk], before: Sequence[Walk]) -> str:
    """The ways, and the rules that have a say on one of them only now, or no longer."""
    (rules, were) = ({step.rule.text: None for walk in some for step in walk.matched if step.rule}
                     for some in (now, before))
    rows = [("only\xa0now", text) for text in rules if text not in were]
    rows += [("no\xa0longer", text) for text in were if text not in rules]
    different = Table("Rules that have a say", ("", "rule"), tuple(rows)).html if rows else \
        "<p>The same rules have a say as before.</p>"
    return _ways(now, f"{now[0].packet}, mark {now[0].packet.mark:#x}").html + different


def _ways(ways: Sequence[Walk], title: str) -> Table:
    rows = tuple((f"{walk.probability:.0%}", *str(walk.after).split(" → "), f"{walk.after.mark:#x}", walk.end,
                  " and ".join(walk.assumptions) or "–") for walk in ways)
    return Table(title, COLUMNS, rows)
