"""Bad input for every parser and for the rule walk: nothing but the kit's own errors may come out.

Real text and real captures are damaged at random: bytes changed, cut, repeated, moved, numbers made huge.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO / "benchmarks"), str(REPO)]

from generated_rules import ruleset  # noqa: E402

from kitlib.errors import KitError, ParseError  # noqa: E402
from kitlib.journey.join import join  # noqa: E402
from kitlib.netfilter.compare import traced_paths  # noqa: E402
from kitlib.netfilter.packet import Packet  # noqa: E402
from kitlib.netfilter.simulate import simulate  # noqa: E402
from kitlib.netfilter.state import Netfilter  # noqa: E402
from kitlib.parsers import conntrack, dns, docker, ip, iptables_save, kubernetes, nft, nft_monitor, resolv_conf  # noqa: E402
from kitlib.parsers.header_fields import header_fields  # noqa: E402
from kitlib.parsers.pcap import frames  # noqa: E402
from kitlib.parsers.process_flags import flag  # noqa: E402
from kitlib.parsers.sightings import read_frames  # noqa: E402
from kitlib.parsers.xtables_monitor import traces  # noqa: E402
from kitlib.search_list import search_candidates  # noqa: E402

FIXTURES = REPO / "tests" / "fixtures"
RECORDING = REPO / "kitlib" / "recordings" / "kind-test1-nftables"
IP_RULES = "0:\tfrom all lookup local\n100:\tfrom 10.0.0.5 lookup 2\n32766:\tfrom all lookup main\n"
NFT_TRACE = """trace id 1a ip kube-proxy nat-prerouting packet: iif "veth0" ip saddr 10.0.0.1 \
ip daddr 10.96.0.10 ip ttl 64 ip id 1 ip protocol udp ip length 60 udp sport 4000 udp dport 53 udp length 40 @th,64,8 1
trace id 1a ip kube-proxy nat-prerouting rule jump services # handle 7 (verdict jump services)
trace id 1a ip kube-proxy services policy accept meta mark 0x00000002
"""
PIECES = ("", "-", "!", " ", "\n", '"', "0", ":", "/", ".", ",", "[", "]", "{", "}", "=", "\0", "é", "\u202e", "::1",
          "-1", "9" * 30, "255.255.255.255", "fd00::1", "null", "[]", "src=", " -m ", " -j ", "%")
EXTRA = ("-m recent --rcheck --seconds x --name y --rsource", "-m recent --set", "-m statistic --mode nth --every 0",
         "-m statistic --mode random", "-m tcp --tcp-flags SYN", "-m rpfilter --invert", "-m iprange --src-range 1-2",
         "-m multiport --dports 1:,2", "-m mark --mark x/y", "-m addrtype --dst-type WHAT", "-m u32 --u32 1=1",
         "-m conntrack --ctstate", "-m set --match-set a src", "-m hashlimit", "-m owner --uid-owner 0", "-s ::1",
         "-d 10.0.0.0/33", "-p 999", "-i +", "-m limit")
ADDRESSES = ("10.1.0.7", "10.9.9.9", "fd00::1", "::", "0.0.0.0", "224.0.0.1", "127.0.0.1", "10.96.0.10", "fe80::1%eth0")
CONNECTIONS = ("udp      17 29 src=10.1.0.7 dst=10.96.0.10 sport=4000 dport=53 src=10.244.0.3 dst=10.1.0.7 sport=53 "
               "dport=4000 [ASSURED] mark=0 zone=3 use=1\nunknown  4 599 src=192.0.2.1 dst=192.0.2.2 src=192.0.2.2 "
               "dst=192.0.2.1 mark=0 use=1\n")


def texts() -> dict[str, tuple[str, Callable[[str], object]]]:
    """Return for each parser of text what it reads, and how it is called."""
    fixture = lambda name: (FIXTURES / name).read_text(encoding="utf-8")        # noqa: E731
    asked = [json.loads(line) for line in fixture("ip/commands.jsonl").splitlines()]
    answer = {entry["command"]: entry["stdout"] for entry in asked if entry["place"].endswith("worker3")}
    return {
        "conntrack": (CONNECTIONS, conntrack.connections), "resolv.conf": (fixture("resolv_conf/pod.txt"), _resolver),
        "networks": (fixture("docker/network-inspect-kind.json"), docker.networks),
        "pods": (fixture("kubectl/pod-my-nginx.json"), kubernetes.pods),
        "services": (fixture("kubectl/services.json"), kubernetes.services),
        "endpoints": (fixture("kubectl/endpointslices.json"), kubernetes.endpoints),
        "nodes": (fixture("kubectl/nodes.json"), kubernetes.nodes),
        "addresses": (answer["ip addr"], ip.interfaces), "routes": (answer["ip route"], _routes),
        "processes": (fixture("ps/control-plane.txt"),
                      lambda text: flag(text, "kube-controller-manager", "cluster-cidr")),
        "ip rule": (IP_RULES, _ip_rules),
        "nft": (_nft_rules(), nft.ruleset), "nft trace": (NFT_TRACE, nft_monitor.traces),
        "rules": (fixture("iptables/save-1.8.9.txt"), _every_rule),
        "trace": (fixture("bridge-cni/xtables-monitor.txt"), _traced_paths)}


def _nft_rules() -> str:
    """Return what kube-proxy has at a recorded node in nftables mode."""
    facts = map(json.loads, (RECORDING / "facts.jsonl").read_text(encoding="utf-8").splitlines())
    return next(fact["stdout"] for fact in facts if fact["argv"] == ["nft", "-j", "list", "ruleset"])


def nft_walk(text: str, chance: random.Random) -> None:
    """Walk a packet of odd values through rules of nftables of which some parts are others."""
    parts = json.loads(text)["nftables"]
    for _ in range(chance.randint(1, 3)):
        at: object = parts
        while isinstance(at, dict | list) and at:
            inside, key = at, chance.choice([*at] if isinstance(at, dict) else range(len(at)))
            at = at[key]
            if chance.random() < 0.1:
                break
        inside[key] = chance.choice((None, {}, [], "x", -1, 9 ** 30, True, "10.0.0.0/33", *PIECES))
    ruleset = nft.ruleset(json.dumps({"nftables": parts}))
    packet = Packet(chance.choice(ADDRESSES), chance.choice(ADDRESSES), chance.choice(("udp", "tcp", "9")), 4000, 53,
                    chance.choice(("eth0", "")))
    netfilter = Netfilter(iptables_save.parse(""), ip.routes("default via 10.0.0.1 dev eth0\n"), nft=ruleset)
    found = simulate(netfilter, packet)
    assert abs(sum(path.probability for path in found) - 1) < 1e-6


def _ip_rules(text: str) -> None:
    netfilter = Netfilter(iptables_save.parse(""), ip.routes("default dev eth0\n"), rules=ip.rules(text))
    netfilter.route("10.0.0.1")


def _resolver(text: str) -> None:
    conf = resolv_conf.parse(text)
    for resolver in ("glibc", "musl"):
        search_candidates(text.split("\n")[-1][:20] or "www", conf, resolver)


def _routes(text: str) -> None:
    netfilter = Netfilter(iptables_save.parse(""), ip.routes(text))
    for address in ("10.1.0.7", "fd00::1"):
        netfilter.source_for(netfilter.route(address))


def _traced_paths(text: str) -> None:
    traced_paths(Netfilter(iptables_save.parse(""), ()), traces(text))


def _every_rule(text: str) -> None:
    for chains in iptables_save.parse(text).tables.values():
        for chain in chains.values():
            for rule in chain.rules:
                _ = rule.parts, rule.target, rule.comment


def damaged(text: str, chance: random.Random) -> str:
    """Damage a text in one to four places."""
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(text) + 1), chance.choice((0, 0, 1, 4, 30))
        part = chance.choice((*PIECES, text[at:at + 20], chance.choice(text or " ")))
        text = text[:at] + part + text[at + size:]
    return text[:chance.randrange(len(text) + 1)] if chance.random() < 0.1 else text


def damaged_bytes(data: bytes, chance: random.Random) -> bytes:
    """Damage bytes in one to six places."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.choice((0, 1, 12, 63, 192, 255, chance.randrange(256)))
    return bytes(changed[:chance.randrange(len(changed) + 1)] if chance.random() < 0.2 else changed)


