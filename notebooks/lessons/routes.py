"""The questions of notebook 07: routes there and back, and the connection that the node remembers."""

from __future__ import annotations

from kitlib.lab import Lab
from kitlib.netfilter.path import PacketPath
from kitlib.parsers.conntrack import Connection
from kitlib.place import Node, Pod
from kitlib.quiz import Quiz, address


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
        hint="The rules of KUBE-SERVICES are about ClusterIPs. Which destination does this packet have?",
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
