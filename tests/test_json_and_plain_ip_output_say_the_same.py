"""`ip -j` and plain `ip` give the same interfaces and routes, for every node, namespace and pod that was recorded."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kitlib.parsers import ip
from kitlib.parsers.ip import Interface, Route

COMMANDS = {
    (line["place"], line["command"]): line["stdout"]
    for line in map(json.loads, (Path(__file__).parent / "fixtures/ip/commands.jsonl").read_text().splitlines())
}
PLAIN = [key for key in COMMANDS if " -j " not in key[1] and "netns list" not in key[1]]


def as_json(place: str, command: str) -> str:
    """The JSON of the same command, or of the same command for all interfaces."""
    told = re.sub(r"\bip (?=addr|link|route)", "ip -j ", command)
    candidates = [told, told.replace(" show eth0", ""), told.replace("-j link", "-j -d link")]
    return next(COMMANDS[place, each] for each in candidates if (place, each) in COMMANDS)


def namespaces(place: str) -> dict[str, int]:
    listing = COMMANDS.get((place, "ip netns list"), "")
    return {name: int(number) for name, number in re.findall(r"(\S+) \(id: (\d+)\)", listing)}


@pytest.mark.parametrize(("place", "command"), [key for key in PLAIN if " route" not in key[1]], ids=" ".join)
def test_interfaces(place, command):
    plain, full = ip.interfaces(COMMANDS[place, command]), ip.interfaces(as_json(place, command))
    if command.endswith("show eth0"):
        full = tuple(each for each in full if each.name == "eth0")
    # Plain text names the other end's namespace where it has a name; JSON always numbers it.
    numbers = namespaces(place)
    plain = tuple(
        replace(each, peer_netnsid=numbers[each.peer_namespace], peer_namespace="") if each.peer_namespace else each
        for each in plain)
    assert plain == full


@pytest.mark.parametrize(("place", "command"), [key for key in PLAIN if " route" in key[1]], ids=" ".join)
def test_routes(place, command):
    assert ip.routes(COMMANDS[place, command]) == ip.routes(as_json(place, command))


def test_both_ends_of_the_cable_of_my_nginx():
    node = {each.name: each for each in ip.interfaces(COMMANDS["node:kind-test1-worker3", "ip addr"])}
    pod = {each.name: each for each in
           ip.interfaces(COMMANDS["pod:default/my-nginx-84bbfd8fd5-qbh65", "ip -j addr"])}
    assert node["veth4b6923b0"].peer_index == pod["eth0"].index == 2
    assert pod["eth0"].peer_index == node["veth4b6923b0"].index == 3
    assert node["veth4b6923b0"].peer_namespace.startswith("cni-")
    assert pod["eth0"] == Interface(
        2, "eth0", "aa:da:0c:43:17:a5", 1500, "UP", ("10.244.2.3/24", "fe80::a8da:cff:fe43:17a5/64"), 3, "", 0)


def test_routes_of_the_node():
    found = ip.routes(COMMANDS["node:kind-test1-worker3", "ip route"])
    assert found[0] == Route("default", "172.20.0.1", "eth0")
    assert Route("10.244.2.3", "", "veth4b6923b0", scope="host") in found
    assert Route("172.20.0.0/16", "", "eth0", "172.20.0.4", "link", "kernel") in found


def test_a_blackhole_has_no_device():
    broken = ip.routes(COMMANDS["fault route-blackhole, node:kind-test1-worker3", "ip route"])
    assert Route("10.244.0.0/25", type="blackhole") in broken


def test_a_table_without_routes():
    assert ip.routes("") == ip.routes("[ ]\n") == ()


def test_a_link_within_the_namespace_is_given_by_name():
    plain = ("4: a@b: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000\n"
             "    link/ether 02:00:00:00:00:0a brd ff:ff:ff:ff:ff:ff\n"
             "5: b@a: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000\n"
             "    link/ether 02:00:00:00:00:0b brd ff:ff:ff:ff:ff:ff\n")
    full = json.dumps([
        {"ifindex": 4, "link": "b", "ifname": "a", "mtu": 1500, "operstate": "UP", "address": "02:00:00:00:00:0a"},
        {"ifindex": 5, "link": "a", "ifname": "b", "mtu": 1500, "operstate": "UP", "address": "02:00:00:00:00:0b"}])
    assert ip.interfaces(plain) == ip.interfaces(full)
    assert [each.peer_index for each in ip.interfaces(plain)] == [5, 4]
