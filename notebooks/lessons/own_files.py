"""The files and questions of notebook 11: what each file of a query adds to the others."""

from __future__ import annotations

from collections.abc import Mapping

from kitlib.capture import Capture
from kitlib.errors import first_of
from kitlib.journey.model import Journey
from kitlib.lab import Lab
from kitlib.parsers.pcap import write_pcapng
from kitlib.place import Place, Pod
from kitlib.quiz import Quiz


def example_files(lab: Lab, seen: Capture) -> dict[str, bytes]:
    """Return what somebody would bring of this query, by name: captures, and texts of the client and its node."""
    pod, node = lab.client, lab.client.node
    places = {place.id: place for place in (lab.host, *lab.nodes, *lab.every_pod, *lab.containers)}
    captures = {f"{_where(places[point.place])}_{point.interface}.pcapng": write_pcapng(seen.frames(point))
                for point in seen.points if seen.frames(point)}
    texts = {f"{node.title}_rules.txt": node.run("iptables-save"), f"{node.title}_routes.txt": node.run("ip", "route"),
             f"{node.title}_addresses.txt": node.run("ip", "addr"),
             f"{_where(pod)}_resolv.conf": pod.run("cat", "/etc/resolv.conf")}
    if node.netfilter().nft:
        texts[f"{node.title}_nft.json"] = node.run("nft", "-j", "list", "ruleset")
    return captures | {name: result.text.encode() for name, result in texts.items()}


def _where(place: Place) -> str:
    if not isinstance(place, Pod):
        return place.title
    return f"{place.name if place.kind == 'coredns' else place.title}@{place.node.title}"


def captures_at(files: Mapping[str, bytes], place: str) -> dict[str, bytes]:
    """Return the captures whose names begin with this place."""
    return {name: data for name, data in files.items() if name.startswith(place) and name.endswith(".pcapng")}


def without(files: Mapping[str, bytes], word: str) -> dict[str, bytes]:
    """Return the files whose names do not have this word."""
    return {name: data for name, data in files.items() if word not in name}


def cut(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files with the first of them cut in its first frame, as where a disk was full."""
    name = min(files)
    return {**files, name: files[name][:120]}


def who_answers_as_the_client_sees_it(journey: Journey) -> Quiz:
    """Ask whom the client's own capture names as the one who answered (predict); `journey` is seen everywhere."""
    leg = journey.client_leg
    hints = {str(leg.endpoint): f"{leg.endpoint} stands in the query where it came farthest. Does it in the pod?",
             str(leg.client): f"{leg.client} is the pod that asks."}
    hints |= {str(each.server): f"{each.server} was asked, but not by the pod." for each in journey.upstream_legs}
    return Quiz(
        "With the pod's own capture and nothing else: who will have answered?", right=str(leg.server),
        choices={str(leg.server), *hints}, hints=hints, hint="To whom does the pod send its query?",
        more="The rewrite happens on the node. The pod's side of the cable never sees it.",
        solution=f"{leg.server} is all that the pod ever sees: the way back undoes the rewrite.")


def whose_rules(journey: Journey) -> Quiz:
    """Ask which machine's rules tell why the destination was rewritten (check)."""
    machines = tuple(dict.fromkeys(hop.sighting.point.machine for hop in journey.client_leg.queries))
    hop = first_of((hop for hop in journey.client_leg.queries if hop.rewrites),
                   "No rewrite is seen in this capture, so there is nothing to ask about here.")
    right = hop.sighting.point.machine
    hints = {machine: f"Where the query was seen on {machine} first, is its destination another one than before?"
             for machine in machines if machine != right}
    return Quiz(
        "Rules of one machine are enough to see why the destination was rewritten. Whose?", right=right,
        choices=set(machines), hints=hints, hint="In the ladder, find the line that says so.",
        more=f"It says: {hop.rewrites[0]}.", solution=f"{right}: it is rewritten between two places there.")
