"""The questions of notebook 10, and what it says: in nftables mode a map takes the place of iptables' list of rules."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kitlib.backends import KUBE_PROXY
from kitlib.drawings.drawing import note
from kitlib.drawings.rule_walk import stop
from kitlib.drawings.table import Table, table
from kitlib.errors import NotFound, ParseError
from kitlib.lab import DEFAULT_RECORDING, Lab, open_lab
from kitlib.netfilter.kube_proxy import masquerade_step
from kitlib.netfilter.packet import Packet, RuleOutcome, RuleStep
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.quiz import WHAT, Quiz, number
from lessons.evidence import path_to as path_to  # what notebook 10 asks for here

OUR_TABLE = KUBE_PROXY.removeprefix("table ")
RECORDINGS = {"iptables": DEFAULT_RECORDING, "nftables": f"{DEFAULT_RECORDING}-nftables"}
LISTS = {"iptables": "KUBE-SERVICES", "nftables": "services"}       # the chain that finds a packet's Service
TO_ENDPOINT = ("JUMP:KUBE-SEP-", "GOTO:endpoint-")
PARTS = ("the address that it is for", "the protocol", "the destination port")      # of a key of the map service-ips
MANY = 10_000


def in_both_modes(lab: Lab) -> tuple[Lab, Lab]:
    """Return a lab in iptables mode and one in nftables mode: this lab, and a recorded one for the other mode."""
    here = "nftables" if KUBE_PROXY in lab.client.node.nft_tables() else "iptables"
    iptables, nftables = (lab if mode == here else open_lab("recorded", recording=recording)
                          for mode, recording in RECORDINGS.items())
    return iptables, nftables


def which_labs(iptables: Lab, nftables: Lab) -> note:
    """Say which lab shows which mode."""
    return note(f"**iptables mode:** {iptables.backend}.\n\n**nftables mode:** {nftables.backend}.")


def port_name(path: PacketPath) -> str:
    """Return how kube-proxy names the Service's port: namespace, Service, protocol and port name. Raises NotFound."""
    return path.jump("service-").split("-", 2)[2]


def base_chain_it_does_not_meet(netfilter: Netfilter, path: PacketPath) -> Quiz:
    """Ask which base chain at PREROUTING the packet is not shown to (predict)."""
    every = {f"{chain.table.removeprefix('ip ')} {chain.name}": chain.priority for chain in netfilter.nft.base_chains
             if chain.hook == "prerouting" and chain.table.startswith("ip ")}
    met = {f"{step.table.removeprefix('ip ')} {step.chain}": step for step in path.hook_steps}
    right = " and ".join(name for name in every if name not in met) or "none of them"
    return Quiz(
        f"These base chains are at PREROUTING. Which of them does {path.packet} not meet?", right, {*every, right},
        hints={name: f"It comes to this one, at priority {priority}. {stop(met[name])}."
               for name, priority in every.items() if name in met},
        hint="Chains of type nat are one group. What ends the group?",
        more="A destination can be rewritten once. Which chain of nat did that?",
        solution=f"The nat chains of a hook are asked one after the other until one rewrites the packet: "
                 f"{_where_rewritten(path)} did.")


def stops_of(path: PacketPath, title: str) -> Table:
    """List the stops of a packet in order, with the result of each."""
    return table([{"stop": step.where, "result": stop(step).partition(": ")[2]} for step in path.hook_steps],
                 title=title)


def key_it_looks_up(packet: Packet) -> Quiz:
    """Ask with which key a packet's Service is looked up in the map service-ips (predict)."""
    right = _key(packet.destination, packet.protocol, packet.dport)
    by_source = _key(packet.source, packet.protocol, packet.dport)
    by_sport = _key(packet.destination, packet.protocol, packet.sport)
    return Quiz(
        f"{packet} comes to the rule with `vmap @service-ips`. Which key does it look up?",
        right, {right, by_source, by_sport, packet.destination},
        hints={by_source: f"{packet.source} is who asks (saddr); the rule says daddr.",
               by_sport: f"{packet.sport} is the port that it comes from (sport); the rule says dport.",
               packet.destination: "The Service has several ports, each with a chain of its own."},
        hint="`ip daddr . meta l4proto . th dport`: three parts, with dots between.",
        solution=f"{right}: one entry of the map fits the whole key, and its verdict is the next chain.")


