"""What if: other endpoints give the rules that kube-proxy writes, and every change is walked on the spot."""

from __future__ import annotations

import pytest

from kitlib import open_lab, simulate, what_if
from kitlib.netfilter.kube_proxy import endpoints, masquerade_mark, with_endpoints
from kitlib.netfilter.packet import Packet
from kitlib.parsers import iptables_save
from kitlib.parsers.iptables_save import Ruleset

LAB = open_lab("recorded")
NODE = LAB.node("worker3")
PACKET = Packet("10.244.2.3", "10.96.0.10", sport=42438, in_interface=LAB.pod("my-nginx").veth.interface)
THIRD = "10.244.3.9:53"


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    return NODE.netfilter().ruleset


def services(rules: Ruleset) -> list[str]:
    return [name for name in rules.tables["nat"] if name.startswith("KUBE-SVC-")]


def service(rules: Ruleset, words: str) -> str:
    return next(rule.target for rule in rules.tables["nat"]["KUBE-SERVICES"].rules if words in rule.text)


def texts(rules: Ruleset, table: str, chain: str) -> list[str]:
    return [rule.text for rule in rules.tables[table][chain].rules]


def test_the_same_endpoints_give_the_recorded_rules_name_by_name(rules: Ruleset) -> None:
    assert len(services(rules)) >= 5
    for name in services(rules):
        assert with_endpoints(rules, name, endpoints(rules, name)) == rules


def test_a_third_endpoint_gets_a_third_of_the_packets(rules: Ruleset) -> None:
    name = service(rules, "kube-dns:dns ")
    known = endpoints(rules, name)
    more = with_endpoints(rules, name, [*known, THIRD])
    assert endpoints(more, name) == (*known, THIRD)
    jumps = [text for text in texts(more, "nat", name) if "KUBE-SEP-" in text]
    assert "--probability 0.33333333349 " in jumps[0] and "0.50000000000" in jumps[1] and "statistic" not in jumps[2]
    assert with_endpoints(more, name, known).tables["nat"][name] == rules.tables["nat"][name]


def test_without_endpoints_it_rejects_as_recorded_when_all_were_gone(rules: Ruleset) -> None:
    gone = open_lab("recorded", fault="no-endpoints").node("worker3").netfilter().ruleset
    ours = rules
    for words in ("kube-dns:dns ", "kube-dns:dns-tcp ", "kube-dns:metrics "):
        ours = with_endpoints(ours, service(rules, words), ())
    assert sorted(texts(ours, "filter", "KUBE-SERVICES")) == sorted(texts(gone, "filter", "KUBE-SERVICES"))
    assert sorted(texts(ours, "nat", "KUBE-SERVICES")) == sorted(texts(gone, "nat", "KUBE-SERVICES"))


def test_its_controls_walk_again() -> None:
    tries, source, mark, behind, shown, _ = what_if(NODE.netfilter(), PACKET).widget.children
    assert "The same rules matter" in shown.value and shown.value.count("50%") == 2
    source.value = "192.0.2.1"
    assert "KUBE-MARK-MASQ" in shown.value and "172.20.0.4:?" in shown.value and "only\xa0now" in shown.value
    source.value, mark.value = PACKET.source, "0x4000"
    assert "MASQUERADE" in shown.value and "172.20.0.4:?" in shown.value and "RETURN" in shown.value
    mark.value, behind.value = "0", "10.244.0.2:53"
    assert shown.value.count("100%") == 1 and "no\xa0longer" in shown.value and "10.244.0.3" in shown.value
    behind.value = f"10.244.0.2 10.244.0.3, {THIRD}"
    assert shown.value.count("33%") == 3 and THIRD in shown.value
    behind.value = ""
    assert "is rejected" in shown.value and "REJECT" in shown.value
    for button in tries.children:
        button.click()
        assert (button.description.startswith("As it is")) == ("The same rules matter" in shown.value)
    assert len(tries.children) == 5 and source.value == PACKET.source and behind.value == "10.244.0.2:53"


@pytest.mark.parametrize("control, typed, said", [
    (0, "10.244.2", "four numbers"), (0, "<b>", "&lt;b&gt;"), (1, "x", "a mark is a number"), (1, "-1", "a mark"),
    (1, "0x100000000", "a mark"), (2, "10.244.0.2:x", "a port is a number"), (2, "somewhere:53", "four numbers")])
def test_what_cannot_be_read_is_said(control: int, typed: str, said: str) -> None:
    _, *controls, shown, _ = what_if(NODE.netfilter(), PACKET).widget.children
    controls[control].value = typed
    assert said in shown.value and "<table" not in shown.value


def test_the_twin_shows_the_changes_that_one_would_try_first() -> None:
    twin = what_if(NODE.netfilter(), PACKET)
    for words in ("As it is: 10.244.2.3:42438", "What if it came from 192.0.2.1?", "the mark 0x4000?",
                  "also the endpoint", "were gone?", "172.20.0.4:?", "33%", "100%"):
        assert words in twin.text and words in twin.html
    expected = [f"{walk.probability:.0%}" for walk in simulate(NODE.netfilter(), PACKET)]
    first = twin.text.split("\n\n")[0].splitlines()[3:]
    assert [line.split()[0] for line in first] == expected


def test_the_mark_is_the_one_that_the_rules_set(rules: Ruleset) -> None:
    text = "*nat\n:KUBE-MARK-MASQ - [0:0]\n-A KUBE-MARK-MASQ -j MARK --set-xmark 0x8000/0x8000\nCOMMIT\n"
    assert (masquerade_mark(rules), masquerade_mark(iptables_save.parse(text))) == (0x4000, 0x8000)


def test_a_packet_to_no_service_has_no_endpoints_to_change() -> None:
    twin = what_if(NODE.netfilter(), PACKET._replace(destination="10.244.0.2"))
    assert twin.widget.children[3].disabled and "endpoint" not in twin.text
