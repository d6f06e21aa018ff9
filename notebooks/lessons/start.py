"""The questions of notebook 00: on which node the pod of the walkthrough runs."""

from __future__ import annotations

from kitlib.lab import Lab
from kitlib.place import Pod
from kitlib.quiz import Quiz, address


def node_of_the_pod(lab: Lab, pod: Pod) -> Quiz:
    """Ask which node the pod runs on (predict)."""
    return Quiz(
        f"On which node does {pod.title}, {pod.address}, run?", right=pod.node.title,
        choices={node.title for node in lab.nodes},
        hints={node.title: f"{node.title} gives its pods addresses from {node.pod_range}." for node in lab.nodes},
        hint="The addresses of the pods of one node begin alike. A guess is enough: the next cell shows it.",
        solution=f"{pod.node.title} gives its pods addresses from {pod.node.pod_range}.")


def address_of_the_node(lab: Lab, pod: Pod) -> Quiz:
    """Ask for the address of the pod's node (check)."""
    others = {node.address: f"{node.address} is {node.title}; {pod.title} runs on {pod.node.title}."
              for node in lab.nodes}
    return Quiz(
        f"Which address has the node that {pod.title} runs on?", right=pod.node.address, read=address,
        hints=others | {pod.address: f"{pod.address} is the pod's own address.",
                        lab.host.address: f"{lab.host.address} is the host's end of the bridge."},
        hint="Find the pod in the picture: the frame around it is its node, with the node's address.",
        solution=f"{pod.node.title} has {pod.node.address} on Docker's network, {lab.network.subnet}.")
