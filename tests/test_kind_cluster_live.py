"""On a running kind cluster (make test-kind): the notebooks live, recorded, scrubbed and replayed tell the same story.

Needs the cluster of `make cluster`; restarts its pod my-nginx and pauses its control plane for a moment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbclient import NotebookClient

from conftest import NOTEBOOKS
from kitlib.errors import KitError, PlaceGone
from kitlib.lab import open_lab
from kubernetes_lab.helpers import LABEL
from recorder.validate import validate

pytestmark = pytest.mark.kind
WALK = [notebook for notebook in NOTEBOOKS if notebook.name.startswith("0")]
HOLD = """
import time
from kitlib import open_lab
lab = open_lab("kind")
pod = lab.pod("my-nginx")
with lab.capture(pod, pod.veth, pod.node, lab.host, trace=True):
    pod.dig("www.example.com")
    print("listening", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module", autouse=True)
def figures():
    """What took how long, printed at the end (pytest -s)."""
    taken: dict[str, float] = {}
    yield taken
    print("\n" + "\n".join(f"{what}: {seconds:.1f} s" for what, seconds in taken.items()))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, figures):
    """The tour and all notebooks, recorded live and scrubbed by the command that a learner would type."""
    out = tmp_path_factory.mktemp("recorded") / "mine"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "kitlib", "record", "--out", str(out), "--scrub"], timeout=1500,
                          capture_output=True, text=True, check=False, env={**os.environ, "KITLIB_LAB": "kind"})
    assert done.returncode == 0 and "it stopped" not in done.stdout, done.stdout + done.stderr
    figures["recorded and scrubbed"] = time.monotonic() - started
    return out


def run(notebook, **environment: str) -> None:
    client = NotebookClient(nbformat.read(notebook, as_version=4), timeout=600, kernel_name="python3",
                            resources={"metadata": {"path": str(notebook.parent)}})
    client.execute(env={**os.environ, **environment})


def shell(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True).stdout


def leftovers() -> list[str]:
    """Our listeners that still run, and our TRACE rules that are still in."""
    ours = [line for line in shell("ps", "-eo", "stat,args").splitlines()
            if "tcpdump -Z root" in line and not line.startswith("Z")]
    nodes = [node.name for node in open_lab("kind").nodes]      # opening sweeps
    raw = [shell("docker", "exec", node, "iptables-save", "-t", "raw") for node in nodes]
    return ours + [line for rules in raw for line in rules.splitlines() if "kitlib-trace" in line]


@pytest.mark.parametrize("lab", ["kind", "kubernetes"])
@pytest.mark.parametrize("notebook", WALK, ids=[notebook.stem for notebook in WALK])
def test_every_notebook_runs_live(notebook, lab, figures):
    started = time.monotonic()
    run(notebook, KITLIB_LAB=lab, KITLIB_CONSENT="yes")
    figures[lab] = figures.get(lab, 0) + time.monotonic() - started


def test_the_recording_is_sound(recorded):
    assert validate(recorded) == []


@pytest.mark.parametrize("notebook", WALK, ids=[notebook.stem for notebook in WALK])
def test_every_notebook_replays_what_was_recorded(notebook, recorded, figures):
    started = time.monotonic()
    run(notebook, KITLIB_RECORDING=str(recorded))
    figures["notebooks replayed"] = figures.get("notebooks replayed", 0) + time.monotonic() - started


def meaning(lab) -> tuple:
    """What a query means, whatever the ports, ids, times and the coin: the way there, rewrites, question and rcode."""
    pod = lab.pod("my-nginx")
    with lab.capture(pod, pod.veth, pod.node) as seen:
        pod.dig("www.example.com")
    leg = seen.journey().client_leg
    rewrites = [(hop.sighting.point.kind, [str(rewrite).split(" ")[0] for rewrite in hop.rewrites]) for hop in leg.hops]
    dns = {at.address for at in lab.coredns}
    return (rewrites, str(leg.question), leg.response.rcode, str(leg.server), leg.endpoint.address in dns,
            len(lab.nodes), lab.ranges, lab.topology.dns_service, len(lab.coredns))


def test_live_and_replayed_mean_the_same(recorded):
    assert meaning(open_lab(recording=recorded)) == meaning(open_lab("kind"))


def test_the_kernels_trace_is_of_our_query_only_and_the_rule_walk_agrees_with_it():
    lab = open_lab("kind")
    pod, other = lab.pod("my-nginx"), lab.pod("neighbour")
    busy = ("sh", "-c", "for n in $(seq 60); do dig www.example.org; sleep 0.1; done")
    with subprocess.Popen(lab.backend.reach(other.id, busy), stdout=subprocess.DEVNULL) as asking:
        with lab.capture(trace=True) as seen:
            pod.dig("www.example.com")
        asking.terminate()
    followed = [one for node in lab.nodes for one in seen.traced_paths(node)]
    ends = {one.trace_lines[0].packet[end] for one in followed for end in ("SRC", "DST")}
    assert {pod.address, lab.topology.dns_service} <= ends and other.address not in ends
    assert "www.example.org." in {sighting.message.question.name for sighting in seen.sightings}
    assert not [one.differences for one in followed if one.differences]
    assert leftovers() == []


