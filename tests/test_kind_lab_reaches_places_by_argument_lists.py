"""The kind lab wraps argument lists, no shell string; what runs far away ends by itself; trouble is one error."""

from __future__ import annotations

import json
import os

import pytest

from conftest import Asked
from kind_lab import KindLab
from kind_lab.tools import Tools
from kitlib.errors import KitError, PlaceGone
from kitlib.lab import Lab
from kitlib.result import Result
from kitlib.sighting import VantagePoint
from live_labs import lab as live

POD = {"spec": {"nodeName": "n1"}, "status": {"podIP": "10.9.0.7"}}
HOSTNET = {"spec": {"nodeName": "n1", "hostNetwork": True}, "status": {"podIP": "172.18.0.3"}}
NAMESPACES = ("\nnetns: cni-a\n1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0    inet 10.9.0.7/24 scope global eth0\n"
              "\nnetns: cni-b\n2: eth0    inet 10.9.0.70/24 scope global eth0\n")
ANSWERS = (("{{.State.Pid}}", "4711\n"), ("pod web", json.dumps(POD)), ("pod hostnet", json.dumps(HOSTNET)),
           ("-all netns exec", NAMESPACES), ("netns pids", "31\n52\n"), ("docker ps", ""), ("docker run", "id\n"))


def lab(way: str = "machine", is_current: bool = True, **failing: str) -> KindLab:
    made = KindLab("prod", is_current, Asked(ANSWERS, failing), has=lambda program: True)
    made.tools.way = way
    made.tools.image = "netshoot" if way == "image" else ""
    return made


WRITE = ("tcpdump", "-i", "eth0", "-w", "-", "port", "53")


def test_a_node_and_a_container_are_reached_by_docker_under_a_time_limit():
    assert lab().reach("node:n1", ("ip", "route")) == ("docker", "exec", "n1", "timeout", "60", "ip", "route")
    assert lab().reach("container:dns", ("ls",)) == ("docker", "exec", "dns", "timeout", "60", "ls")


def test_a_pod_is_reached_by_kubectl_in_its_namespace_and_cluster_under_a_time_limit():
    kubectl = ("kubectl", "--context", "kind-prod", "--request-timeout=20s", "-n", "shop", "exec", "web", "--")
    assert lab().reach("pod:shop/web", ("cat", "/x")) == (*kubectl, "timeout", "60", "cat", "/x")


def test_a_pod_without_timeout_is_reached_without_and_asked_only_once():
    made = lab(exec='exec: "timeout": executable file not found in $PATH')
    for _ in range(3):
        assert made.reach("pod:shop/web", ("cat", "/x"))[-3:] == ("--", "cat", "/x")
    assert len(made._ask.argvs) == 1


@pytest.mark.parametrize("argument", ["$(touch x)", "; exit 9", "a b", "*", "", "ä"])
@pytest.mark.parametrize("place", ["host", "node:n1", "pod:shop/web"])
def test_an_argument_stays_one_argument(place, argument):
    assert lab().reach(place, ("echo", argument))[-1] == argument


def test_kubectl_on_the_host_asks_the_chosen_cluster_and_never_waits_for_ever():
    assert lab().reach("host", ("kubectl", "get", "pods")) == (
        "kubectl", "--context", "kind-prod", "--request-timeout=20s", "get", "pods")
    assert lab().reach("host", ("docker", "ps")) == ("docker", "ps")


def test_what_is_shown_is_what_one_would_type():
    assert lab().typed("pod:shop/web", ("ls",)) == "kubectl -n shop exec web -- ls"
    assert lab(is_current=False).typed("pod:shop/web", ("ls",)) == "kubectl --context kind-prod -n shop exec web -- ls"
    assert lab().typed("pod:shop/web", WRITE) == (
        "nsenter --net=/proc/4711/root/run/netns/cni-a -- tcpdump -i eth0 -w - port 53")


@pytest.mark.parametrize(("place", "network"), [
    ("pod:shop/web", "/proc/4711/root/run/netns/cni-a"), ("pod:shop/hostnet", "/proc/4711/ns/net"),
    ("node:n1", "/proc/4711/ns/net"), ("container:dns", "/proc/4711/ns/net")])