def walk(chance: random.Random) -> None:
    """Walk a packet of odd values through rules in which others' conditions are mixed, damaged or not."""
    lines = [re.sub(" -j ", f" {chance.choice(EXTRA)} -j ", line, count=1) if chance.random() < 0.2 else line
             for line in ruleset(chance)]
    text = "\n".join(lines)
    for _ in range(10):
        rules = iptables_save.parse(damaged(text, chance) if chance.random() < 0.7 else text)
        routes = ip.routes("default via 10.0.0.1 dev eth0\nlocal 10.0.0.5 dev eth0 table local\n")
        packet = Packet(chance.choice(ADDRESSES), chance.choice(ADDRESSES), chance.choice(("udp", "tcp", "icmp", "9")),
                        chance.choice((None, 0, 4000, 70000)), chance.choice((None, 53, 80)),
                        chance.choice(("eth0", "", "x")))
        settings = chance.choice((None, {}, {"net.ipv4.conf.all.rp_filter": 1, "net.ipv4.conf.eth0.rp_filter": 1}))
        found = simulate(Netfilter(rules, routes, settings=settings), packet)
        assert abs(sum(path.probability for path in found) - 1) < 1e-6


def capture(chance: random.Random, files: list[bytes]) -> None:
    """Read a damaged capture file, and damaged frames of a sound one: each frame is counted."""
    data = chance.choice(files)
    packets = [dataclasses.replace(frame, data=damaged_bytes(frame.data, chance),
                                   link_type=chance.choice((frame.link_type, frame.link_type, 0, 1, 101, 113, 276, 9)))
               for frame in frames(data)[:6]]
    join(read_frames(packets).sightings)
    for frame in packets:
        try:
            header_fields(frame)
        except ParseError:
            continue
    frames(damaged_bytes(data, chance))


