"""Plain `ip` is read as saying what `ip -j` says, for every node, namespace and pod that was recorded."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from conftest import fixture_text
from kitlib.parsers import ip
from kitlib.parsers.ip import Interface, Route

COMMANDS = {
    (line["place"], line["command"]): line["stdout"]
    for line in map(json.loads, fixture_text("ip/commands.jsonl").splitlines())
}
PLAIN = [key for key in COMMANDS if " -j " not in key[1] and "netns list" not in key[1]]


def as_json(place: str, command: str) -> list[dict]:
    """The JSON of the same command, or of the same command for all interfaces."""
    wanted = re.sub(r"\bip (?=addr|link|route)", "ip -j ", command)
    candidates = [wanted, wanted.replace(" show eth0", ""), wanted.replace("-j link", "-j -d link")]
    return json.loads(next(COMMANDS[place, each] for each in candidates if (place, each) in COMMANDS))


def as_interface(item: dict) -> Interface:
    addresses = tuple(f"{entry['local']}/{entry['prefixlen']}" for entry in item.get("addr_info", ()) if entry)
    return Interface(item["ifindex"], item["ifname"], item.get("address", ""), item["mtu"], item["operstate"],
                     addresses, item.get("link_index"))


def as_route(item: dict) -> Route:
    return Route(item["dst"], item.get("gateway", ""), item.get("dev", ""), item.get("prefsrc", ""),
                 item.get("scope", ""), item.get("protocol", ""), item.get("type", "unicast"),
                 item.get("table", "main"))


@pytest.mark.parametrize(("place", "command"), [key for key in PLAIN if " route" not in key[1]], ids=" ".join)
def test_interfaces(place, command):
    full = [item for item in as_json(place, command) if item]
    if command.endswith("show eth0"):
        full = [item for item in full if item["ifname"] == "eth0"]
    found = ip.interfaces(COMMANDS[place, command])
    assert [replace(each, peer_namespace="") for each in found] == [as_interface(item) for item in full]
    # Plain text names the other end's namespace where it has a name; JSON always numbers it.
    listing = COMMANDS.get((place, "ip netns list"), "")
    numbers = {name: int(number) for name, number in re.findall(r"(\S+) \(id: (\d+)\)", listing)}
    assert all(numbers[each.peer_namespace] == item["link_netnsid"] for each, item in zip(found, full, strict=True)
               if each.peer_namespace)


@pytest.mark.parametrize(("place", "command"), [key for key in PLAIN if " route" in key[1]], ids=" ".join)
def test_routes(place, command):
    assert list(ip.routes(COMMANDS[place, command])) == [as_route(item) for item in as_json(place, command)]


def test_both_ends_of_the_cable_of_my_nginx():
    node = {each.name: each for each in ip.interfaces(COMMANDS["node:kind-test1-worker3", "ip addr"])}
    pod = {each.name: each for each in
           ip.interfaces(COMMANDS["pod:default/my-nginx-84bbfd8fd5-qbh65", "ip addr"])}
    assert node["veth4b6923b0"].peer_index == pod["eth0"].index == 2
    assert pod["eth0"].peer_index == node["veth4b6923b0"].index == 3
    assert node["veth4b6923b0"].peer_namespace.startswith("cni-")
    assert pod["eth0"] == Interface(
        2, "eth0", "aa:da:0c:43:17:a5", 1500, "UP", ("10.244.2.3/24", "fe80::a8da:cff:fe43:17a5/64"), 3)


def test_routes_of_the_node():
    found = ip.routes(COMMANDS["node:kind-test1-worker3", "ip route"])
    assert found[0] == Route("default", "172.20.0.1", "eth0")
    assert Route("10.244.2.3", "", "veth4b6923b0", scope="host") in found
    assert Route("172.20.0.0/16", "", "eth0", "172.20.0.4", "link", "kernel") in found


def test_a_blackhole_has_no_device():
    broken = ip.routes(COMMANDS["fault route-blackhole, node:kind-test1-worker3", "ip route"])
    assert Route("10.244.0.0/25", type="blackhole") in broken


def test_a_table_without_routes():
    assert ip.routes("") == ()


def test_a_link_within_the_namespace_is_given_by_name():
    plain = ("4: a@b: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000\n"
             "    link/ether 02:00:00:00:00:0a brd ff:ff:ff:ff:ff:ff\n"
             "5: b@a: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000\n"
             "    link/ether 02:00:00:00:00:0b brd ff:ff:ff:ff:ff:ff\n")
    assert [each.peer_index for each in ip.interfaces(plain)] == [5, 4]
