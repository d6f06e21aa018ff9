"""The steps of a packet that no rule decides: the routing decision, and what conntrack remembers of its connection."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from kitlib.netfilter.packet import Packet
from kitlib.netfilter.path import HookStep, PacketPath
from kitlib.netfilter.state import Decision, Netfilter
from kitlib.parsers.conntrack import Connection, Tuple

CHANGES_DESTINATION = ("PREROUTING", "OUTPUT")      # nat at the other two hooks changes the source


def route_step(netfilter: Netfilter, hook: str, path: PacketPath) -> tuple[PacketPath, tuple[str, ...]]:
    """Add the routing decision to a path; return also the hooks that come next if the packet came in."""
    here, decision = path.after, netfilter.route(path.after.destination)
    step, end, why = HookStep(hook, "", here, here, decision.why), "", ""
    refused, condition = _refusal(netfilter, here, decision)
    more = () if not here.in_interface else ("input",) if decision.is_local else ("forward", "postrouting")
    if decision.unknown:
        end, why = "is undecided", decision.unknown
    elif here.in_interface and ip_address(here.destination).is_multicast:
        end, why = "is undecided", "which multicast groups this machine has joined, or forwards, is not known here"
    elif refused or not (decision.is_local or decision.is_unicast):
        end = f"is lost: {refused or decision.why}"
    elif here.in_interface and not decision.is_local and not netfilter.forwards:
        setting = "net.ipv6.conf.all.forwarding" if ":" in here.destination else "net.ipv4.ip_forward"
        step = replace(step, why=f"{decision.why}, but {setting} is 0: this machine forwards nothing")
        end = f"is lost: {setting} is 0"
    elif not (here.in_interface and decision.is_local):
        step = replace(step, after=here._replace(out_interface=decision.device))
    assumptions = (*path.assumptions, condition) if condition and not end else path.assumptions
    return replace(path, hook_steps=(*path.hook_steps, step), end=end, why=why, assumptions=assumptions), more


def _refusal(netfilter: Netfilter, here: Packet, decision: Decision) -> tuple[str, str]:
    """Say why a packet is lost whose addresses do not belong on its interface; or, where not known, if it is let in.

    Sources: net/ipv4/route.c, ip_route_input_slow and __mkroute_output; net/ipv4/fib_frontend.c, fib_validate_source.
    """
    interface, back = here.in_interface or decision.device, netfilter.route(here.source)
    if netfilter.settings is None or ":" in here.source or interface in ("", "lo") or back.unknown:
        return "", ""
    loopback = [address for address in (here.source, here.destination) if ip_address(address).is_loopback]
    if loopback:
        words, name, fine = f"{loopback[0]} is a loopback address, and {interface} none", "route_localnet", {1}
    elif not here.in_interface or (back.is_unicast and back.device == interface):
        return "", ""
    elif back.is_local:
        words, name, fine = f"{here.source} is this machine's own, and it came in by {interface}", "accept_local", {1}
    else:
        words = f"it came in by {interface}, and an answer to {here.source} would leave by {back.device or 'nowhere'}"
        name, fine = "rp_filter", {0, 2} if back.is_unicast else {0}
    value = netfilter.setting(name, interface)
    if value is None:
        return "", f"{name}, which is not known here, lets it through ({words})"
    return ("" if value in fine else f"{words} ({name} is {value})"), ""


def remembered_step(hook: str, path: PacketPath, connection: Connection | None) -> HookStep:
    """Pass nat with a packet of a known connection: conntrack repeats or undoes what was decided, no rule is read."""
    here = path.after
    if connection is None:
        why = "not the first packet of its connection" if here.states & {"ESTABLISHED", "RELATED"} else \
            "conntrack does not follow this packet"
        return HookStep(hook, "nat", here, here, f"{why}: nat's rules are not read")
    answers = is_reply(path.packet, connection)
    towards = connection.original.inverse if answers else connection.reply.inverse
    if hook in CHANGES_DESTINATION:
        after = here._replace(destination=towards.destination.address, dport=towards.destination.port or None)
    else:
        after = here._replace(source=towards.source.address, sport=towards.source.port or None)
    how = "undoes" if answers else "repeats"
    rewrite = f"conntrack {how} the rewrite: {here} becomes {after}" if after != here else "nothing was rewritten"
    return HookStep(hook, "nat", here, after, f"not the first packet of its connection: {rewrite}")


def is_reply(packet: Packet, connection: Connection) -> bool:
    """Tell whether it answers. What comes by lo has had its rewrite undone already, where it was made."""
    return any(_fits(packet, direction) for direction in (connection.reply, connection.original.inverse))


def _fits(packet: Packet, direction: Tuple) -> bool:
    """Tell whether this packet, as it came in, belongs to that direction of a connection."""
    return ((packet.source, packet.sport) == tuple(direction.source)
            and direction.destination.port in (0, packet.dport))


def ending(after: Packet) -> str:
    """Say how a path ends that nothing has stopped."""
    out = after.out_interface
    return "comes in again by lo" if out == "lo" else f"goes out of {out}" if out else "is delivered here"
