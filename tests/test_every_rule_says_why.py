"""The rule walk says of every rule whether it matched and why; what it does not know it names and never guesses."""

from __future__ import annotations

import pytest

from conftest import captured_dig
from kitlib import open_lab, packet_from, simulate
from kitlib.netfilter.packet import Packet, RuleOutcome
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip
from kitlib.parsers.conntrack import connections
from kitlib.parsers.iptables_save import parse

ROUTES = """default via 10.0.0.1 dev eth0
10.1.2.0/24 dev veth1 scope link src 10.1.2.1
local 10.0.0.5 dev eth0 table local scope host src 10.0.0.5
local 127.0.0.0/8 dev lo table local scope host src 127.0.0.1
"""
ADDRESSES = """1: eth0: <UP> mtu 1500 qdisc x state UP
    link/ether 02:42:ac:14:00:04 brd ff:ff:ff:ff:ff:ff
    inet 10.0.0.5/24 scope global eth0
"""
QUERY = Packet("10.1.2.3", "10.96.0.10", "udp", 40000, 53, "veth1")
OUT = Packet("10.0.0.5", "10.96.0.10", "udp", 40000, 53)


def kernel(*rules: str, table: str = "filter", hook: str = "FORWARD", policy: str = "ACCEPT",
           forwards: bool = True) -> Netfilter:
    """A kernel whose one table has these rules; a rule without -A belongs to the hook's chain."""
    lines = [rule if rule.startswith("-A") else f"-A {hook} {rule}" for rule in rules]
    chains = dict.fromkeys([hook, *(line.split()[1] for line in lines)])
    built_in = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
    policies = dict.fromkeys(built_in, "ACCEPT") | {hook: policy}
    heads = [f":{chain} {policies.get(chain, '-')} [0:0]" for chain in chains]
    ruleset = parse("\n".join([f"*{table}", *heads, *lines, "COMMIT"]))
    return Netfilter(ruleset, ip.routes(ROUTES), ip.interfaces(ADDRESSES), forwards)


def looked_at(rule: str, packet: Packet = QUERY):
    """The first step of the only way through this one rule."""
    path, = simulate(kernel(rule, hook="FORWARD" if packet.in_interface else "OUTPUT"), packet)
    assert (path.probability, path.assumptions) == (1, ())
    return path.steps[0]


@pytest.mark.parametrize(("rule", "why"), [
    ("-d 10.96.0.1/32 -j DROP", "destination is 10.96.0.10, the rule wants 10.96.0.1/32"),
    ("! -s 10.1.0.0/16 -j DROP", "source is 10.1.2.3, the rule wants anything but 10.1.0.0/16"),
    ("-i eth+ -j DROP", "in-interface is veth1, the rule wants eth+"),
    ("-o veth9 -j DROP", "out-interface is eth0, the rule wants veth9"),
    ("-p tcp -j DROP", "protocol is udp, the rule wants tcp"),
    ("-p udp -m udp --dport 54:60 -j DROP", "destination port is 53, the rule wants 54:60"),
    ("-p udp -m udp ! --sport 40000 -j DROP", "source port is 40000, the rule wants anything but 40000"),
    ("-p udp -m multiport --dports 80,443,1000:2000 -j DROP",
     "destination port is 53, the rule wants 80,443,1000:2000"),
    ("-m mark --mark 0x4000/0x4000 -j DROP", "mark is 0x0, the rule wants 0x4000/0x4000"),
    ("-m conntrack --ctstate RELATED,ESTABLISHED -j DROP",
     "conntrack state is NEW, the rule wants RELATED,ESTABLISHED"),
    ("-m state --state INVALID -j DROP", "conntrack state is NEW, the rule wants INVALID"),
    ("-m addrtype --dst-type LOCAL -j DROP", "the destination's type is UNICAST, the rule wants LOCAL"),
    ("-f -j DROP", "fragment is no, the rule wants yes"),
    ("-m iprange --src-range 10.1.2.4-10.1.2.9 -j DROP", "source is 10.1.2.3, the rule wants 10.1.2.4-10.1.2.9"),
    ("-m conntrack --ctproto 6 -j DROP", "protocol is udp, the rule wants 6"),
    ("-m owner --uid-owner 0 -j DROP", "it was not made on this machine"),
    ("-m physdev --physdev-is-bridged -j DROP", "physdev-is-bridged is no, the rule wants yes"),
    ("-m conntrack --ctstate INVALID -m nfacct --nfacct-name x -j DROP",
     "conntrack state is NEW, the rule wants INVALID"),
    ("-m recent ! --set --name X --mask 255.255.255.255 --rsource -j DROP", "-m recent --set always matches"),
])
def test_a_skipped_rule(rule: str, why: str) -> None:
    step = looked_at(rule)
    assert (step.outcome, step.verdict) == (RuleOutcome.SKIPPED, "") and step.why.startswith(why)