def to_another_port(paths: Mapping[str, PacketPath], dport: int) -> Quiz:
    """Ask what becomes of a query to a port that the Service does not have, in nftables mode (predict)."""
    right, elsewhere = (_at_port(paths[mode], dport).end for mode in ("nftables", "iptables"))
    service = paths["nftables"].packet.destination
    return Quiz(
        f"The same query, but to port {dport} of {service}, where no Service listens. In nftables mode it …",
        right, {right, elsewhere, "is dropped", "is delivered here"},
        hints={elsewhere: "So it does in iptables mode: no rule speaks of it. Look for `cluster-ips`.",
               "is dropped": "The rule for addresses that no Service has drops. Has no Service this address?",
               "is delivered here": f"No interface of the node has the address {service}."},
        hint="The chain cluster-ips-check looks at what no Service's chain took.",
        solution=f"It {right}; in iptables mode it {elsewhere}, to nobody.")


def ends_in_both_modes(paths: Mapping[str, PacketPath], dport: int) -> Table:
    """Show what becomes of each query at another port, and which rule decided."""
    ends = {mode: _at_port(path, dport) for mode, path in paths.items()}
    return table([{"mode": mode, "packet": str(path.packet), "what becomes of it": path.end, "because": _because(path)}
                  for mode, path in ends.items()], title=f"To port {dport}")


def found_among_many(paths: Mapping[str, PacketPath]) -> Quiz:
    """Ask how many rules a packet meets until its Service is found among very many, in nftables mode (predict)."""
    rules, native = _rules(_kernel(paths["iptables"])), _kernel(paths["nftables"]).nft
    entries = len(native.tables[OUR_TABLE].sets["service-ips"].elements)
    return Quiz(
        f"With {MANY:,} Services, how many rules look at a packet in nftables mode until its Service is found?",
        right=len(_looked_at(paths["nftables"])), read=number,
        hints={MANY: "So it may be in iptables mode, where a Service's port has a rule of its own.",
               MANY // 2: "That is the mean of a list that is read from the top. A map is not read from the top.",
               entries: f"{entries} entries are in the map today. Are they looked at one by one?",
               rules: f"{rules} rules are in KUBE-SERVICES today, a list."},
        hint="How many rules are in the chain services, whatever is in the map?",
        solution="The map is a hash table: one rule, one lookup, however many entries. In iptables mode the rule that "
                 f"fits may be number {MANY:,} of KUBE-SERVICES.")


def side_by_side(paths: Mapping[str, PacketPath]) -> Table:
    """Compare what both modes did to the same query, question by question."""
    rows = {mode: _answers(path) for mode, path in paths.items()}
    return table([{"compared": words, **{mode: rows[mode][words] for mode in rows}} for words in rows["iptables"]],
                 title="One query, both modes")


def _answers(path: PacketPath) -> dict[str, str]:
    looked_at, netfilter = _looked_at(path), _kernel(path)
    endpoint = next(step for step in path.matched if step.verdict.startswith(TO_ENDPOINT))
    return {"the rule that found its Service": looked_at[-1].rule.text, "why it fits": looked_at[-1].why,
            "it is rule": f"{len(looked_at)} of {_rules(netfilter)}",
            f"with {MANY:,} Services": "still that rule" if netfilter.nft else f"up to rule {MANY:,}",
            "the rule that chose the endpoint": endpoint.rule.text, "rewritten": _where_rewritten(path),
            "masquerade it?": masquerade_step(path).rule.text}


