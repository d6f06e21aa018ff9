"""The recorded lab: one answer for facts, the next take for what differs, clear words for what is missing."""

import pytest

from conftest import captured_dig
from kitlib import ladder, open_lab, queries_table
from kitlib.errors import KitError, NotFound, NotRecorded, UnknownLab


@pytest.fixture
def lab():
    return open_lab()


def test_the_recorded_lab_is_the_default_and_says_when_and_how_it_was_made(lab, monkeypatch):
    assert lab.name == "recorded"
    assert "2026-11-23" in repr(lab) and "Kubernetes v1.34.3" in repr(lab)
    monkeypatch.setenv("KITLIB_LAB", "recorded")
    assert open_lab().name == "recorded"


def test_an_unknown_lab_says_which_exist(monkeypatch):
    monkeypatch.setenv("KITLIB_LAB", "minikube")
    with pytest.raises(UnknownLab, match=r"minikube.*recorded"):
        open_lab()
    with pytest.raises(UnknownLab, match=r"'mars'.*recorded"):
        open_lab("mars")


def test_every_result_shows_the_command_as_typed_on_the_host(lab):
    pod = lab.pod("my-nginx")
    shown = str(pod.run("cat", "/etc/resolv.conf"))
    assert shown.startswith(f"$ kubectl exec {pod.name} -- cat /etc/resolv.conf\nsearch ")
    shown = str(lab.node("worker3").run("ip", "route"))
    assert shown.startswith("$ docker exec kind-test1-worker3 ip route\ndefault via")
    assert str(lab.host.run("docker", "container", "ls")).startswith("$ docker container ls\nCONTAINER ID")


def test_a_failed_command_shows_what_it_said_and_its_exit_code(lab):
    shown = str(lab.node("worker").run("ls", "-l", "/run/netns"))
    assert "No such file or directory" in shown and "(exit code 2)" in shown


def test_running_again_plays_the_next_take_and_starts_over_after_the_last(lab):
    pod = lab.pod("my-nginx")
    ids = [pod.dig("www.example.com") for _ in range(13)]
    assert [result.note for result in ids[:2]] == ["recorded: take 1 of 12", "recorded: take 2 of 12"]
    assert len({result.stdout for result in ids[:12]}) == 12
    assert ids[12].stdout == ids[0].stdout and ids[12].note == "recorded: take 1 of 12"


def test_a_new_lab_starts_at_the_first_take(lab):
    first = lab.pod("my-nginx").dig("www.example.com")
    assert open_lab().pod("my-nginx").dig("www.example.com") == first


def test_captures_and_what_was_asked_after_belong_to_the_same_take_as_the_dig(lab):
    pod = lab.pod("my-nginx")
    for number in (1, 2, 3):
        with lab.capture(pod, pod.veth, pod.node) as seen:
            dig = pod.dig("www.example.com")
        port = seen.at(pod)[0].source.port
        assert f"id: {seen.at(pod)[0].message.id}\n" in dig.stdout
        assert f"sport={port} " in pod.node.run("conntrack", "-L", "-p", "udp", "--dport", "53").stdout
        assert f".{port} > " in seen.tcpdump(pod).stdout
        assert f"take {number} of 12" in dig.note and f"take {number} of 12" in repr(seen)


def test_without_named_points_every_vantage_point_is_listened_at(lab):
    points = captured_dig(lab).points
    assert {"my-nginx eth0", "worker3 eth0", "control-plane eth0", "coredns 10.244.0.3 eth0"} <= {
        point.title for point in points}
    assert not any(point.interface == "any" for point in points)


@pytest.mark.parametrize(("ask", "error", "says"), [
    (lambda lab: lab.pod("nginx"), NotFound, "no pod 'nginx'.*my-nginx"),
    (lambda lab: lab.pod("coredns"), NotFound, "2 pods are called 'coredns'"),
    (lambda lab: lab.client.interface("eth7"), NotFound, "no interface 'eth7'; it has lo, eth0"),
    (lambda lab: lab.pod("host-client-clusterfirst").veth, NotFound, "hostNetwork"),
    (lambda lab: captured_dig(lab, lab.node("worker2")), NotRecorded, "worker2 eth0.*my-nginx eth0"),
    (lambda lab: captured_dig(lab, lab.client).at(lab.client.node), NotFound, "worker3 eth0.*my-nginx eth0"),
    (lambda lab: lab.client.dig("www.exmple.com"), NotRecorded,
     r"(?s)dig www.exmple.com\n.*dig www.example.com\n.*go live")])
def test_what_is_not_there_is_said_with_what_is(lab, ask, error, says):
    with pytest.raises(error, match=says):
        ask(lab)


def test_a_capture_without_a_query_says_so(lab):
    with pytest.raises(KitError, match="Nothing was caught"), lab.capture():
        pass


def test_places_are_found_from_the_cluster_itself(lab):
    pod = lab.pod("my-nginx")
    assert (pod.address, pod.node.title, pod.veth.interface) == ("10.244.2.3", "worker3", "veth4b6923b0")
    assert pod.netns.startswith("cni-")
    assert [at.address for at in lab.coredns] == ["10.244.0.2", "10.244.0.3"]


def test_a_table_and_a_ladder_say_which_take_they_show(lab):
    for number in (1, 2):
        seen = captured_dig(lab)
        note = f"(recorded: take {number} of 12)"
        assert note in queries_table(seen.journeys()).title
        shown = ladder(seen.journey())
        assert note in shown.text and note[1:-1] in shown.mermaid and f"take {number} of 12" in shown.svg