@pytest.mark.parametrize(("rule", "why", "verdict"), [
    ('-d 10.96.0.10/32 -p udp -m comment --comment "a \\"quoted\\" word" -m udp --dport 53 -j ACCEPT',
     "destination is 10.96.0.10, protocol is udp, destination port is 53", "ACCEPT"),
    ("-m mark ! --mark 0x4000/0x4000 -j RETURN", "mark is 0x0, not 0x4000/0x4000", "RETURN"),
    ("-j DROP", "it has no condition", "DROP"),
    ("-j REJECT --reject-with icmp-port-unreachable", "it has no condition", "DROP"),
    ("-p udp -m multiport --ports 1:60 -j LOG --log-prefix \"x \"", "protocol is udp, one of the ports is (40000, 53)",
     "CONTINUE"),
    ("-i veth1 -o eth0", "in-interface is veth1, out-interface is eth0", "CONTINUE"),
    ("-m recent --set --name X --mask 255.255.255.255 --rsource -j DROP", "it has no condition", "DROP"),
    ("-m nfacct --nfacct-name  counter -j DROP", "it has no condition", "DROP"),
    ("-p udp -m udp --dport 53 -j CT --helper tftp", "protocol is udp, destination port is 53", "CONTINUE"),
    ("-m owner ! --uid-owner 0 -j DROP", "it was not made on this machine", "DROP"),
    ("-p udp -m udp -m conntrack --ctproto 17 -j DROP", "protocol is udp, protocol is udp", "DROP"),
    ("-m iprange --src-range 10.1.2.1-10.1.2.9 -j DROP", "source is 10.1.2.3", "DROP"),
])
def test_a_rule_that_matches(rule: str, why: str, verdict: str) -> None:
    step = looked_at(rule)
    assert (step.outcome, step.why, step.verdict) == (RuleOutcome.MATCHED, why, verdict)


@pytest.mark.parametrize(("rule", "words"), [
    ("-m set --match-set blocked src -j DROP", "unknown here: -m set --match-set"),
    ("-m string --string abc --algo bm -j DROP", "what is found in it (unknown) against abc is not known"),
    ("-m u32 --u32 0x0>>0x1c=0x4 -j DROP", "unknown here: -m u32 --u32"),
    ("-j NFQUEUE --queue-num 1", "unknown here: -j NFQUEUE --queue-num"),
    ("-j CONNMARK --restore-mark", "unknown here: -j CONNMARK --restore-mark"),
    ("-m limit --limit 3/min -j DROP", "-m limit depends on the packets before this one"),
    ("-m sorcery --spell abracadabra -j DROP", "unknown here: -m sorcery --spell"),
    ("-m sorcery -j DROP", "unknown here: -m sorcery"),
    ("-j SORCERY --spell x", "unknown here: -j SORCERY --spell"),
    ("-m addrtype --dst-type BLACKHOLE -j DROP", "is not known"),
])
def test_what_is_unknown_is_named_and_both_ways_are_shown(rule: str, words: str) -> None:
    found = simulate(kernel(rule), QUERY)
    steps = [next(step for step in walk.steps if step.rule) for walk in found]
    assert all(step.outcome is RuleOutcome.UNDECIDED and words in step.why for step in steps)
    if "-j DROP" in rule:
        assert {walk.end for walk in found} == {"is dropped", "goes out of eth0"}
        assert all(words in walk.assumptions[0] for walk in found)
    else:
        assert [walk.end for walk in found] == ["is undecided"]


def test_an_unknown_match_does_not_matter_where_the_rule_only_looks() -> None:
    assert len(simulate(kernel("-m limit --limit 3/min -j LOG"), QUERY)) == 1


def test_many_unknown_rules_do_not_run_away() -> None:
    assert len(simulate(kernel(*["-m limit --limit 3/min -j DROP"] * 40), QUERY)) < 200


def test_every_endpoint_with_its_probability() -> None:
    rules = ["-d 10.96.0.10/32 -j SVC", "-A SVC -m statistic --mode random --probability 0.33333333349 -j SEP1",
             "-A SVC -m statistic --mode random --probability 0.50000000000 -j SEP2", "-A SVC -j SEP3",
             *(f"-A SEP{n} -p udp -m udp -j DNAT --to-destination 10.1.2.{n}:53" for n in (1, 2, 3))]
    found = simulate(kernel(*rules, table="nat", hook="PREROUTING"), QUERY)
    assert [(walk.after.destination, round(walk.probability, 6)) for walk in found] == [
        ("10.1.2.1", 0.333333), ("10.1.2.2", 0.333333), ("10.1.2.3", 0.333333)]
    assert all(walk.end == "goes out of veth1" and "DNAT" in walk.after.states for walk in found)
    coin = next(step for step in found[1].steps if step.rule and step.rule.target == "SEP1")
    assert coin.outcome is RuleOutcome.SKIPPED and "a coin decides: 0.333" in coin.why


