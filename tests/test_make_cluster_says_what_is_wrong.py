"""make cluster: a clear message for what is missing, what is there is used, only ours is taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REPO

SCRIPT = REPO / "lab-setup/kind/cluster.py"
DOCKER = """case "$1 $2" in
  "version --format") echo 28.1.1;;
  "info --format") [ -z "$DOCKER_TROUBLE" ] || { echo "$DOCKER_TROUBLE" >&2; exit 1; }; echo 28.1.1;;
  "network ls") echo "$NETWORKS";;
  "network inspect") [ "$3" = kind ] && exit 1; echo "$NETWORK_JSON";;
  "image inspect") exit "${NO_IMAGE:-0}";;
  "ps --all") case "$*" in *label=*) echo "$OUR_CONTAINER";; *) echo "$OUR_CONTAINER$THEIR_CONTAINER";; esac;;
  "network rm") exit "${NETWORK_IN_USE:-0}";;
esac
"""
KIND = """case "$1 $2" in
  "version ") echo "kind v${KIND_VERSION:-0.30.0} go1.24";;
  "get clusters") [ -z "$KIND_TROUBLE" ] || { echo "$KIND_TROUBLE" >&2; exit 1; }; echo "$CLUSTERS";;
esac
"""
KUBECTL = """case "$*" in
  "version --client") echo "Client Version: v1.34.3";;
  *"get nodes"*) [ -z "$API_TROUBLE" ] || { echo "$API_TROUBLE" >&2; exit 1; };;
  *"get deployment"*) exit "${NO_WORKLOAD:-0}";;
