"""The questions of notebook 01, and what it says of the lab: which address belongs to whom."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address, ip_network

from kitlib.drawings.drawing import note
from kitlib.drawings.table import Table, table
from kitlib.errors import NotFound, NotRecorded
from kitlib.lab import Lab
from kitlib.place import Pod
from kitlib.quiz import Quiz, some_of


def range_of_the_dns_service(lab: Lab) -> Quiz:
    """Ask which range the address of the DNS Service comes from (predict)."""
    service, subnet = lab.topology.dns_service, lab.topology.subnet
    pods, services = lab.topology.pod_range, lab.topology.service_range
    ranges = {f"the Service range, {services}": services, f"the pod range, {pods}": pods,
              f"the subnet of the nodes, {subnet}": subnet}
    examples = {pods: f"Pods have addresses such as {lab.coredns[0].address}, a CoreDNS pod.",
                subnet: f"Nodes have addresses such as {lab.nodes[0].address}, {lab.nodes[0].title}.",
                services: f"Services have addresses such as {service}."}
    return Quiz(
        f"The Service {lab.dns_service_name[1]} has the address {service}. Which range does it come from?",
        right=lambda: _only([choice for choice, net in ranges.items() if ip_address(service) in ip_network(net)]),
        choices=set(ranges),
        hints={choice: f"{examples[net]} {service} lies outside {net}." for choice, net in ranges.items()},
        hint="With which range do the first numbers of the address agree?",
        solution=f"{service} is a ClusterIP, so it lies in {services}, which the controller-manager's flag "
                 "service-cluster-ip-range names.")


def nodes_of_coredns(lab: Lab) -> Quiz:
    """Ask which nodes the CoreDNS pods run on (check)."""
    spellings = {spelling.casefold(): node.title for node in lab.nodes for spelling in (node.title, node.name)}
    right = frozenset(pod.node.title for pod in lab.coredns)
    listed = " and ".join(pod.address for pod in lab.coredns)

    def hint_for(given: frozenset[str]) -> str:
        wrong = sorted(given - right)
        if not wrong:
            return f"Not all of them: there are {len(lab.coredns)} CoreDNS pods, {listed}."
        node = lab.node(wrong[0])
        return f"{node.title} hands out {node.pod_range}; the CoreDNS pods have {listed}."

    return Quiz(
        "On which nodes do the CoreDNS pods run? (Several: with commas between.)",
        right, hints=hint_for, read=partial(some_of, spellings),
        hint=f"Each node has a pod range of its own; the CoreDNS pods have {listed}.",
        solution="; ".join(f"{pod.title} runs on {pod.node.title}" for pod in lab.coredns) + ".")


def address_of_no_interface(lab: Lab, pod: Pod) -> Quiz:
    """Ask which address no interface has (check)."""
    owners = {at.address: f"{at.title} has it" for at in (*lab.nodes, *lab.containers, *lab.pods())}
    owners |= {lab.topology.gateway: f"the host's bridge {lab.topology.bridge} has it"}
    for place in (*lab.nodes, pod):
        for interface in place.interfaces():
            owners |= {each.partition("/")[0]: f"{place.title} has it on {interface.name}"
                       for each in interface.addresses}
    choices = (pod.address, lab.topology.dns_service, lab.coredns[0].address, pod.node.address, lab.topology.gateway)
    return Quiz(
        "Which of these addresses belongs to no interface anywhere?",
        right=lambda: _only([address for address in choices if address not in owners]),
        choices=set(choices),
        hints={address: f"{address}: {owners[address]}." for address in choices if address in owners},
        hint="Look for each address in what `ip addr` says in the pod and on the nodes.",
        solution="A ClusterIP is on no interface. Who answers there, notebook 05 catches.")


def _only(found: Sequence[str]) -> str:
    if len(found) != 1:
        raise NotFound(f"This lab has not one right answer to this question but {len(found)}: {', '.join(found)}.")
    return found[0]


def addresses_of_the_host(lab: Lab) -> Table:
    """List the host's own IPv4 addresses, by interface, from `ip addr`; where that was not recorded, its bridge's."""
    try:
        interfaces = json.loads(lab.host.run("ip", "-j", "-d", "addr").text)
    except NotRecorded:
        return table([{"interface": lab.network.bridge, "address": lab.network.gateway}],
                     title="The host's address on its bridge (its others were not recorded)")
    rows = [{"interface": each["ifname"], "address": f"{address['local']}/{address['prefixlen']}"}
            for each in interfaces for address in each["addr_info"] if address["family"] == "inet"]
    return table(rows, title="The host's own addresses")


def network_of_the_nodes(lab: Lab) -> note:
    """Say which network the nodes are in, and who its gateway is."""
    network = lab.network
    return note(f"All of them are in **{network.subnet}**. The gateway **{network.gateway}** is the host's own end "
                f"of the bridge `{network.bridge}`.")


def ranges_of_addresses(lab: Lab) -> note:
    """Name the three ranges: of pods, Services and nodes."""
    return note(f"Pods: **{lab.ranges.pods}**. Services: **{lab.ranges.services}**. Nodes: **{lab.network.subnet}**.")


def holders(lab: Lab, address: str) -> note:
    """Say how many machines and pods hold this address."""
    owners = [place.address for place in (lab.host, *lab.nodes, *lab.pods(), *lab.containers)]
    return note(f"`{address}` is the address of {owners.count(address)} of the {len(set(owners))} addresses that a "
                "machine or pod holds. A ClusterIP is on no interface anywhere, and yet pods send packets there every "
                "second. Who answers?")
