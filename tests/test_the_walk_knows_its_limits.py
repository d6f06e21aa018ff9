"""What the rule walk cannot know is undecided and said; what it can know it decides; its probabilities add up to 1."""

from __future__ import annotations

import random

import pytest
from generated_rules import ruleset, shots
from test_every_rule_says_why import ADDRESSES, QUERY

from kitlib.errors import KitError
from kitlib.netfilter.compare import traced_paths
from kitlib.netfilter.matches import judge
from kitlib.netfilter.packet import Packet, RuleOutcome
from kitlib.netfilter.path import PacketPath
from kitlib.netfilter.simulate import simulate
from kitlib.netfilter.state import Netfilter
from kitlib.parsers import ip
from kitlib.parsers.iptables_save import parse
from kitlib.parsers.xtables_monitor import traces

ROUTES = """default via 10.0.0.1 dev eth0
10.244.0.0/16 via 10.0.0.9 dev eth0
local 10.0.0.5 dev eth0 table local scope host src 10.0.0.5
"""
EMPTY = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
DNAT = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 10.96.0.10/32 -j DNAT --to-destination 10.244.0.3\nCOMMIT\n"
INTERFACES = ip.interfaces(ADDRESSES)
STICKY = """*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SVC-STICKY - [0:0]
{heads}
-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j KUBE-SVC-STICKY
{rules}
COMMIT
"""


def forward(rule: str) -> str:
    """The rules of a kernel that has this one, at FORWARD."""
    return EMPTY.replace("COMMIT", f"-A FORWARD {rule}\nCOMMIT")


def paths(rules: str, packet: Packet = QUERY, routes: str = ROUTES, stderr: str = "") -> tuple[PacketPath, ...]:
    return simulate(Netfilter(parse(rules, stderr), ip.routes(routes), INTERFACES), packet)


def sticky(*names: str) -> str:
    """A Service with session affinity, as kube-proxy writes it: one endpoint for each name."""
    client = "--name KUBE-SEP-{0} --mask 255.255.255.255 --rsource"
    remembered = f"-A KUBE-SVC-STICKY -m recent --rcheck --seconds 10800 --reap {client} -j KUBE-SEP-{{0}}"
    rules = [remembered.format(name) for name in names]
    for left, name in zip(range(len(names), 0, -1), names, strict=True):
        coin = f"-m statistic --mode random --probability {1 / left} " if left > 1 else ""
        rules.append(f"-A KUBE-SVC-STICKY {coin}-j KUBE-SEP-{name}")
        rules.append(f"-A KUBE-SEP-{name} -p udp -m recent --set {client.format(name)} -m udp -j DNAT "
                     f"--to-destination 10.244.0.{name}:53")
    return STICKY.format(heads="\n".join(f":KUBE-SEP-{name} - [0:0]" for name in names), rules="\n".join(rules))


@pytest.mark.parametrize("rules, stderr, words", [
    ("# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n" + EMPTY, "", "legacy"),
    (EMPTY, "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n", "legacy"),
    ("# Table `nat' is incompatible, use 'nft' tool.\n" + EMPTY, "", "Table `nat' is incompatible"),
    (DNAT + DNAT.replace("-A PREROUTING -d 10.96.0.10/32 -j DNAT --to-destination 10.244.0.3\n", ""), "",
     "table nat stands twice"),
])
def test_a_ruleset_that_is_incomplete_decides_nothing(rules: str, stderr: str, words: str) -> None:
    path, = paths(rules, stderr=stderr)
    assert path.end == "is undecided" and words in path.why


def test_what_else_decides_on_a_machine_is_said() -> None:
    netfilter = Netfilter(parse(EMPTY), ip.routes(ROUTES), (), unknown=("eBPF programs at eth0",))
    assert [(path.end, path.why) for path in simulate(netfilter, QUERY)] == [("is undecided", "eBPF programs at eth0")]


