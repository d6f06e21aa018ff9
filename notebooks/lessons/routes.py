"""The questions of notebook 07, and what it says: routes there and back, and the connection that the node remembers."""

from __future__ import annotations

from kitlib.capture import Capture
from kitlib.drawings.drawing import note
from kitlib.drawings.table import Table, table
from kitlib.errors import first_of
from kitlib.journey.model import Journey
from kitlib.lab import Lab
from kitlib.netfilter.packet import packet_from
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Decision
from kitlib.parsers import conntrack
from kitlib.parsers.conntrack import Connection
from kitlib.place import Node, Pod
from kitlib.quiz import Quiz, address
from kitlib.result import Result
from kitlib.sighting import Sighting
from lessons.evidence import point_title, server_of


def next_hop(lab: Lab, node: Node, destination: str) -> Quiz:
    """Ask which machine a node hands a packet to (predict)."""
    decision = node.netfilter().route(destination)
    owners = {at.address: at.title for at in (*lab.nodes, lab.host)}
    via = {route.via or destination for route in (*node.routes(), decision.route) if route}
    hints = {route.via: f"{route.via} ({owners.get(route.via, 'nobody here')}) is the next hop for "
             f"{route.destination}. Does {destination} lie in there, and in nothing narrower?"
             for route in node.routes() if route.via}
    return Quiz(
        f"{node.title} has a packet for {destination}. To which address does it hand it next?",
        right=lambda: decision.route.via or destination, read=address, choices=via - {""},
        hints=hints | {
            destination: f"No interface of {node.title} is in a network with {destination}: somebody must forward."},
        hint="Of the routes that fit, the one with the longest prefix counts.", solution=lambda: f"{decision.why}.")


def rewritten_again(node: Node, path: PacketPath) -> Quiz:
    """Ask what a node that the packet comes to later rewrites (predict)."""
    values = {part: (getattr(path.packet, part), getattr(path.after, part)) for part in ("destination", "source")}
    changed = " and ".join(f"the {part}" for part, (before, after) in values.items() if before != after) or "nothing"
    hints = {f"the {part}": f"The {part} is {before} when it comes in, {after} when it leaves."
             for part, (before, after) in values.items()}
    both = " ".join(hints.values())
    return Quiz(
        f"{node.title} has kube-proxy's rules too. What of {path.packet} does it rewrite?",
        changed, {*hints, "the destination and the source", "nothing", changed},
        hints=hints | {"the destination and the source": both},
        hint="kube-proxy's rules are about ClusterIPs. Which destination does this packet have?",
        solution=both)


def who_will_answer(pod: Pod, entry: Connection) -> Quiz:
    """Ask which source the node expects in the reply, before it undoes anything (predict)."""
    service = entry.original.destination.address
    return Quiz(
        f"From which address does {pod.node.title} expect the reply to come in?",
        right=lambda: entry.reply.source.address, read=address,
        choices={entry.reply.source.address, service, pod.node.address, pod.address},
        hints={service: f"{service} is what the pod wrote, and what it must hear from. But who will send the reply?",
               pod.address: f"{pod.address} is where the reply goes.",
               pod.node.address: f"{pod.node.address} only forwards: its address stands in no packet here."},
        hint="Who gets the query once its destination is rewritten?",
        solution=lambda: f"{entry.reply.source} → {entry.reply.destination} is the entry's second tuple.")


def where_it_is_undone(path: PacketPath) -> Quiz:
    """Ask for the stop at which the reply gets the source that the pod expects (predict)."""
    stops = {f"{step.table} at {step.hook}" if step.table else step.hook: step for step in path.hook_steps}
    right = next((stop for stop, step in stops.items() if step.before.source != step.after.source), "nowhere")
    choices = tuple(stop for stop in stops if stop == right or not stop.startswith(("raw", "mangle")))
    hints = {stop: f"{stop}: {step.before} comes in, {step.after} goes on." for stop, step in stops.items()}
    return Quiz(
        "Where does the reply get back the source that the pod expects?", right, {*choices, "nowhere"},
        hints=hints | {"nowhere": f"The pod asked {path.after.source}, and throws away what others send."},
        hint="A destination can be changed before routing; a source is changed last.",
        more="The table that rewrote the query undoes it in the reply. At which hook does it come last?",
        solution=lambda: f"{stops[right].why}." if right in stops else "Nothing was rewritten.")