def test_captures_run_here_in_the_network_of_the_place_and_die_with_us(place, network):
    enter = ("setpriv", "--pdeathsig", "TERM", "nsenter", f"--net={network}", "--")
    assert lab().reach(place, WRITE) == (*enter, "tcpdump", "-Z", "root", *WRITE[1:])


def test_the_hosts_own_interfaces_need_no_namespace():
    assert lab().reach("host", WRITE)[:4] == ("setpriv", "--pdeathsig", "TERM", "tcpdump")


@pytest.mark.parametrize(("there", "uid", "way"), [
    ({"tcpdump", "nsenter"}, 0, "machine"), ({"tcpdump", "nsenter"}, 1000, "node"), ({"tcpdump"}, 0, "node"),
    (set(), 0, "node")])
def test_this_machines_programs_are_used_where_it_has_them_and_may(monkeypatch, there, uid, way):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert Tools(lambda argv: "", there.__contains__).way == way


def test_what_a_node_has_caught_needs_no_tcpdump_here(monkeypatch):
    monkeypatch.setattr(live, "has", lambda program: False)
    words = lab("node")._words(VantagePoint("node:n1", "eth0", "n1", "node", "n1 eth0"), WRITE, b"")
    assert words.stdout == "" and "no tcpdump" in words.note


def test_without_root_the_nodes_tcpdump_listens_and_is_ended_there():
    made = lab("node")
    argv = made.reach("pod:shop/web", WRITE)
    assert argv[:8] == ("docker", "exec", "n1", "timeout", "-s", "INT", "120", "env")
    assert argv[9:] == ("ip", "netns", "exec", "cni-a", *WRITE)
    made.tools.sweep()
    assert made._ask.argvs[-1] == ("docker", "exec", "n1", "pkill", "-INT", "-f", f"timeout .* {argv[8]} ")


def test_an_image_of_the_learners_choice_listens_from_one_helper_that_is_removed():
    made = lab("image")
    _, _, helper, *rest = made.reach("node:n1", WRITE)
    assert rest[:3] == ["timeout", "-s", "INT"]
    assert rest[6:] == ["nsenter", "--net=/proc/4711/ns/net", "--", *WRITE]
    started = next(argv for argv in made._ask.argvs if argv[:2] == ("docker", "run"))
    assert "--rm" in started and started[-4:] == ("sleep", "--", "netshoot", "600")
    made.tools.sweep()
    assert made._ask.argvs[-1] == ("docker", "rm", "--force", helper)


@pytest.mark.parametrize("way", ["node", "image"])
def test_what_a_session_starts_and_ends_bears_a_name_of_its_own(way):
    ours, theirs = lab(way), lab(way)
    for made in (ours, theirs):
        made.reach("node:n1", WRITE)
        made.tools.sweep()
    assert ours._ask.argvs[-1] != theirs._ask.argvs[-1]


@pytest.mark.parametrize("place", [
    "node:--privileged", "container:-it", "node:", "pod:shop/--kubeconfig=/x", "pod:-n/web", "pod:shop/",
    "pod:shop/a b", "pod:shop/UPPER", "pod:../web"])
@pytest.mark.parametrize("argv", [("ls",), WRITE])
def test_what_is_no_name_reaches_neither_kubectl_nor_docker(place, argv):
    made = lab()
    with pytest.raises(KitError, match="is not the name of a"):
        made.reach(place, argv)
    assert made._ask.argvs == []


def test_a_namespace_that_leads_elsewhere_is_not_entered(monkeypatch):
    monkeypatch.setattr("kind_lab.tools.Namespaces._pid", lambda self, container: "4711")
    made = lab()
    made.tools.where._namespaces["n1"] = {"10.9.0.7": "../../proc/1/ns/net"}
    with pytest.raises(KitError, match="is not the name of a network namespace"):
        made.reach("pod:shop/web", WRITE)