@pytest.mark.parametrize("line, words", [
    ("10.244.0.0/16 proto static\n\tnexthop via 10.0.0.1 dev eth0 weight 1\n\tnexthop via 10.0.0.2 dev eth0 weight 1",
     "the route 10.244.0.0/16 has several next hops"),
    ("10.244.0.0/16 encap mpls 200 via inet 10.0.0.1 dev eth0", "encap mpls 200 via inet 10.0.0.1 dev eth0' is not"),
])
def test_a_route_nobody_understands_costs_only_what_would_take_it(line: str, words: str) -> None:
    routes = f"default via 10.0.0.1 dev eth0\n{line}\n"
    path, = paths(EMPTY, QUERY._replace(destination="10.244.0.3"), routes)
    assert path.end == "is undecided" and words in path.why
    assert [path.end for path in paths(EMPTY, QUERY, routes)] == ["goes out of eth0"]


def test_a_route_of_ipv4_may_have_a_next_hop_of_ipv6() -> None:
    netfilter = Netfilter(parse(EMPTY), ip.routes("default via inet6 fe80::1 dev eth0\n"), INTERFACES)
    assert [path.end for path in simulate(netfilter, QUERY)] == ["goes out of eth0"]
    assert netfilter.source_for(netfilter.route("8.8.8.8")) == netfilter.masquerade_address("eth0", "8.8.8.8") \
        == "10.0.0.5"


@pytest.mark.parametrize("route, packet, words", [
    ("default via 10.0.1.1 dev eth1 table 2", QUERY, "routes in table 2"),
    ("local 10.96.0.10 dev kube-ipvs0 table local", QUERY, "IPVS"),
    ("local 10.96.0.10 dev kube-dummy-if table local", QUERY, "IPVS"),
    ("", QUERY._replace(destination="224.0.0.251"), "multicast groups"),
])
def test_routing_that_was_not_read_is_undecided(route: str, packet: Packet, words: str) -> None:
    path, = paths(EMPTY, packet, f"{ROUTES}{route}\n")
    assert path.end == "is undecided" and words in path.why


def test_other_tables_do_not_matter_for_what_is_for_this_machine() -> None:
    path, = paths(EMPTY, QUERY._replace(destination="10.0.0.5"), f"{ROUTES}default via 10.0.1.1 dev eth1 table 2\n")
    assert path.end == "is delivered here"


USUAL = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"


@pytest.mark.parametrize("rules, destination, words", [
    (USUAL, "10.96.0.10", ""), (USUAL.partition("32767")[0], "10.96.0.10", ""),
    (USUAL.replace("32766", "100:\tfrom 10.1.2.3 lookup 2\n32766"), "10.96.0.10", "“100: from 10.1.2.3 lookup 2”"),
    (USUAL.replace("32766", "100:\tfrom all fwmark 0x8/0x8 lookup main suppress_prefixlength 0\n32766"), "10.96.0.10",
     "fwmark 0x8/0x8 lookup main suppress_prefixlength 0”"),
    (USUAL.replace("32766", "100:\tfrom 10.1.2.3 lookup 2\n32766"), "10.0.0.5", ""),
    ("9:\tfrom all fwmark 0x200/0xf00 lookup 2004\n" + USUAL.replace("0:", "100:", 1), "10.0.0.5", "lookup 2004”"),
    (USUAL + "40000:\tfrom all unreachable\n", "10.96.0.10", ""),
    (USUAL.replace("main", "7"), "10.96.0.10", "“32766: from all lookup 7”")])
def test_a_rule_of_ip_rule_is_named_where_it_may_decide(rules: str, destination: str, words: str) -> None:
    netfilter = Netfilter(parse(EMPTY), ip.routes(f"{ROUTES}default via 10.0.1.1 dev eth1 table 2\n"),
                          INTERFACES, rules=ip.rules(rules))
    path, = simulate(netfilter, QUERY._replace(destination=destination))
    assert (words in path.why and path.end == "is undecided") if words else path.end != "is undecided"


