"""The kubernetes lab asks before it makes anything, reaches needed nodes alone, says each refusal, leaves nothing."""

from __future__ import annotations

import json

import pytest

from kitlib.errors import KitError
from kitlib.result import Result
from kitlib.shell import Completed
from kubernetes_lab import KubernetesLab
from kubernetes_lab.helpers import LABEL, remove


def pod(name: str, node: str, **labels: str) -> dict:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"nodeName": node}, "status": {"podIP": "10.9.0.7"}}


PODS = {"items": [pod("my-nginx-1", "n1"), pod("coredns-1", "n2", **{"k8s-app": "kube-dns"}), pod("other", "n3")]}
NODES = {"items": [{"metadata": {"name": name}} for name in ("n1", "n2", "n3")]}
NAMESPACES = "\nnetns: cni-a\n2: eth0    inet 10.9.0.7/24 scope global eth0\n"
ANSWERS = (("get pods -A", json.dumps(PODS)), ("get nodes", json.dumps(NODES)), ("netns exec ip", NAMESPACES),
           ("get pod web", json.dumps(pod("web", "n1"))),
           (" debug node/", "Creating debugging pod node-debugger-n1-x with container debugger on node n1.\n"))
WRITE = ("tcpdump", "-i", "eth0", "-w", "-")


class Asked:
    """Writes down what it is asked to run; answers what kubectl would, or fails as told."""

    def __init__(self, failing: dict[str, str]) -> None:
        self.argvs: list[tuple[str, ...]] = []
        self.failing = failing

    def __call__(self, argv, timeout):
        self.argvs.append(tuple(argv))
        words = " ".join(argv)
        failed = next((stderr for part, stderr in self.failing.items() if part in words), "")
        return Completed(bool(failed), next((said for part, said in ANSWERS if part in words), ""), failed, 0.1)

    def of(self, verb: str) -> list[tuple[str, ...]]:
        return [argv for argv in self.argvs if verb in argv]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("KITLIB_CONSENT", "KITLIB_POD", "KITLIB_NAMESPACE", "KITLIB_TOOLS_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("atexit.register", lambda end: None)


def lab(**failing: str) -> KubernetesLab:
    return KubernetesLab("prod", consent=True, ask=Asked(failing))


def test_without_consent_nothing_is_made_and_what_would_be_made_is_said(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    asked = Asked({})
    with pytest.raises(KitError, match=r"(?s)n1, n2.*--profile=sysadmin.*privileged.*15 minutes.*KITLIB_CONSENT=yes"):
        KubernetesLab("prod", ask=asked)
    assert not asked.of("debug")


def test_only_the_clients_and_corednss_nodes_are_shown_and_that_is_said():
    made = lab()
    listed = Result("kubectl get nodes", ("kubectl", "get", "nodes"), 0, json.dumps(NODES))
    shown = made._reachable(listed, lambda item: item["metadata"]["name"])
    assert made.nodes == ("n1", "n2")
    assert [item["metadata"]["name"] for item in json.loads(shown.stdout)["items"]] == ["n1", "n2"]
    assert shown.note.startswith("2 of 3")


def test_a_node_is_reached_through_one_helper_that_is_labelled_bounded_and_removed():
    made = lab()
    for _ in range(2):
        argv = made.reach("node:n1", ("ip", "route", "a b"))
    assert argv[:2] == ("kubectl", "--context=prod")
    assert argv[-13:] == ("node-debugger-n1-x", "--", "nsenter", "--target", "1", "--mount", "--net", "--",
                          "timeout", "60", "ip", "route", "a b")
    assert len(made._ask.of("debug")) == 1 and made._ask.of("debug")[0][-2:] == ("sleep", "900")
    mark = json.loads(made._ask.of("patch")[0][-1])
    assert mark == {"metadata": {"labels": {LABEL: made.helpers.session}}, "spec": {"activeDeadlineSeconds": 900}}
    made.helpers.end()
    assert f"--selector={LABEL}={made.helpers.session}" in made._ask.argvs[-1]


def test_captures_run_in_the_helper_in_the_network_of_the_place_and_end_there():
    made = lab()
    argv = made.reach("pod:shop/web", WRITE)
    assert argv[argv.index("--") + 1:][:4] == ("timeout", "-s", "INT", "120")
    assert argv[-8:] == ("nsenter", "--net=/proc/1/root/run/netns/cni-a", "--", *WRITE)
    made.tools.sweep()
    assert "pkill" in made._ask.argvs[-1]


def test_an_interrupt_while_a_helper_starts_removes_it():
    made = lab()
    made.helpers._wait = _interrupted
    with pytest.raises(KeyboardInterrupt):
        made.reach("node:n1", ("ip",))
    assert made._ask.argvs[-1][-4:] == ("delete", "pod", "node-debugger-n1-x", "--wait=false")


def _interrupted(doing, name):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("step", "stderr", "says"), [
    ("debug", 'Error from server (Forbidden): pods is forbidden: User "x" cannot', "auth can-i create pods"),
    ("debug", 'pods "d" is forbidden: violates PodSecurity "restricted:latest"', "Pod Security.*KITLIB_NAMESPACE"),
    ("debug", "error: unknown profile: sysadmin", "kubectl 1.30 or newer"),
    ("debug", "Unable to connect to the server: dial tcp", "API server does not answer.*auth can-i"),
    ("debug", 'Error from server (NotFound): nodes "n1" not found', "kubectl get nodes"),
    ("wait", "error: timed out waiting for the condition", "not ready in time.*auth can-i create pods/exec"),
    ("wait", "timed out ErrImagePull", "could not pull the image.*KITLIB_TOOLS_IMAGE"),
    ("patch", "Error from server (Forbidden): no", "auth can-i patch pods")])
def test_each_refusal_is_a_sentence_with_what_shows_it(step, stderr, says):
    with pytest.raises(KitError, match=says):
        lab(**{f" {step} ": stderr}).reach("node:n1", ("ip",))


@pytest.mark.parametrize("place", ["node:--privileged", "node:", "node:UPPER", "pod:shop/a b", "pod:-n/web"])
@pytest.mark.parametrize("argv", [("ls",), WRITE])
def test_what_is_no_name_never_reaches_kubectl(place, argv):
    made = lab()
    before = len(made._ask.argvs)
    with pytest.raises(KitError, match="is not the name of a"):
        made.reach(place, argv)
    assert len(made._ask.argvs) == before


def test_leftovers_are_found_by_their_label_alone():
    asked = Asked({})
    remove(asked, ("kubectl",), ("-A",), LABEL)
    assert asked.argvs[0][:5] == ("kubectl", "delete", "pods", "-A", f"--selector={LABEL}")
