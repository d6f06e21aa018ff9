"""The same question asked from several places: what differs on the way, and what one rule has to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from kitlib.capture import Capture
from kitlib.drawings.table import Table, table
from kitlib.netfilter.kube_proxy import marking
from kitlib.netfilter.packet import Outcome
from kitlib.sighting import Socket

if TYPE_CHECKING:
    from kitlib.place import Node


def what_differs(asked: Mapping[str, tuple[Capture, Node]]) -> Table:
    """A line for each place that asked: its capture with rule trace, and the node whose kernel met the query first.

    Marked are the lines in which the source was rewritten.
    """
    rows = [{"asked from": name, **_facts(*where)} for name, where in asked.items()]
    rewritten = frozenset(i for i, row in enumerate(rows) if "→" in row["source"])
    return replace(table(rows, title="The same question from everywhere"), marked=rewritten)


def _facts(seen: Capture, node: Node) -> dict[str, object]:
    walk, arrived = seen.followed_query(node).walk, seen.journey().client_leg.farthest.sighting
    step, sent = marking(walk), Socket(walk.packet.source, walk.packet.sport or 0)
    mark = "none" if step.outcome is not Outcome.MATCHED else f"{max(one.after.mark for one in walk.matched):#x}"
    # The rule's other conditions (destination, protocol, port) hold for every query to the Service.
    return {"first hook": "PREROUTING" if walk.packet.in_interface else "OUTPUT",
            "mark, and why": f"{mark}: {step.why.partition(', destination is')[0]}",
            "source": f"{sent}, kept" if sent == arrived.source else f"{sent} → {arrived.source}",
            "leaves by": walk.after.out_interface, "TTL there": arrived.ttl}