def mutations(chance: random.Random) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield one attempt after another without an end: what is fed, and the call."""
    known = texts()
    files = [file.read_bytes() for file in sorted((FIXTURES / "pcap").glob("*.pcap"))]
    wires = [sighting.link.data[-sighting.message.size:] for file in files
             for sighting in read_frames(frames(file)).sightings if sighting.protocol == "UDP"]
    while True:
        for name, (text, parse) in known.items():
            yield name, lambda parse=parse, text=text: parse(damaged(text, chance))
            yield "DNS message", lambda: dns.message(damaged_bytes(chance.choice(wires), chance))
        yield "captures", lambda: capture(chance, files)
        yield "rule walk", lambda: walk(chance)
        yield "walk through nftables", lambda: nft_walk(known["nft"][0], chance)


def fuzz(count: int, seed: int) -> tuple[Counter, list[str]]:
    """Try so many; return how many gave an answer or an error of the kit's own, and what else came out."""
    outcomes, strange = Counter(), []
    for number, (name, attempt) in enumerate(mutations(random.Random(seed))):
        if number == count:
            return outcomes, strange
        try:
            attempt()
            outcomes["read"] += 1
        except KitError:
            outcomes["refused"] += 1
        except Exception:
            strange.append(f"{name}, attempt {number} of seed {seed}:\n{traceback.format_exc()}")
    return outcomes, strange


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mutations", nargs="?", type=int, default=200_000, help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what is damaged, and how (default %(default)s)")
    arguments = parser.parse_args()
    tried, escaped = fuzz(arguments.mutations, arguments.seed)
    print(f"{tried['read']:,} read, {tried['refused']:,} refused with the kit's own error, {len(escaped):,} escaped")
    print("\n".join(escaped[:5]))
    sys.exit(1 if escaped else 0)
