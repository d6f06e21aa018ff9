"""The kubernetes lab asks before it makes anything, reaches needed nodes alone, says each refusal, leaves nothing."""

from __future__ import annotations

import json

import pytest

from conftest import Asked
from kitlib import draw_topology
from kitlib.errors import KitError, NoAccess, NotFound
from kitlib.lab import Lab
from kitlib.result import Result
from kubernetes_lab import KubernetesLab, open_backend
from kubernetes_lab.helpers import LABEL, clean_up
from live_labs.rule_trace import session_name
from live_labs.shell import Completed


def pod(name: str, node: str, namespace: str = "default") -> dict:
    status = {"podIP": "10.9.0.8" if "coredns" in name else "10.9.0.7", "hostIP": f"172.20.0.{node[-1]}"}
    return {"kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "status": status,
            "spec": {"nodeName": node, "dnsPolicy": "ClusterFirst"}}


def items(*objects: dict) -> str:
    return json.dumps({"kind": "List", "items": objects})


def node(name: str) -> dict:
    return {"kind": "Node", "metadata": {"name": name}, "spec": {},
            "status": {"addresses": [{"type": "InternalIP", "address": f"172.20.0.{name[-1]}"}]}}


NEAR = items(pod("my-nginx-1", "n1"), pod("neighbour", "n2"), pod("dns-none", "n3"), pod("other", "n1"))
SLICE = {"kind": "EndpointSlice", "metadata": {"name": "kube-dns-1", "namespace": "kube-system",
         "labels": {"kubernetes.io/service-name": "kube-dns"}}, "ports": [], "addressType": "IPv4",
         "endpoints": [{"addresses": ["10.9.0.8"], "nodeName": "n2",
                        "targetRef": {"kind": "Pod", "name": "coredns-1"}}]}
NAMESPACES = "netns: cni-a\n2: eth0    inet 10.9.0.7/24 scope global eth0\n"
INTERFACES = ("2: ens5: <UP> mtu 1500 qdisc mq state UP\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n"
              "    inet 172.20.0.1/16 scope global ens5\n")
ROUTES = "default via 172.20.0.254 dev ens5\n172.20.0.0/16 dev ens5 scope link\n10.9.0.7 dev veth1 scope host\n"
RUNNING = '{"running":{"startedAt":"2026-11-28T20:00:00Z"}}'
ANSWERS = (("get pods -A -o json", NEAR), ("-n default pods", NEAR), ("get pods -n default", NEAR),
           ("get pods -n kube-system coredns-1", items(pod("coredns-1", "n2", "kube-system"))),
           ("get endpointslices", items(SLICE)), ("get nodes n1 n2", items(node("n1"), node("n2"))),
           ("get services", items()), ("run/netns/*", NAMESPACES), ("Statuses", RUNNING),
           ("get pod web", json.dumps(pod("web", "n1", "shop"))),
           ("get pod my-nginx-1 -o json", json.dumps(pod("my-nginx-1", "n1"))),
           ("get pod neighbour -o json", json.dumps(pod("neighbour", "n2"))),
           ("get pod coredns-1 -o json", json.dumps(pod("coredns-1", "n2", "kube-system"))),
           (" debug node/", "Creating debugging pod node-debugger-n1-x with container debugger on node n1.\n"))