def test_a_pod_without_dig_borrows_one():
    dns = open_lab("kind").coredns[0]
    result = dns.dig("+short", "www.example.com")
    assert result.rc == 0 and result.stdout.strip() and "has no dig" in result.note


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_behind_by_a_client_that_is_killed_or_interrupted(end):
    command = [sys.executable, "-c", HOLD]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert client.stdout.readline() == "listening\n"
    client.send_signal(end)
    client.wait(timeout=30)
    time.sleep(1)
    assert leftovers() == []


def test_a_restarted_pod_is_one_error_and_the_lab_goes_on():
    lab = open_lab("kind")
    pod = lab.pod("my-nginx")
    shell("kubectl", "delete", "pod", pod.name, "--wait")
    shell("kubectl", "wait", "--for=condition=Ready", "pod", "-l", "run=my-nginx", "--timeout=60s")
    with pytest.raises(PlaceGone, match="not there any more"):
        pod.run("hostname")
    new = lab.pod("my-nginx")
    with lab.capture(new, new.veth) as seen:
        new.dig("www.example.com")
    assert new.name != pod.name and seen.journey().client_leg.response


def test_an_api_server_that_hangs_is_one_error_and_the_lab_goes_on():
    lab = open_lab("kind")
    control = next(node for node in lab.nodes if node.role == "control plane")
    shell("docker", "pause", control.name)
    try:
        with pytest.raises(KitError, match="API server"):
            lab.host.run("kubectl", "get", "nodes")
    finally:
        shell("docker", "unpause", control.name)
    time.sleep(3)
    assert json.loads(lab.host.run("kubectl", "get", "nodes", "-o", "json").stdout)["items"]


NODES_AT = 5        # where `meaning` has the number of nodes


def helper_pods() -> str:
    return shell("kubectl", "get", "pods", "-A", "-l", LABEL, "-o", "name").strip()


@pytest.fixture
def no_helpers():
    """Begin without those of others: who ends a notebook's kernel may not wait until it has cleaned up."""
    shell(sys.executable, "-m", "kitlib", "cleanup")
    assert gone(60)


def gone(deadline_s: float = 20) -> bool:
    end = time.monotonic() + deadline_s
    while helper_pods() and time.monotonic() < end:
        time.sleep(0.5)
    return not helper_pods()


def test_the_kubernetes_lab_sees_the_same_journey_as_the_kind_lab(no_helpers):
    lab = open_lab("kubernetes", consent=True)
    try:
        ours, theirs = list(meaning(lab)), list(meaning(open_lab("kind")))
        assert (ours.pop(NODES_AT), theirs.pop(NODES_AT)) == (2, 4)        # it reaches no other nodes
        assert ours == theirs
    finally:
        lab.backend.helpers.end()
    assert gone()


@pytest.mark.parametrize(("number", "end"), [(signal.SIGINT, "by itself"), (signal.SIGKILL, "by cleanup"),
                                             (signal.SIGKILL, "by its time limit")])
def test_the_kubernetes_lab_leaves_nothing_after_an_interrupt_nor_after_a_kill(number, end, no_helpers):
    held = HOLD.replace('open_lab("kind")', 'open_lab("kubernetes", consent=True)').replace(", lab.host", "")
    life = "from kubernetes_lab import helpers\nhelpers.LIFE_S = 30\n" if end == "by its time limit" else ""
    holder = subprocess.Popen([sys.executable, "-c", life + held], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "listening\n"
    assert len(helper_pods().split()) == 2 and trace_rules()
    holder.send_signal(number)
    holder.wait(30)
    if end == "by cleanup":
        assert "deleted" in shell(sys.executable, "-m", "kitlib", "cleanup")
    assert gone(60 if life else 20) and not trace_rules()


def trace_rules() -> str:
    """List the TRACE rules, and in nftables mode the tables, that are in on any node."""
    nodes = shell("kubectl", "get", "nodes", "-o", "name").split()
    listed = [shell("docker", "exec", node.partition("/")[2], *command) for node in nodes
              for command in (("iptables-save", "-t", "raw"), ("nft", "list", "tables"))]
    return "".join(line for text in listed for line in text.splitlines() if "kitlib-trace" in line)


def test_a_helper_that_has_no_label_yet_is_cleaned_up_and_one_of_somebody_else_is_not():
    image = os.environ["KITLIB_TOOLS_IMAGE"]
    node = open_lab("kind").pod("my-nginx").node.name
    for name in ("kitlib-unlabelled", "of-somebody"):
        shell("kubectl", "debug", f"node/{node}", f"--container={name}", f"--image={image}", "--", "sleep", "900")
    shell(sys.executable, "-m", "kitlib", "cleanup")
    time.sleep(6)
    left = shell("kubectl", "get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].name}").split()
    pods = shell("kubectl", "get", "pods", "-o", "name").split()
    shell("kubectl", "delete", "--grace-period=1", *(pod for pod in pods if "node-debugger" in pod))
    assert "of-somebody" in left and "kitlib-unlabelled" not in left


@pytest.mark.parametrize("lab", ["kind", "kubernetes"])
def test_follow_tells_of_a_live_cluster_and_gives_a_page_to_take_away(lab, tmp_path, no_helpers):
    page = tmp_path / "page.html"
    follow = ("follow", "www.example.com", "--lab", lab, "--yes", "--trace", "--out", str(page))
    assert "Answered by" in shell(sys.executable, "-m", "kitlib", *follow)
    assert "The walk says the same in each of them." in page.read_text() and page.stat().st_size < 500_000
    assert gone()