def where_is(node: Node, address: str) -> note:
    """Say what the node has made the destination, and ask where that is."""
    return note(f"{node.title} has rewritten the destination to **{address}**, a CoreDNS pod. Where is that?")


def narrowest(decision: Decision) -> note:
    """Say which route counts, and why."""
    return note(f"{decision.why}. The longest prefix wins: it says most precisely where that is.")


def node_at(lab: Lab, address: str) -> Node:
    """Return the node that has this address. Raises NotFound."""
    return first_of((node for node in lab.nodes if node.address == address),
                    f"No node of this lab has the address {address}." if address else
                    "There is no next hop: the CoreDNS pod that was drawn lives on the client's own node. Run the "
                    "notebook again until another one is drawn, or let a pod of another node ask: KITLIB_POD=NAME.")


def by_its_mac(query: Sighting, far: Node) -> note:
    """Say that the next hop stands in the Ethernet header only."""
    return note(f"**{far.address}** is the container `{far.name}`, of the {far.role}. No IP header says so: the packet "
                f"is for {query.destination.address}. The next hop stands in the Ethernet header only, as the MAC "
                f"address `{query.link.data[:6].hex(':')}`, and {far.title}'s eth0 has `{far.interface('eth0').mac}`.")


def last_cable(far: Node, coredns: Pod) -> note:
    """Say which route leads to the CoreDNS pod, and where its cable ends."""
    return note(f"{far.netfilter().route(coredns.address).why}. The cable of `{coredns.name}` ends at "
                f"{coredns.veth.title}.")


def connection_of(remembered: Result, query: Sighting) -> Connection:
    """Return the connection that this query began, from what `conntrack -L` printed. Raises NotFound."""
    return first_of((one for one in conntrack.connections(remembered.text) if one.original.source == query.source),
                    f"conntrack lists no connection from {query.source}.")


def two_tuples(entry: Connection, node: Node) -> Table:
    """Show both tuples of a connection: how the first packet came in, and how the reply will come."""
    rows = [{"tuple": which, "source": way.source, "destination": way.destination} for which, way in
            (("original: as it came in", entry.original), ("reply: as it will come", entry.reply))]
    return table(rows, title=f"What {node.title} remembers for {entry.seconds_left} more seconds")


def host_route(decision: Decision) -> note:
    """Say that a route to one address has no next hop."""
    return note(f"{decision.why}. No next hop: the pod that has the address is at the other end of the cable. "
                f"`scope {decision.route.scope}`: it is not beyond this machine.")


def decisions(lab: Lab, pod: Pod, seen: Capture, entry: Connection) -> Table:
    """Show the four routing decisions of one query and its answer, from the packets that were caught."""
    node, coredns = pod.node, server_of(lab, seen.journey())
    there, onward = _first_path(node, seen.at(pod.veth)[0], entry), _first_path(coredns.node, seen.at(coredns.node)[0])
    answering = _first_path(coredns.node, seen.at(coredns.veth)[-1], onward.connection)
    turns = ((node, there), (coredns.node, onward), (coredns.node, answering),
             (node, _first_path(node, seen.at(node)[-1], entry)))
    return table([_decision(at, path) for at, path in turns],
                 title="Four decisions: the query's two, then the answer's two")


def _first_path(node: Node, sighting: Sighting, known: Connection | None = None) -> PacketPath:
    return simulate(node.netfilter(), packet_from(sighting), known)[0]


def _decision(node: Node, path: PacketPath) -> dict[str, object]:
    route = node.netfilter().route(path.after.destination).route
    return {"on": node.title, "in by": path.packet.in_interface, "route": route.destination,
            "next hop": route.via or "none", "out by": route.device, "leaves as": path.after}


def ttl_on_the_way(journey: Journey) -> note:
    """List the TTL of the query at each place."""
    ttls = ", ".join(f"{hop.sighting.ttl} at {point_title(hop.sighting)}" for hop in journey.client_leg.queries)
    return note(f"TTL on the way there: {ttls}. Each node routes and takes one off; the host's bridge only passes "
                "frames on, and takes none.")
