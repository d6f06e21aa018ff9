"""The longest-prefix lookup gives what `ip route get` answered on every recorded node, and says why."""

from __future__ import annotations

import json

import pytest

from conftest import REPO
from kitlib import open_lab
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip
from kitlib.parsers.iptables_save import Ruleset

FACTS = [json.loads(line) for line in (REPO / "kitlib/recordings/kind-test1/facts.jsonl").read_text().splitlines()]
ASKED = [fact for fact in FACTS if fact["argv"][:3] == ["ip", "route", "get"]]
LISTED = {fact["place"]: fact["stdout"] for fact in FACTS if fact["argv"] == ["ip", "route", "show", "table", "all"]}


@pytest.fixture(scope="module")
def lab():
    return open_lab()


def kernel_at(lab, place: str) -> Netfilter:
    """A node's whole kernel; of a pod its routes and addresses."""
    if place.startswith("node:"):
        return lab.node(place.removeprefix("node:")).netfilter()
    def said(*argv: str) -> str:
        return lab.run(place, argv).stdout
    return Netfilter(Ruleset({}), ip.routes(said("ip", "route")), ip.interfaces(said("ip", "addr")))


def name_of(fact: dict) -> str:
    return f"{fact['place'].rpartition('/')[2]} {' '.join(fact['argv'][3:])}"


@pytest.mark.parametrize("fact", ASKED, ids=name_of)
def test_the_recorded_answers(lab, fact) -> None:
    answer, = ip.routes("\n".join(line.partition(" uid ")[0] for line in fact["stdout"].splitlines()))
    decision = kernel_at(lab, fact["place"]).route(fact["argv"][3])
    assert (decision.route.via, decision.device) == (answer.via, answer.device)
    if "from" not in fact["argv"]:
        assert kernel_at(lab, fact["place"]).source_for(decision) == answer.source


def test_there_are_answers_of_nodes_and_pods() -> None:
    assert len(ASKED) > 30 and {fact["place"].partition(":")[0] for fact in ASKED} == {"node", "pod"}
    assert len(LISTED) == 4


ROUTES = """default via 10.0.0.1 dev eth0
10.1.0.0/16 via 10.0.0.2 dev eth0
10.1.2.0/24 dev veth1 scope link
blackhole 10.9.0.0/16
unreachable 10.8.0.0/16
throw 10.1.2.128/25
local 10.0.0.5 dev eth0 table local proto kernel scope host src 10.0.0.5
broadcast 10.0.0.255 dev eth0 table local proto kernel scope link src 10.0.0.5
"""


@pytest.mark.parametrize(("destination", "words"), [
    ("10.1.2.3", "10.1.2.3 fits 10.1.2.0/24, a longer prefix than 10.1.0.0/16 and the default route: directly out of "
                 "veth1"),
    ("10.1.7.7", "10.1.7.7 fits 10.1.0.0/16, a longer prefix than the default route: via 10.0.0.2, out of eth0"),
    ("8.8.8.8", "8.8.8.8 fits the default route: via 10.0.0.1, out of eth0"),
    ("10.9.1.1", "10.9.1.1 fits 10.9.0.0/16, a longer prefix than the default route: blackhole, the packet is dropped, "
                 "and the sender hears nothing of it"),
    ("10.0.0.5", "10.0.0.5 has a route of its own: local, it is for this machine"),
])
def test_the_choice_is_explained(destination: str, words: str) -> None:
    assert Netfilter(Ruleset({}), ip.routes(ROUTES)).route(destination).why == words


USUAL = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"


@pytest.mark.parametrize(("routes", "device"), [
    ("default dev eth0 metric 100\ndefault dev eth1 metric 50\n", "eth1"),
    ("10.9.0.0/16 via 10.0.0.9 dev eth1 dead linkdown\ndefault dev eth0\n", "eth0"),
    ("throw 10.9.0.0/16\ndefault dev eth0\n", ""), ("throw 10.9.0.0/16\n10.9.0.1 dev eth1\n", "eth1")])
def test_metrics_dead_links_and_throw_count_as_in_the_kernel(routes: str, device: str) -> None:
    assert Netfilter(Ruleset({}), ip.routes(routes)).route("10.9.0.1").device == device


@pytest.mark.parametrize(("rules", "words"), [
    (None, "is longer than 10.9.0.0/16 of table local"), (USUAL, "is longer than 10.9.0.0/16 of table local"),
    (USUAL.replace("32766", "100:\tfrom 10.0.0.0/8 lookup 2\n32766"), "")])
def test_a_longer_prefix_than_a_local_ones_may_come_first(rules: str | None, words: str) -> None:
    """This kernel takes it until `ip rule` is changed for the first time: then table local comes first for ever."""
    routes = ip.routes("local 10.9.0.0/16 dev lo table local\n10.9.1.1 via 10.0.0.1 dev eth0\ndefault dev eth1\n")
    netfilter = Netfilter(Ruleset({}), routes, rules=rules and ip.rules(rules))
    assert words in netfilter.route("10.9.1.1").unknown and bool(words) == bool(netfilter.route("10.9.1.1").unknown)
    assert netfilter.route("10.9.1.2").is_local and not netfilter.route("10.9.1.2").unknown


@pytest.mark.parametrize("address", ["0.0.0.0", "255.255.255.255"])
def test_what_is_nobodys_address_follows_no_route(address: str) -> None:
    assert address in Netfilter(Ruleset({}), ip.routes("default via 10.0.0.1 dev eth0\n")).route(address).unknown


def test_a_packet_to_this_machine_comes_from_the_address_that_it_is_sent_to() -> None:
    netfilter = Netfilter(Ruleset({}), ip.routes("local 10.9.0.0/16 dev lo table local\n"
                                                 "local 127.0.0.0/8 dev lo table local src 127.0.0.1\n"))
    assert [netfilter.source_for(netfilter.route(each)) for each in ("10.9.1.2", "127.0.0.53")] == [
        "10.9.1.2", "127.0.0.1"]


def test_what_no_route_fits_is_said() -> None:
    decision = Netfilter(Ruleset({}), ip.routes("10.1.0.0/16 dev eth0 scope link\n")).route("8.8.8.8")
    assert decision.route is None and "no route leads there" in decision.why and not decision.is_unicast


@pytest.mark.parametrize(("address", "kind"), [
    ("10.0.0.5", "LOCAL"), ("10.0.0.255", "BROADCAST"), ("8.8.8.8", "UNICAST"), ("224.0.0.251", "MULTICAST"),
    ("0.0.0.0", "BROADCAST"), ("255.255.255.255", "BROADCAST")])
def test_address_types(address: str, kind: str) -> None:
    assert Netfilter(Ruleset({}), ip.routes(ROUTES)).type_of(address) == kind