@pytest.mark.parametrize("packet, settings, end, words", [
    (QUERY, {"all.rp_filter": 0, "veth1.rp_filter": 1}, "is lost", "would leave by eth0 (rp_filter is 1)"),
    (QUERY, {"all.rp_filter": 0, "veth1.rp_filter": 2}, "goes out of eth0", ""),
    (QUERY, {"all.rp_filter": 1}, "goes out of eth0", "rp_filter, which is not known here, lets it through"),
    (QUERY._replace(in_interface="eth0"), {}, "goes out of eth0", ""),
    (QUERY._replace(destination="127.0.0.11"), {"all.route_localnet": 0, "veth1.route_localnet": 0}, "is lost",
     "127.0.0.11 is a loopback address, and veth1 none (route_localnet is 0)"),
    (QUERY._replace(destination="127.0.0.11"), {"all.route_localnet": 1}, "is delivered here", ""),
    (QUERY._replace(source="127.0.0.1", in_interface=""), {"all.route_localnet": 0, "eth0.route_localnet": 0},
     "is lost", "127.0.0.1 is a loopback address, and eth0 none"),
    (QUERY._replace(source="10.0.0.5"), {}, "goes out of eth0", "accept_local, which is not known here")])
def test_an_address_that_does_not_belong_on_its_interface(packet: Packet, settings: dict, end: str, words: str) -> None:
    routes = ip.routes(f"{ROUTES}local 127.0.0.0/8 dev lo table local\n")
    known = {f"net.ipv4.conf.{name}": value for name, value in settings.items()}
    path, = simulate(Netfilter(parse(EMPTY), routes, INTERFACES, settings=known), packet)
    assert path.end.startswith(end) and words in " ".join((path.end, *path.assumptions))
    assert bool(words) == bool(end == "is lost" or path.assumptions)


def test_the_first_connection_is_drawn_and_the_second_remembered() -> None:
    found = paths(sticky("1", "2", "3"))
    first = [path for path in found if all(words.endswith("does not match") for words in path.assumptions)]
    second = [path for path in found if path not in first]
    assert [path.after.destination for path in second] == [path.after.destination for path in first] == [
        "10.244.0.1", "10.244.0.2", "10.244.0.3"]
    for path in second:
        assert path.assumptions[-1].endswith(
            "(only if 10.1.2.3 came to this endpoint in the last 10800 s) matches")
    assert sum(path.probability for path in found) == pytest.approx(1)
    assert {path.end for path in found} == {"goes out of eth0"}


def test_forty_endpoints_with_affinity_are_all_decided() -> None:
    found = paths(sticky(*map(str, range(40))))
    assert len(found) == 80 and {path.end for path in found} == {"goes out of eth0"}


@pytest.mark.parametrize("rule, end", [
    ("", "goes out of eth0"), ("--loose", "is dropped"), ("--invert", "is dropped")])
def test_the_way_back_that_rpfilter_asks_for_is_decided(rule: str, end: str) -> None:
    path, = paths(forward(f"-m rpfilter --validmark {rule} -j DROP"))
    assert (path.end, path.probability, path.assumptions) == (end, 1, ())


@pytest.mark.parametrize("raw, rule, end", [
    ("", "-m conntrack --ctproto 17 -j DROP", "is dropped"), ("", "-m conntrack ! --ctproto 17 -j DROP", ""),
    ("-j CT --notrack", "-m conntrack --ctproto 17 -j DROP", ""),
    ("-j CT --notrack", "-m conntrack ! --ctproto 6 -j DROP", ""),
    ("-j CT --notrack", "-m conntrack --ctstate UNTRACKED --ctproto 6 -j DROP", "is dropped"),
    ("-m conntrack --ctproto 17 -j DROP", "", ""), ("-m conntrack --ctstate INVALID -j DROP", "", "is dropped")])
def test_a_packet_without_a_connection_has_no_property_of_one(raw: str, rule: str, end: str) -> None:
    rules = EMPTY.replace("COMMIT", f"-A FORWARD {rule}\nCOMMIT" if rule else "COMMIT")
    before = f"*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {raw}\nCOMMIT\n" if raw else ""
    assert [path.end for path in paths(before + rules)] == [end or "goes out of eth0"]


