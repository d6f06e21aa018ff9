"""What if: the same packet with another source or mark, the Service with other endpoints; walked again on the spot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from html import escape
from ipaddress import IPv4Address, IPv4Network

from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.netfilter.kernel import Kernel
from kitlib.netfilter.kube_proxy import SERVICE, endpoints, masquerade_mark, with_endpoints
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import Walk
from kitlib.netfilter.walk import walks
from kitlib.widgets.twin import Twin, with_twin

OUTSIDE = "192.0.2.1"     # an address for documentation (RFC 5737): nobody in a cluster has it
COLUMNS = ("share", "from", "to", "mark", "how it ends", "if")

Case = tuple[Packet, tuple[str, ...]]     # a packet, and the endpoints of the Service that it asks for


def what_if(kernel: Kernel, packet: Packet) -> Twin:
    """The ways of a packet through a kernel, ready to be changed; its twin shows a few changes."""
    service = next((step.verdict.removeprefix("JUMP:") for walk in walks(kernel, packet) for step in walk.matched
                    if step.verdict.startswith(f"JUMP:{SERVICE}")), "")
    known = endpoints(kernel.ruleset, service) if service else ()

    def ways(case: Case) -> tuple[Walk, ...]:
        changed, behind = case
        if behind == known:
            return walks(kernel, changed)
        return walks(replace(kernel, ruleset=with_endpoints(kernel.ruleset, service, behind)), changed)

    def build() -> list:
        import ipywidgets

        wide = {"width": "auto", "max_width": "520px"}
        source = ipywidgets.Text(packet.source, description="Source", layout=wide,
                                 tooltip="The address that the packet comes from")
        mark = ipywidgets.Text(f"{packet.mark:#x}", description="Mark", layout=wide,
                               tooltip="The packet's mark when it comes in, as a number: 0x4000")
        behind = ipywidgets.Text(", ".join(known), description="Endpoints", layout=wide, disabled=not service,
                                 tooltip="The endpoints of the Service, with commas: take one out, add a third")
        shown = ipywidgets.HTML(_shown(before, before))

        def update(_: object) -> None:
            try:
                shown.value = _shown(ways(_read(packet, source.value, mark.value, behind.value)), before)
            except KitError as error:
                shown.value = f"<p>{escape(str(error))}</p>"

        def fill(case: Case, _: object) -> None:
            source.value, mark.value, behind.value = case[0].source, f"{case[0].mark:#x}", ", ".join(case[1])

        for control in (source, mark, behind):
            control.observe(update, "value")
        tries = [ipywidgets.Button(description=title, layout={"width": "auto"}, tooltip="Fill the fields so")
                 for title, _ in cases]
        for button, (_, case) in zip(tries, cases, strict=True):
            button.on_click(partial(fill, case))
        return [ipywidgets.HBox(tries, layout={"flex_flow": "row wrap"}), source, mark, behind, shown]

    before, cases = ways((packet, known)), list(_changes(kernel, packet, known))
    tables = [_ways(ways(case), title) for title, case in cases]
    return with_twin(build, "".join(table.html for table in tables), "\n\n".join(table.text for table in tables))


def _changes(kernel: Kernel, packet: Packet, known: tuple[str, ...]) -> Iterator[tuple[str, Case]]:
    """The case as it is, and what one would try first."""
    yield f"As it is: {packet}", (packet, known)
    yield f"What if it came from {OUTSIDE}?", (packet._replace(source=OUTSIDE), known)
    mark = masquerade_mark(kernel.ruleset)
    yield f"What if it carried the mark {mark:#x}?", (packet._replace(mark=mark), known)
    if known:
        third = f"{_far_address(kernel, known[-1])}:{known[-1].partition(':')[2]}"
        yield f"What if there were also the endpoint {third}?", (packet, (*known, third))
        yield f"What if the endpoint {known[-1]} were gone?", (packet, known[:-1])


def _far_address(kernel: Kernel, known: str) -> IPv4Address:
    """An address that a route leads to over another machine, as to a pod on another node."""
    far = [route.destination for route in kernel.routes if route.via and "/" in route.destination]
    networks = [IPv4Network(destination) for destination in far if ":" not in destination]
    return networks[-1][9] if networks else IPv4Address(known.partition(":")[0]) + 9


def _read(packet: Packet, source: str, mark: str, behind: str) -> Case:
    """What was typed; KitError if it is not what it should be."""
    sockets = []
    for words in behind.replace(",", " ").split():
        address, _, port = words.partition(":")
        sockets.append(f"{_address(address)}:{_number('a port', port or str(packet.dport), 2**16)}")
    changed = packet._replace(source=_address(source), mark=_number("a mark", mark, 2**32))
    return changed, tuple(dict.fromkeys(sockets))


def _number(what: str, words: str, limit: int) -> int:
    try:
        number = int(words, 0)
    except ValueError:
        number = -1
    if not 0 <= number < limit:
        raise KitError(f"{what} is a number from 0 to {limit - 1:#x}; found {words!r}")
    return number


def _address(words: str) -> str:
    try:
        return str(IPv4Address(words.strip()))
    except ValueError:
        raise KitError(f"an address is four numbers, as 10.244.2.3; found {words.strip()!r}") from None


def _shown(now: Sequence[Walk], before: Sequence[Walk]) -> str:
    """The ways, and the rules that have a say on one of them only now, or no longer."""
    rules, were = ({step.rule.text: None for walk in some for step in walk.matched if step.rule}
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