def rules_a_reply_meets(query: PacketPath, reply: PacketPath) -> Quiz:
    """Ask how many rules of nat a reply meets on the same node (predict)."""
    of_the_query, of_the_reply = map(_rules_of_nat, (query, reply))
    return Quiz(
        f"{of_the_query} rules of nat looked at the query. How many look at its reply {reply.packet}?",
        of_the_reply, read=number,
        hints={of_the_query: "Then its destination would be looked up in service-ips, and it is no Service's.",
               1: "What undoes the rewrite is no rule."},
        hint="Is the reply the first packet of its connection?",
        solution=lambda: next(f"{step.why}." for step in reply.hook_steps if "undoes" in step.why))


def key_over_tcp(packet: Packet) -> Quiz:
    """Ask for the key that a query over TCP looks up (check)."""
    right = _key(packet.destination, "tcp", packet.dport)

    def hint_for(given: str) -> str:
        wrong = [part for part, one, other in zip(PARTS, given.split(" . "), right.split(" . "), strict=True)
                 if one != other]
        return f"Look again at {' and '.join(wrong)}."

    return Quiz(f"{packet.source} asks {packet.destination} again, over TCP this time (dig +tcp), port {packet.dport}. "
                "Write the key that is looked up in service-ips.", right, hints=hint_for, read=key,
                hint="address . protocol . port",
                solution="The same address and port, another protocol: another key, and another chain.")


def key(answer: object) -> str:
    """Read a key of three parts, with dots, commas or spaces between; ParseError if it is none."""
    parts = [part for part in re.split(r"[\s,]+", str(answer).casefold()) if part not in ("", ".")]
    if len(parts) != len(PARTS):
        raise ParseError(WHAT, "a key of three parts: address . protocol . port", str(answer))
    return " . ".join(parts)


def _key(address: str, protocol: str, port: int | None) -> str:
    return f"{address} . {protocol} . {port}"


def _looked_at(path: PacketPath) -> list[RuleStep]:
    """Return the rules that looked for the packet's Service, up to the one that fits. Raises NotFound."""
    steps = [step for step in path.steps if step.rule and step.chain in LISTS.values()]
    for count, step in enumerate(steps, 1):
        if step.outcome is RuleOutcome.MATCHED:
            return steps[:count]
    raise NotFound(f"{path.packet} was found to be for no Service.")


def _rules(netfilter: Netfilter) -> int:
    """Return how many rules there are in the chain that finds a packet's Service."""
    chain = netfilter.nft.chain(OUR_TABLE, LISTS["nftables"]) if netfilter.nft else \
        netfilter.ruleset.chain("nat", LISTS["iptables"])
    return len(chain.lines) if chain else 0


def _where_rewritten(path: PacketPath) -> str:
    return next((step.where for step in path.hook_steps if step.before[:2] != step.after[:2]), "nowhere")


def _rules_of_nat(path: PacketPath) -> int:
    """Return how many rules of nat looked at a packet."""
    stops = [stop for stop in path.hook_steps if stop.table == "nat" or stop.chain.startswith("nat-")]
    return sum(1 for stop in stops for step in stop.steps if step.rule)


def _kernel(path: PacketPath) -> Netfilter:
    """Return the rules and routes that a path was worked out from."""
    return next(step.netfilter for step in path.hook_steps if step.netfilter)


def _at_port(path: PacketPath, dport: int) -> PacketPath:
    """Return the path of the same packet at another port, where no coin decides."""
    changed, = simulate(_kernel(path), path.packet._replace(dport=dport))
    return changed


def _because(path: PacketPath) -> str:
    """Name the rule that ended a path."""
    last = path.matched[-1]
    is_stopped = last.verdict == "DROP" and last.rule
    return f"{last.rule.text}: {last.why}" if is_stopped else "no rule of a Service speaks of this port"