@pytest.mark.parametrize("state, begins_one", [("NEW", True), ("INVALID", False), ("UNTRACKED", False)])
def test_what_is_invalid_or_not_tracked_begins_no_connection(state: str, begins_one: bool) -> None:
    """A reset that answers what was not tracked gets through, and conntrack knows nothing of it afterwards."""
    path, = paths(EMPTY, QUERY._replace(states=frozenset({state})))
    assert path.gets_through and path.is_remembered == begins_one


@pytest.mark.parametrize("packet, chain", [
    (QUERY, "FORWARD"), (QUERY._replace(destination="10.0.0.5"), "INPUT"),
    (Packet("10.0.0.5", "10.96.0.10", "tcp", 40000, 53), "OUTPUT")])
def test_table_security_is_asked_too(packet: Packet, chain: str) -> None:
    """Azure's agent keeps its rules there: who may ask 168.63.129.16."""
    rules = f"*security\n:{chain} ACCEPT [0:0]\n-A {chain} -m conntrack --ctstate INVALID,NEW -j DROP\nCOMMIT\n"
    path, = paths(EMPTY + rules, packet)
    assert path.end == "is dropped" and path.hook_steps[-1].where == f"security at {chain}"


@pytest.mark.parametrize("target, hook, end", [
    ("TTL --ttl-set 1", "PREROUTING", "is undecided"), ("TTL --ttl-dec 1", "PREROUTING", "is undecided"),
    ("TTL --ttl-set 64", "PREROUTING", ""), ("TTL --ttl-inc 1", "PREROUTING", ""),
    ("HL --hl-set 1", "PREROUTING", "is undecided"), ("TTL --ttl-set 1", "POSTROUTING", "")])
def test_a_packet_that_may_have_no_hop_left_is_undecided(target: str, hook: str, end: str) -> None:
    path, = paths(f"*mangle\n:{hook} ACCEPT [0:0]\n-A {hook} -j {target}\nCOMMIT\n")
    assert path.end == (end or "goes out of eth0")


@pytest.mark.parametrize("coin", ["--probability 0.00000000000", "! --probability 1.00000000000"])
def test_what_never_happens_is_no_way(coin: str) -> None:
    path, = paths(EMPTY.replace("COMMIT", f"-A FORWARD -m statistic --mode random {coin} -j DROP\nCOMMIT"))
    assert (path.end, path.probability) == ("goes out of eth0", 1)


@pytest.mark.parametrize("rule, ends", [
    ("--tcp-flags FIN,SYN,RST,ACK SYN", ("is dropped", "undecided")), ("--syn", ("is dropped", "undecided")),
    ("! --syn", ("goes out of eth0", "undecided")), ("--tcp-flags ALL NONE", ("goes out of eth0", "undecided"))])
def test_the_flags_of_a_connections_first_segment_are_known(rule: str, ends: tuple[str, str]) -> None:
    rules = forward(f"-p tcp -m tcp {rule} -j DROP")
    new = QUERY._replace(protocol="tcp")
    for packet, end in zip((new, new._replace(states=frozenset({"ESTABLISHED"}))), ends, strict=True):
        found = {path.end for path in paths(rules, packet)}
        assert found == ({"is dropped", "goes out of eth0"} if end == "undecided" else {end})


@pytest.mark.parametrize("rule", [
    "-s ! 203.0.113.0/24 -j DROP", "-s 203.0.113.0/24 198.51.100.0/24 -j DROP", "-j DROP <<< this one",
    "-m comment --comment two words -j DROP", '-m comment --comment "no end -j DROP'])
def test_a_word_too_many_is_an_error(rule: str) -> None:
    with pytest.raises(KitError, match="line 5"):
        parse(forward(rule))


@pytest.mark.parametrize("target, comment, end", [("REJECT", "ns/name has no endpoints", "is rejected"),
                                                  ("DROP", "not accepted here", "is dropped")])
