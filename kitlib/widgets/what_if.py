"""What if: the same packet with another source or mark, the Service with other endpoints; walked again on the spot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

from kitlib.drawings.rule_walk import ending
from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.netfilter import kube_proxy, nft_kube_proxy
from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.netfilter.targets import split_socket
from kitlib.parsers.nft import Chain
from kitlib.widgets.controls import WithFallback, html_output

if TYPE_CHECKING:
    from ipywidgets import Widget

OUTSIDE = {4: "192.0.2.1", 6: "2001:db8::1"}      # addresses for documentation: nobody in a cluster has them
COLUMNS = ("share", "from", "to", "mark", "how it ends", "if")
FIELDS = {"Source": "The address that the packet comes from",
          "Mark": "The packet's mark when it comes in, as a number: 0x4000",
          "Endpoints": "The endpoints of the Service, with commas: take one out, add another"}

Case = tuple[str, str, str]     # what stands in the fields


def what_if(netfilter: Netfilter, packet: Packet) -> WithFallback:
    """Show the paths of a packet through a machine, ready to be changed; the stored output has a few changes."""
    netfilter = netfilter.of(packet.source)
    before = simulate(netfilter, packet)
    service = _service_of(netfilter, before)
    writer, of = (nft_kube_proxy, "nft") if netfilter.nft else (kube_proxy, "ruleset")
    known = writer.endpoints(getattr(netfilter, of), service) if service else ()
    cases = dict(_cases(packet, known, writer.masquerade_mark(getattr(netfilter, of))))

    def paths(*fields: str) -> tuple[PacketPath, ...]:
        changed, behind = _read(packet, *fields)
        changed = changed._replace(in_interface=_way_in(netfilter, packet, changed.source))
        if behind == known:
            return simulate(netfilter, changed)
        rules = writer.with_endpoints(getattr(netfilter, of), service, behind)
        return simulate(replace(netfilter, **{of: rules}), changed)

    def build() -> list:
        import ipywidgets

        fields = [ipywidgets.Text(description=label, tooltip=tooltip, layout={"width": "auto", "max_width": "520px"})
                  for label, tooltip in FIELDS.items()]
        fields[-1].disabled = not service
        tries = [ipywidgets.Button(description=title, layout={"width": "auto"}, tooltip="Fill the fields so")
                 for title in cases]
        for button, case in zip(tries, cases.values(), strict=True):
            button.on_click(partial(_fill, fields, case))
        _fill(fields, next(iter(cases.values())))
        return [ipywidgets.HBox(tries, layout={"flex_flow": "row wrap"}), *fields,
                html_output(fields, lambda *typed: _changed(paths(*typed), before))]

    tables = [_paths_table(paths(*case), title) for title, case in cases.items()]
    return WithFallback("".join(table.html for table in tables), "\n\n".join(table.text for table in tables), build)


def _service_of(netfilter: Netfilter, paths: Sequence[PacketPath]) -> str | Chain:
    """Find the chain of the Service that the packet came to, "" if it came to none."""
    for step in (step for path in paths for step in path.matched):
        name = step.verdict.partition(":")[2]
        if netfilter.nft and name.startswith(nft_kube_proxy.SERVICE) and "/" in name:  # no service-endpoints-check
            return netfilter.nft.tables[step.table].chains[name]
        if name.startswith(kube_proxy.SERVICE):
            return name
    return ""


def _cases(packet: Packet, known: tuple[str, ...], mark_bit: int) -> Iterator[tuple[str, Case]]:
    """The case as it is, and what one would try first."""
    source, mark, behind = packet.source, f"{packet.mark:#x}", ", ".join(known)
    yield f"As it is: {packet}", (source, mark, behind)
    outside = OUTSIDE[ip_address(source).version]
    yield f"What if it came from {outside}?", (outside, mark, behind)
    masquerade = f"{mark_bit:#x}"
    yield f"What if it carried the mark {masquerade}?", (source, masquerade, behind)
    if known:
        address, _ = split_socket(known[-1])
        third = known[-1].replace(address, str(ip_address(address) + 9))
        yield f"What if there were also the endpoint {third}?", (source, mark, f"{behind}, {third}")
        yield f"What if the endpoint {known[-1]} were gone?", (source, mark, ", ".join(known[:-1]))


def _fill(fields: Sequence[Widget], case: Case, _: object = None) -> None:
    for field, words in zip(fields, case, strict=True):
        field.value = words


def _read(packet: Packet, source: str, mark: str, behind: str) -> tuple[Packet, tuple[str, ...]]:
    """Read what was typed; KitError if it is not what it should be."""
    sockets = []
    for words in behind.replace(",", " ").split():
        address, port = split_socket(words)
        shown = f"[{_address(address)}]" if ":" in address else _address(address)
        sockets.append(f"{shown}:{_number('a port', port or str(packet.dport), 2**16)}")
    changed = packet._replace(source=_address(source), mark=_number("a mark", mark, 2**32))
    return changed, tuple(dict.fromkeys(sockets))


def _way_in(netfilter: Netfilter, packet: Packet, source: str) -> str:
    """Return where a packet from there comes in, which is where an answer leaves; "" if it is made here."""
    back = netfilter.route(source)
    if source == packet.source or not packet.in_interface or not (back.is_unicast or back.is_local):
        return packet.in_interface
    return back.device if back.is_unicast else ""


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
        return str(ip_address(words.strip()))
    except ValueError:
        raise KitError(f"an address is four numbers, as 10.244.2.3; found {words.strip()!r}") from None


def _changed(now: Sequence[PacketPath], before: Sequence[PacketPath]) -> str:
    """The paths, and the rules that matter on one of them only now, or no longer."""
    rules, were = ({step.rule.text: None for path in paths for step in path.matched if step.rule}
                   for paths in (now, before))
    rows = [("only\xa0now", text) for text in rules if text not in were]
    rows += [("no\xa0longer", text) for text in were if text not in rules]
    different = Table("Rules that matter", ("", "rule"), tuple(rows)).html if rows else \
        "<p>The same rules matter as before.</p>"
    packet = now[0].packet
    where = f"in by {packet.in_interface}" if packet.in_interface else "made here"
    return _paths_table(now, f"{packet}, {where}, mark {packet.mark:#x}").html + different


def _paths_table(paths: Sequence[PacketPath], title: str) -> Table:
    rows = tuple(("?" if path.assumptions else f"{path.probability:.0%}", *str(path.after).split(" → "),
                  f"{path.after.mark:#x}", ending(path), " and ".join(path.assumptions) or "–") for path in paths)
    return Table(title, COLUMNS, rows)