@pytest.mark.parametrize(("place", "argv", "problem"), [
    ("pod:shop/web", ("-it", "sh"), "looks like an option"),
    ("host", ("kubectl", "--context", "other", "get", "pods"), "the cluster prod, and --context may name another"),
    ("host", ("kubectl", "get", "pods", "--kubeconfig=/x"), "--kubeconfig=/x may name another"),
    ("host", ("kubectl", "get", "pods", "-shttp://x"), "-shttp://x may name another"),
    ("host", ("kubectl", "get", "pods", "-As", "http://x"), "-As may name another")])
def test_a_command_cannot_leave_the_lab_by_its_options(place, argv, problem):
    with pytest.raises(KitError, match=problem):
        lab().reach(place, argv)
    assert lab().reach("host", ("kubectl", "exec", "web", "--", "curl", "-s", "x"))[-2:] == ("-s", "x")


def test_what_is_borrowed_from_an_image_leaves_no_helper(monkeypatch):
    at_exit = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    made = lab("image")
    made.tools.borrow("pod:shop/web", ("dig", "a"))
    for end in at_exit:
        end()
    assert made._ask.argvs[-1][:3] == ("docker", "rm", "--force")


def test_dig_is_borrowed_with_the_pods_network_and_resolver_settings():
    argv = lab().tools.borrow("pod:shop/web", ("dig", "a b"))
    assert argv[:3] == ("nsenter", "--net=/proc/4711/root/run/netns/cni-a", "--")
    assert argv[-3:] == ("/proc/4711/root/proc/52/root/etc/resolv.conf", "dig", "a b")
    assert lab().tools.borrow("pod:shop/web", ("ip", "addr"))[3:] == ("ip", "addr")


@pytest.mark.parametrize(("place", "program"), [
    ("pod:shop/web", "cat"), ("pod:shop/web", "getent"), ("pod:shop/hostnet", "dig")])
def test_a_program_that_would_read_other_files_is_not_borrowed(place, program):
    assert lab().tools.borrow(place, (program, "x")) == ()


@pytest.mark.parametrize("stderr", [
    'Error from server (NotFound): pods "web" not found',
    "error: cannot exec into a container in a completed pod; current phase is Succeeded"])
def test_a_pod_that_is_gone_is_one_error_that_says_what_to_do(stderr):
    with pytest.raises(PlaceGone, match=r"(?s)not there any more.*lab\.pod\(NAME\)"):
        lab(get=stderr).reach("pod:shop/web", WRITE)


@pytest.mark.parametrize("stderr", [
    "Error: No such container: n1", "Error response from daemon: No such container: n1",
    "Error response from daemon: Container 31a5 is not running"])
def test_a_node_that_is_gone_is_one_error(stderr):
    with pytest.raises(PlaceGone, match="not there any more"):
        lab(inspect=stderr).reach("node:n1", WRITE)


@pytest.mark.parametrize("stderr", [
    "Unable to connect to the server: net/http: TLS handshake timeout",
    "The connection to the server 127.0.0.1:41935 was refused - did you specify the right host or port?",
    "error: Get https://127.0.0.1:1/api: context deadline exceeded"])
def test_an_api_server_that_does_not_answer_is_one_error_and_is_not_asked_twice(stderr):
    made = lab(exec=stderr)
    with pytest.raises(KitError, match=r"(?s)API server of prod does not answer.*docker ps -a"):
        made.reach("pod:shop/web", ("hostname",))
    assert len(made._ask.argvs) == 1


def test_what_a_program_itself_says_is_no_trouble_of_the_lab():
    lab()._complain("pod:shop/web", "curl: (7) Failed to connect: connection refused\n;; no servers could be reached")


def test_the_lab_forgets_what_it_knew_when_a_place_is_gone():
    class Backend:
        name, live = "kind", True

        def run(self, place, argv):
            if place != "host":
                raise PlaceGone("gone")
            return Result("", argv, 0, json.dumps({"kind": "List", "items": []}))

        def capture(self, points, traced=(), ports=()):
            raise NotImplementedError

    opened = Lab(Backend())
    assert opened.services == ()
    with pytest.raises(PlaceGone):
        opened.run("pod:shop/web", ("hostname",))
    assert "services" not in vars(opened) and opened.services == ()