def test_who_is_refused_is_told_why(target: str, comment: str, end: str) -> None:
    path, = paths(forward(f'-m comment --comment "{comment}" -j {target}'))
    assert (path.end, path.why) == (end, comment)


UNSURE = ("-m limit --limit 3/min", "-m recent --rcheck --seconds 9 --name X --mask 255.255.255.255 --rsource",
          "-m u32 --u32 1=1", "-m statistic --mode random --probability 0.3", "-m hashlimit --hashlimit-name x",
          "-m set --match-set x src", "")


@pytest.mark.parametrize("seed", range(60))
def test_the_probabilities_of_all_paths_add_up_to_one(seed: int) -> None:
    """Random rulesets, in whose rules conditions were mixed that nobody here can judge."""
    chance = random.Random(seed)
    lines = [line.replace(" -j ", f" {chance.choice(UNSURE)} -j ".replace("  ", " "), 1) for line in ruleset(chance)]
    netfilter = Netfilter(parse("\n".join(lines)), ip.routes(ROUTES), INTERFACES)
    for shot in shots(chance, 5, 20000):
        packet = Packet(shot.source, shot.destination, shot.protocol, shot.sport, shot.dport, shot.interface)
        found = simulate(netfilter, packet)
        assert sum(path.probability for path in found) == pytest.approx(1)
        assert all(path.end for path in found) and len(found) <= 400


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_ruleset_is_an_error_of_the_kits_own_or_undecided(seed: int) -> None:
    chance = random.Random(seed)
    text = "\n".join(ruleset(chance))
    for _ in range(50):
        at, size = chance.randrange(len(text)), chance.choice((0, 1, 4))
        damaged = text[:at] + chance.choice(("", "x", "-", "!", " ", "\n", '"', "0", ":", "/")) + text[at + size:]
        try:
            found = paths(damaged, QUERY._replace(in_interface=chance.choice(("eth0", ""))))
        except KitError:
            continue
        assert sum(path.probability for path in found) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(20))
def test_what_the_index_leaves_out_does_not_match(seed: int) -> None:
    netfilter = Netfilter(parse("\n".join(ruleset(random.Random(seed)))), ip.routes(ROUTES))
    for shot in shots(random.Random(seed), 5, 20000):
        packet = Packet(shot.source, shot.destination, shot.protocol, shot.sport, shot.dport, shot.interface)
        for chain in (chain for chains in netfilter.ruleset.tables.values() for chain in chains.values()):
            kept = set(chain.candidates(packet.destination, packet.protocol, packet.dport))
            assert all(judge(rule, packet, netfilter).outcome is RuleOutcome.SKIPPED for rule in {*chain.rules} - kept)


TRACE = """PACKET: 2 {id} IN=eth0 SRC=10.1.2.3 DST=10.0.0.5 LEN=60 TTL=64 ID=1 SPORT=40000 DPORT=53
 TRACE: 2 {id} raw:PREROUTING:rule:0x2:CONTINUE  -4 -t raw -A PREROUTING -j TRACE
 TRACE: 2 {id} raw:PREROUTING:policy:ACCEPT
"""
INPUT_RULE = " TRACE: 2 {id} filter:INPUT:rule:0x3:ACCEPT  -4 -t filter -A INPUT -m conntrack --ctstate NEW -j ACCEPT\n"
ESTABLISHED = " TRACE: 2 {id} filter:INPUT:policy:ACCEPT\n"


def test_a_connection_may_have_been_answered_where_nobody_traced() -> None:
    rules = ("*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j TRACE\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n"
             "-A INPUT -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n")
    text = "".join((TRACE + end).format(id=number) for number, end in (("aa", INPUT_RULE), ("bb", ESTABLISHED)))
    found = traced_paths(Netfilter(parse(rules), ip.routes(ROUTES), INTERFACES), traces(text))
    assert [one.differences for one in found] == [(), ()]
    assert [sorted(one.path.packet.states) for one in found] == [["NEW"], ["ESTABLISHED"]]