@pytest.mark.parametrize(("coin", "probabilities"), [
    ("--mode random ! --probability 0.25000000000", [0.75, 0.25]), ("--mode nth --every 4 --packet 0", [0.25, 0.75]),
    ("--mode nth ! --every 4 --packet 0", [0.75, 0.25])])
def test_coins_and_counters(coin: str, probabilities: list[float]) -> None:
    found = simulate(kernel(f"-m statistic {coin} -j DROP"), QUERY)
    assert [walk.probability for walk in found] == probabilities
    assert ("counted" if "nth" in coin else "a coin decides") in found[0].matched[0].why


def test_physdev_knows_the_ports_of_a_bridge() -> None:
    bridged = QUERY._replace(physdev_in="veth7", physdev_out="veth8")
    for rule in ("--physdev-is-bridged", "--physdev-in veth+", "--physdev-is-in", "--physdev-out veth8",
                 "! --physdev-in veth9"):
        assert looked_at(f"-m physdev {rule} -j DROP", bridged).outcome is RuleOutcome.MATCHED, rule
        assert looked_at(f"-m physdev {rule} -j DROP").outcome is (
            RuleOutcome.MATCHED if rule.startswith("!") else RuleOutcome.SKIPPED), rule


def test_goto_does_not_come_back_and_return_does() -> None:
    rules = ["-g AWAY", "-j DROP", "-A AWAY -j INNER", "-A INNER -j RETURN", "-A INNER -j DROP", "-A AWAY -j RETURN"]
    walk, = simulate(kernel(*rules), QUERY)
    assert [step.verdict for step in walk.matched] == ["GOTO:AWAY", "JUMP:INNER", "RETURN", "RETURN", "ACCEPT"]
    assert walk.end == "goes out of eth0"


def test_marks_are_set_and_the_walk_goes_on() -> None:
    rules = ["-j MARK --set-xmark 0x4000/0x4000", "-m mark --mark 0x4000/0x4000 -j MARK --set-xmark 0x4000/0x0",
             "-j MARK --set-xmark 0x1/0xffffffff"]
    walk, = simulate(kernel(*rules, table="mangle"), QUERY)
    assert [step.after.mark for step in walk.matched[:3]] == [0x4000, 0, 1]
    masked = ["-j MARK --set-xmark 0x3/0xf", "-j MARK --set-xmark 0x10/0x0", "-m mark --mark 0xe0/0xf0 -j RETURN"]
    walk, = simulate(kernel(*masked, table="mangle"), QUERY._replace(mark=0xF5))
    assert [(step.verdict, step.after.mark) for step in walk.matched[:3]] == [
        ("CONTINUE", 0xF3), ("CONTINUE", 0xE3), ("RETURN", 0xE3)]


@pytest.mark.parametrize(("rule", "hook", "packet", "after", "end"), [
    # The address of the way out, and an open port.
    ("-j MASQUERADE --random-fully", "POSTROUTING", QUERY, "10.0.0.5:? → 10.96.0.10:53", "goes out of eth0"),
    ("-j SNAT --to-source 10.0.0.9:77", "POSTROUTING", QUERY, "10.0.0.9:77 → 10.96.0.10:53", "goes out of eth0"),
    # To this machine.
    ("-p udp -m udp --dport 53 -j REDIRECT --to-ports 5353", "OUTPUT", OUT, "10.0.0.5:40000 → 127.0.0.1:5353",
     "comes in again by lo"),
    ("-j REDIRECT", "PREROUTING", QUERY._replace(in_interface="eth0"), "10.1.2.3:40000 → 10.0.0.5:53",
     "is delivered here")])
def test_what_a_rule_of_nat_makes_of_a_packet(rule: str, hook: str, packet: Packet, after: str, end: str) -> None:
    walk, = simulate(kernel(rule, table="nat", hook=hook), packet)
    assert (str(walk.after), walk.end) == (after, end)


def test_what_is_rewritten_on_the_way_out_is_routed_again() -> None:
    walk, = simulate(kernel("-j DNAT --to-destination 10.1.2.7", table="nat", hook="OUTPUT"), OUT)
    assert [passage.after.out_interface for passage in walk.hook_steps if not passage.table] == ["eth0", "veth1"]


def test_notrack_keeps_nat_out() -> None:
    walk, = simulate(kernel("-j NOTRACK", table="raw", hook="PREROUTING"), QUERY)
    assert walk.after.states == {"UNTRACKED"}
    assert simulate(kernel("-j CT --notrack", table="raw", hook="PREROUTING"), QUERY)[0].after.states == {"UNTRACKED"}


