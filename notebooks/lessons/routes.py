"""The questions of notebook 07: routes there and back, and the connection that the node remembers."""

from __future__ import annotations

from kitlib.lab import Lab
from kitlib.netfilter.path import PacketPath
from kitlib.parsers.conntrack import Connection
from kitlib.place import Node, Pod
from kitlib.quiz import Quiz, address


def next_hop(lab: Lab, node: Node, destination: str) -> Quiz:
    """07, predict: which machine a node hands a packet to."""
    decision = node.netfilter().route(destination)
    owners = {at.address: at.title for at in (*lab.nodes, lab.host)}
    via = {route.via or destination for route in (*node.routes(), decision.route) if route}
    hints = {route.via: f"{route.via} ({owners.get(route.via, 'nobody here')}) is the next hop for {route.destination}"
             for route in node.routes() if route.via}
    return Quiz(
        f"{node.title} has a packet for {destination}. To which address does it hand it next?",
        right=lambda: decision.route.via or destination, read=address, choices=tuple(via - {""}),
        hints={hop: f"{words}. Does {destination} lie in there, and in nothing narrower?"
               for hop, words in hints.items()} |
              {destination: f"No interface of {node.title} is in a network with {destination}: somebody must forward."},
        hint="Of the routes that fit, the one with the longest prefix counts.", solution=lambda: f"{decision.why}.")


def rewritten_again(node: Node, walk: PacketPath) -> Quiz:
    """07, predict: what a node that the packet comes to later rewrites."""
    shown = {part: (getattr(walk.packet, part), getattr(walk.after, part)) for part in ("destination", "source")}
    changed = " and ".join(f"the {part}" for part, (before, after) in shown.items() if before != after) or "nothing"
    told = {f"the {part}": f"The {part} is {before} when it comes in, {after} when it leaves."
            for part, (before, after) in shown.items()}
    return Quiz(
        f"{node.title} has kube-proxy's rules too. What of {walk.packet} does it rewrite?",
        changed, (*told, "the destination and the source", "nothing", changed),
        hints=told | {"the destination and the source": " ".join(told.values())},
        hint="The rules of KUBE-SERVICES are about ClusterIPs. Which destination does this packet have?",
        solution=" ".join(told.values()))


def who_will_answer(pod: Pod, entry: Connection) -> Quiz:
    """07, predict: the source that the node expects in the reply, before it undoes anything."""
    service = entry.original.destination.address
    return Quiz(
        f"From which address does {pod.node.title} expect the reply to come in?",
        right=lambda: entry.reply.source.address, read=address,
        choices=tuple({entry.reply.source.address, service, pod.node.address, pod.address}),
        hints={service: f"{service} is what the pod wrote, and what it must hear from. But who will send the reply?",
               pod.address: f"{pod.address} is where the reply goes.",
               pod.node.address: f"{pod.node.address} only forwards: its address stands in no packet here."},
        hint="Who gets the query once its destination is rewritten?",
        solution=lambda: f"{entry.reply.source} → {entry.reply.destination} is the entry's second tuple.")


def where_it_is_undone(walk: PacketPath) -> Quiz:
    """07, predict: the stop at which the reply gets the source that the pod expects."""
    stops = {f"{passage.table} at {passage.hook}" if passage.table else passage.hook: passage
             for passage in walk.hook_steps}
    right = next((stop for stop, passage in stops.items() if passage.before.source != passage.after.source), "nowhere")
    chosen = tuple(stop for stop in stops if stop == right or not stop.startswith(("raw", "mangle")))
    return Quiz(
        "Where does the reply get back the source that the pod expects?", right, (*chosen, "nowhere"),
        hints={stop: f"{stop}: {passage.before} comes in, {passage.after} goes on."
               for stop, passage in stops.items()} | {"nowhere": f"The pod asked {walk.after.source}, and "
                                                                  "throws away what others send."},
        hint="A destination can be changed before routing; a source is changed last.",
        solution=lambda: f"{stops[right].why}." if right in stops else "Nothing was rewritten.")