WRITE = ("tcpdump", "-i", "eth0", "-w", "-")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("KITLIB_CONSENT", "KITLIB_POD", "KITLIB_NAMESPACE", "KITLIB_TOOLS_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("atexit.register", lambda end: None)


def lab(**failing: str) -> KubernetesLab:
    return KubernetesLab("prod", consent=True, ask=Asked(ANSWERS, failing))


def test_without_consent_nothing_is_made_and_what_would_be_made_is_said(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    asked = Asked(ANSWERS, {})
    with pytest.raises(KitError, match=r"(?s)n1, n2.*--profile=sysadmin.*privileged.*15 minutes.*KITLIB_CONSENT=yes"):
        KubernetesLab("prod", ask=asked)
    assert not asked.of("debug")


def names(result: Result) -> list[str]:
    return [item["metadata"]["name"] for item in json.loads(result.stdout)["items"]]


def test_only_what_a_query_needs_is_listed_and_that_is_said():
    made = lab()
    pods = made.run("host", ("kubectl", "get", "pods", "-A", "-o", "json"))
    assert made.nodes == ("n1", "n2") and "on n1, where default/my-nginx-1 runs, and on n2" in str(made)
    assert names(pods) == ["my-nginx-1", "neighbour", "coredns-1"] and "only what a query needs" in pods.note
    assert names(made.run("host", ("kubectl", "get", "nodes", "-o", "json"))) == ["n1", "n2"]


@pytest.mark.parametrize(("namespace", "name"), [("openshift-dns", "dns-default"), ("kube-system", "rke2-coredns")])
def test_the_dns_service_is_found_whatever_it_is_called(monkeypatch, namespace, name):
    service = {"kind": "Service", "metadata": {"name": name, "namespace": namespace},
               "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.10",
                        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}}
    labels = {"kubernetes.io/service-name": name}
    group = SLICE | {"metadata": {"name": f"{name}-1", "namespace": namespace, "labels": labels}}
    answers = ((f"get services -n {namespace}", items(service)), (f"--selector=kubernetes.io/service-name={name}",
               items(group)), ("--selector=", items()), ("get endpointslices -n " + namespace, items(group)),
               ("get endpointslices", items()), (f"get pods -n {namespace} coredns-1",
               items(pod("coredns-1", "n2", namespace))), ("kube-system coredns-1", items()))
    monkeypatch.setattr(f"{__name__}.ANSWERS", (*answers, ("-- ip addr", INTERFACES), *ANSWERS))
    made = lab()
    monkeypatch.setattr("live_labs.lab.run", made._ask)
    assert made.nodes == ("n1", "n2")
    assert [(pod.name, pod.namespace) for pod in Lab(made).coredns] == [("coredns-1", namespace)]


def test_a_client_that_is_named_with_its_namespace_needs_no_right_beyond_it(monkeypatch):
    monkeypatch.setenv("KITLIB_POD", "default/my-nginx")
    made = lab(**{" -A ": "(Forbidden)", "get nodes": "(Forbidden)", "kube-system": "(Forbidden)", "ip addr": "no ip"})
    monkeypatch.setattr("live_labs.lab.run", made._ask)
    assert made.nodes == ("n1",) and "Left out: Listing endpointslices" in str(made)
    found = Lab(made)
    assert [node.address for node in found.nodes] == ["172.20.0.1"] and [pod.name for pod in found.pods()] == [
        "my-nginx-1"]


def test_a_name_that_several_pods_have_is_not_guessed(monkeypatch):
    for wanted, says in (("nobody", "0 pods are called nobody"), ("", "4 pods .* default/my-nginx-1, default/nei")):
        monkeypatch.setenv("KITLIB_POD", f"default/{wanted}")
        with pytest.raises(NotFound, match=f"{says}.*KITLIB_POD=NAMESPACE/NAME"):
            lab()


def test_a_node_is_reached_through_one_helper_that_is_labelled_bounded_and_removed():
    made = lab()
    for _ in range(2):
        argv = made.reach("node:n1", ("ip", "route", "a b"))
    assert argv[:2] == ("kubectl", "--context=prod")
    assert argv[-13:] == ("node-debugger-n1-x", "--", "timeout", "60", "nsenter", "--target", "1", "--mount", "--net",
                          "--", "ip", "route", "a b")
    made_by, name = made._ask.of("debug")[0], made.helpers.container
    assert f"--container={name}" in made_by and made_by[-1] == name     # so cleanup knows it before it has its label
    assert "sleep 800 & wait; end" in made_by[-2] and session_name() in made_by[-2]
    mark = json.loads(made._ask.of("patch")[0][-1])
    assert mark == {"metadata": {"labels": {LABEL: made.helpers.session}}, "spec": {"activeDeadlineSeconds": 900}}
    assert made._ask.argvs[-1][-3:] == ("--wait=false", "--grace-period=860", "node-debugger-n1-x")     # at once
    made._ask.answers = (("jsonpath={range", f"default node-debugger-n1-x {name}|\n"), *ANSWERS)
    made.helpers.end()
    assert made._ask.argvs[-1][-4:] == ("pkill", "-USR1", "-f", f"{name}$")
    assert made._ask.argvs[-2][3:8] == ("delete", "pods", "-n", "default", "node-debugger-n1-x")


def test_a_nodes_interface_is_the_one_with_its_address_and_its_network_has_no_bridge_of_ours(
        monkeypatch):
    made = lab()
    made._ask.answers = (("-- ip addr", INTERFACES), ("-- ip route", ROUTES), *ANSWERS)
    monkeypatch.setattr("live_labs.lab.run", made._ask)
    found = Lab(made)
    assert [node.eth0.interface for node in found.nodes] == ["ens5", "eth0"]        # n2 has another address
    words = draw_topology(found.topology).text
    assert "Each node is on one network" in words and "ens5 172.20.0.1" in words and "bridge" not in words


def test_captures_run_in_the_helper_in_the_network_of_the_place_and_end_there():
    made = lab()
    argv = made.reach("pod:shop/web", WRITE)
    assert argv[argv.index("--") + 1:][:4] == ("timeout", "-s", "INT", "120")
    assert argv[-8:] == ("nsenter", "--net=/proc/1/root/run/netns/cni-a", "--", *WRITE)
    made.tools.sweep()
    assert "pkill" in made._ask.argvs[-1]


@pytest.mark.parametrize("step", ["_program", "_wait"])
def test_an_interrupt_while_a_helper_starts_removes_it(step):
    made = lab()
    made._ask.answers = (("jsonpath={range", f"default node-debugger-n1-x {made.helpers.container}|\n"), *ANSWERS)
    setattr(made.helpers, step, _interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.reach("node:n1", ("ip",))
    assert made._ask.argvs[-2][3:5] == ("delete", "pods") and "node-debugger-n1-x" in made._ask.argvs[-2]


def _interrupted(*_):
    raise KeyboardInterrupt


DENIED = 'Error from server (Forbidden): "n1" is forbidden: User "x" cannot %s resource "%s" in API group "" %s'


@pytest.mark.parametrize(("step", "stderr", "says"), [
    ("debug", DENIED % ("get", "nodes", "at the cluster scope"), "--context=prod auth can-i get nodes -A"),
    ("debug", 'pods "d" is forbidden: violates PodSecurity "restricted:latest"', "Pod Security.*KITLIB_NAMESPACE"),
    ("debug", "error: unknown profile: sysadmin", "kubectl 1.30 or newer"),
    ("debug", "Unable to connect to the server: dial tcp", "API server does not answer.*auth can-i"),
    ("debug", 'Error from server (NotFound): nodes "n1" not found', "kubectl get nodes"),
    ("exec", DENIED % ("create", "pods/exec", 'in the namespace "a"'), "can-i create pods --subresource=exec -n a"),
    ("patch", "Error from server (Forbidden): no", "auth can-i --list -n default")])
def test_each_refusal_is_a_sentence_with_what_shows_it(step, stderr, says):
    with pytest.raises(KitError, match=says):
        lab(**{f" {step} ": stderr}).reach("node:n1", ("ip",))


@pytest.mark.parametrize(("state", "says"), [
    ('{"waiting":{"message":"dial: no such host","reason":"ErrImagePull"}}', "could not pull.*KITLIB_TOOLS_IMAGE"),
    ('{"terminated":{"reason":"Error"}}', "not ready in time.*get events"), ("", "not ready in time.*get events")])
def test_a_helper_that_does_not_start_says_what_it_waits_for(monkeypatch, state, says):
    monkeypatch.setattr("kubernetes_lab.helpers.START_S", 0.01)
    made = lab()
    made._ask.answers = (("Statuses", state), *ANSWERS)
    with pytest.raises(NoAccess, match=says):
        made.reach("node:n1", ("ip",))


def test_without_nodes_the_clients_pod_is_listened_at_from_beside_it_and_that_is_said():
    made = lab(**{" debug node/": DENIED % ("create", "pods", 'in the namespace "default"')})
    found = Lab(made)
    client, coredns = found.client, found.coredns[0]
    assert client.eth0 in found._vantage_points and made._obstacle(client.id) == ""
    for place in (coredns, client.node, coredns.node):
        assert "auth can-i create pods" in made._obstacle(place.id)
    argv = made.reach(client.id, WRITE)
    assert argv[argv.index("exec") + 1:][:3] == ("my-nginx-1", f"--container=kitlib-{made.helpers.session}", "--")
    assert len(made._ask.of("--profile=baseline")) == 1 and len(made._ask.of("--profile=sysadmin")) == 2
    made.helpers.end()
    assert ("pkill", "-USR1", "-f", f"{made.helpers.container}$") in [argv[-4:] for argv in made._ask.argvs]


def test_nothing_is_added_to_a_pod_where_nodes_are_allowed_and_fail():
    made = lab()
    made._ask.answers = (("Statuses", '{"waiting":{"reason":"ErrImagePull"}}'), *ANSWERS)
    with pytest.raises(NoAccess, match="could not pull"), Lab(made).capture():
        pass
    assert not made._ask.of("--profile=baseline")


def test_a_pod_that_may_not_be_entered_is_one_sentence():
    made = lab(**{"exec my-nginx-1": DENIED % ("create", "pods/exec", 'in the namespace "default"')})
    with pytest.raises(NoAccess, match=r"may not do this.*auth can-i create pods --subresource=exec -n default"):
        made.run("pod:default/my-nginx-1", ("dig", "example.com"))


@pytest.mark.parametrize("place", ["node:--privileged", "node:", "node:UPPER", "pod:shop/a b", "pod:-n/web"])
@pytest.mark.parametrize("argv", [("ls",), WRITE])
def test_what_is_no_name_never_reaches_kubectl(place, argv):
    made = lab()
    before = len(made._ask.argvs)
    with pytest.raises(KitError, match="is not the name of a"):
        made.reach(place, argv)
    assert len(made._ask.argvs) == before


LEFT = "default a debugger|\ndefault node-debugger-n1-x kitlib-1|\nshop web app sidecar|kitlib-2 debugger-y\n"


def test_leftovers_are_found_by_what_they_are_called_and_nothing_else_is_touched():
    asked = Asked((("get pods -A", LEFT), ("delete pods", "pod deleted\n")), {})
    assert clean_up(asked, ("kubectl",)) == ["pod deleted", "container kitlib-2 in pod shop/web ended"]
    end = [("-n", space, "exec", pod, f"--container={name}", "--", "pkill", "-USR1", "-f", f"{name}$")
           for space, pod, name in (("default", "node-debugger-n1-x", "kitlib-1"), ("shop", "web", "kitlib-2"))]
    delete = ("delete", "pods", "-n", "default", "node-debugger-n1-x", "--grace-period=60", "--wait=false",
              "--ignore-not-found")
    assert [argv[1:] for argv in asked.argvs[1:]] == [delete, *end]
    with pytest.raises(NoAccess, match="kubectl auth can-i list pods -A"):
        clean_up(Asked((), {"get pods": DENIED % ("list", "pods", "at the cluster scope")}), ("kubectl",))


def test_no_current_context_is_said_with_what_kubectl_said(monkeypatch):
    monkeypatch.delenv("KITLIB_CONTEXT", raising=False)
    monkeypatch.setattr("kubernetes_lab.run", lambda argv, timeout: Completed(1, "", "error: no kubeconfig"))
    with pytest.raises(KitError, match=r"(?s)no current context.*KITLIB_CONTEXT=NAME.*error: no kubeconfig"):
        open_backend()