def test_what_conntrack_does_not_follow_is_no_later_packet() -> None:
    walk, = simulate(kernel("-j DNAT --to-destination 10.1.2.7", table="nat", hook="PREROUTING"),
                  QUERY._replace(states=frozenset({"UNTRACKED"})))
    assert walk.after.destination == QUERY.destination
    assert walk.at("PREROUTING", "nat").why == "conntrack does not follow this packet: nat's rules are not read"


def test_what_nobody_can_tell_after_a_restored_mark_is_undecided() -> None:
    rules = ["-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff", "-m mark --mark 0x1 -j DROP"]
    walk, = simulate(kernel(*rules, table="mangle"), QUERY)
    assert walk.end == "is undecided" and "-j CONNMARK --restore-mark" in walk.steps[0].why


def test_a_policy_decides_what_no_rule_does() -> None:
    walk, = simulate(kernel(policy="DROP"), QUERY)
    assert walk.end == "is dropped" and walk.matched[-1].rule is None and walk.matched[-1].verdict == "DROP"


def test_without_ip_forward_it_ends_at_the_routing() -> None:
    walk, = simulate(kernel(forwards=False), QUERY)
    assert walk.end == "is lost: net.ipv4.ip_forward is 0"


def test_conntrack_undoes_for_the_reply_what_nat_did_for_the_query() -> None:
    entry, = connections("udp 17 25 src=10.1.2.3 dst=10.96.0.10 sport=40000 dport=53 "
                     "src=10.244.0.3 dst=10.0.0.5 sport=53 dport=777 mark=0 use=1")
    reply = Packet("10.244.0.3", "10.0.0.5", "udp", 53, 777, "eth0", states=frozenset({"ESTABLISHED", "SNAT", "DNAT"}))
    walk, = simulate(kernel(), reply, entry)
    assert str(walk.after) == "10.96.0.10:53 → 10.1.2.3:40000" and walk.end == "goes out of veth1"
    again, = simulate(kernel(), QUERY, entry)      # the entry says that it is not NEW
    assert str(again.after) == "10.0.0.5:777 → 10.244.0.3:53"
    assert walk.after.states == again.after.states == {"ESTABLISHED", "SNAT", "DNAT"}


EVERY_CHAIN = "\n".join(f"*{table}\n" + "".join(f":{hook} ACCEPT [0:0]\n" for hook in hooks.split()) + "COMMIT"
                        for table, hooks in {"raw": "PREROUTING OUTPUT",
                                             "mangle": "PREROUTING INPUT FORWARD OUTPUT POSTROUTING",
                                             "nat": "PREROUTING INPUT OUTPUT POSTROUTING",
                                             "filter": "INPUT FORWARD OUTPUT"}.items())


@pytest.mark.parametrize(("packet", "stops"), [
    (QUERY, "PREROUTING raw, PREROUTING mangle, PREROUTING nat, routing, FORWARD mangle, FORWARD filter, "
            "POSTROUTING mangle, POSTROUTING nat"),
    (QUERY._replace(destination="10.0.0.5"), "PREROUTING raw, PREROUTING mangle, PREROUTING nat, routing, "
                                             "INPUT mangle, INPUT filter, INPUT nat"),
    (OUT, "routing, OUTPUT raw, OUTPUT mangle, OUTPUT nat, OUTPUT filter, routing again, POSTROUTING mangle, "
          "POSTROUTING nat")])
def test_tables_and_hooks_come_in_the_kernels_order(packet: Packet, stops: str) -> None:
    walk, = simulate(Netfilter(parse(EVERY_CHAIN), ip.routes(ROUTES), ip.interfaces(ADDRESSES)), packet)
    assert ", ".join(f"{passage.hook} {passage.table}".strip() for passage in walk.hook_steps) == stops


def test_on_the_recorded_node_every_service_rule_is_told_of() -> None:
    lab = open_lab()
    pod, node = lab.pod("my-nginx"), lab.node("worker3")
    seen = captured_dig(lab, pod.veth)
    packet = packet_from(seen.sightings[0])
    assert packet[:2] == (pod.address, lab.topology.dns_service) and packet.in_interface == pod.veth.interface
    found = simulate(node.netfilter(), packet)
    assert {walk.after.destination for walk in found} == {each.address for each in lab.coredns}
    assert sum(walk.probability for walk in found) == pytest.approx(1)
    services = [step for step in found[0].steps if (step.table, step.chain) == ("nat", "KUBE-SERVICES")]
    assert len(services) == 1                                   # the first rule matched: nobody looked at the others
    other = packet._replace(destination="10.96.0.1", dport=443, protocol="tcp")
    services = [step for step in simulate(node.netfilter(), other)[0].steps if step.chain == "KUBE-SERVICES"]
    assert [step.why for step in services[:2]] == ["destination is 10.96.0.1, the rule wants 10.96.0.10/32"] * 2