esac
"""


@pytest.fixture
def machine(tmp_path):
    """A machine whose docker, kind and kubectl write down what they are asked; nothing is ever started."""
    (tmp_path / "bin").mkdir()
    for name, body in (("docker", DOCKER), ("kind", KIND), ("kubectl", KUBECTL), ("ip", 'echo "$ROUTES"\n')):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/asked"\n{body}')
        program.chmod(0o755)
    return tmp_path


def run(machine: Path, what: str, **environment: str) -> tuple[int, str, list[str]]:
    """Exit code, all that was said, and every command that was run."""
    env = {"PATH": str(machine / "bin"), "HOME": str(machine), "ROUTES": "[]", **environment}
    command = [sys.executable, SCRIPT, what]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    asked = machine / "asked"
    return done.returncode, done.stdout + done.stderr, asked.read_text().splitlines() if asked.exists() else []


TAKEN_BY_A_TUNNEL = json.dumps([{"dst": "10.244.3.0/24", "dev": "tun0"}])
TAKEN_BY_DOCKER = json.dumps([{"Name": "shop", "IPAM": {"Config": [{"Subnet": "172.20.0.0/24"}]}}])
OF_OUTSIDE = ("docker create", "docker start", "docker exec")


@pytest.mark.parametrize(("what", "environment", "code", "words", "not_asked"), [
    # What is wrong is said, with what to do, and nothing is made or taken away.
    ("up", {"KIND_VERSION": "0.20.0"}, 1, ["kind is 0.20.0; 0.27 or newer is needed"], ["create"]),
    ("up", {"DOCKER_TROUBLE": "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."}, 1,
     ["systemctl start docker"], ["create"]),
    ("up", {"DOCKER_TROUBLE": "permission denied while trying to connect to the Docker daemon socket"}, 1,
     ["usermod -aG docker"], ["create"]),
    ("up", {"CLUSTERS": "kind-test1", "API_TROUBLE": "Unable to connect to the server"}, 1,
     ["does not answer: Unable to connect", "make cluster-down"], ["create"]),
    ("up", {"ROUTES": TAKEN_BY_A_TUNNEL}, 1,
     ["10.244.0.0/16, wanted for pods, is not free: 10.244.3.0/24", "tun0"], ["create"]),
    ("down", {"KIND_TROUBLE": "ERROR: no provider"}, 1,
     ["exit code 1): kind get clusters\n      It says: ERROR: no provider"], [" rm ", "delete"]),
    # What is there is used; where the walkthrough's addresses are taken, nodes get others; only ours is taken away.
    ("up", {"CLUSTERS": "other\nkind-test1", "OUR_CONTAINER": "2a"}, 0, ["kind-test1 is there already: using it"],
     ["create", "apply", "load"]),
    ("up", {"NETWORKS": "1f", "NETWORK_JSON": TAKEN_BY_DOCKER}, 0,
     ["Docker's network shop", "Docker chooses other addresses"], ["network create"]),
    ("up", {"CLUSTERS": "kind-test1", "THEIR_CONTAINER": "9f"}, 0, ["not the kit's: leaving it"], OF_OUTSIDE),
    ("down", {"CLUSTERS": "mine"}, 0, ["nothing to take away"], ["delete", " rm "])])
def test_it_says_what_it_found_and_does_no_more(machine, what, environment, code, words, not_asked):
    done, said, asked = run(machine, what, **environment)
    assert done == code and not [part for part in words if part not in said] and "Traceback" not in said
    assert asked and not [line for line in asked if any(part in f"{line} " for part in not_asked)]


@pytest.mark.parametrize("program", ["docker", "kind", "kubectl"])
def test_a_missing_program_is_named_with_where_to_get_it(machine, program):
    (machine / "bin" / program).unlink()
    rc, said, _ = run(machine, "up")
    assert rc == 1 and f"{program} is missing" in said and "https://" in said


def test_a_new_cluster_gets_network_nodes_image_and_pods_in_this_order(machine):
    rc, said, asked = run(machine, "up", NO_WORKLOAD="1", NO_IMAGE="1")
    done = [line for line in asked if any(word in line for word in ("create", "build", "load", "apply", "wait"))]
    assert rc == 0 and "Ready" in said
    assert [line.split(" --")[0] for line in done] == [
        "docker network create kind", "kind create cluster", "docker build", "kind load docker-image kitlib/my-nginx:1",
        "kubectl", "kubectl"]
    assert "--subnet 172.20.0.0/16" in done[0] and "--context kind-kind-test1" in done[-1]


def test_the_pods_image_is_made_only_once(machine):
    _, _, asked = run(machine, "up", NO_WORKLOAD="1")
    assert not [line for line in asked if "build" in line] and [line for line in asked if "load docker-image" in line]


@pytest.mark.parametrize(("there", "begins"), [({}, "docker create"), ({"OUR_CONTAINER": "2a"}, "docker start")])
def test_the_container_outside_is_made_or_started_again_and_knows_the_way(machine, there, begins):
    rc, _, asked = run(machine, "up", CLUSTERS="kind-test1", **there)
    done = [line for line in asked if line.startswith(OF_OUTSIDE)]
    assert rc == 0 and done[0].startswith(begins) and "exec outside ip route replace 10.96.0.0/16" in done[-1]


def test_down_takes_away_the_cluster_of_that_name_and_our_network_only(machine):
    rc, _, asked = run(machine, "down", CLUSTERS="mine\nkind-test1", NETWORKS="1f")
    assert rc == 0 and [line for line in asked if "delete" in line] == ["kind delete cluster --name kind-test1"]
    assert [line for line in asked if "network rm" in line] == ["docker network rm 1f"]
    assert [line for line in asked if "network ls" in line] == [
        "docker network ls --quiet --filter label=kitlib.cluster=kind-test1"]


def test_every_manifest_is_sound_and_its_pods_land_on_nodes_that_the_cluster_has():
    import yaml

    cluster = yaml.safe_load((REPO / "lab-setup/kind/cluster.yaml").read_text())
    roles = [node["role"] for node in cluster["nodes"]]
    names = {"kind-test1-control-plane", "kind-test1-worker", "kind-test1-worker2", "kind-test1-worker3"}
    assert (cluster["name"], roles) == ("kind-test1", ["control-plane", "worker", "worker", "worker"])
    objects = list(yaml.safe_load_all((REPO / "lab-setup/kind/workload.yaml").read_text()))
    specs = [item["spec"].get("template", item)["spec"] for item in objects if item["kind"] != "Service"]
    assert {spec["nodeSelector"]["kubernetes.io/hostname"] for spec in specs} <= names
    assert {container["image"] for spec in specs for container in spec["containers"]} == {"kitlib/my-nginx:1"}
    assert os.access(REPO / "lab-setup/kind/image/Dockerfile", os.R_OK)


def test_a_cluster_in_nftables_mode_is_asked_of_kind(machine):
    keep = machine / "bin/kind"
    keep.write_text(keep.read_text() + f'\ncase "$*" in *--config*) /bin/cp "$4" "{machine}/config";; esac\n')
    environment = {"PATH": str(machine / "bin"), "HOME": str(machine), "ROUTES": "[]"}
    subprocess.run([sys.executable, SCRIPT, "up", "--mode", "nftables"], env=environment, capture_output=True,
                   timeout=60, check=False)
    assert "kubeProxyMode: nftables" in (machine / "config").read_text()
