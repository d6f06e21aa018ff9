#!/usr/bin/env python3
"""Turn a raw recording of a cluster into the kit's own: python take_in.py RAW_FOLDER [OUT_FOLDER].

RAW_FOLDER holds facts.jsonl, scenes/NAME/takeNN/{points.json,commands.jsonl,*.pcap,*.txt} and, where something was
broken on purpose, faults/NAME/{README.md,state.jsonl,takeNN/}. What changes on the way:
 * the captures of one take become one pcapng file with an interface block for each vantage point;
 * a capture inside a pod's namespace, taken from its node, is filed under the pod;
 * facts that nothing in the kit asks for and that are large are left out (LEFT_OUT);
 * the rules as they stood after each take are kept for the takes with a rule trace only: elsewhere they are the facts';
 * the text of `-i any` captures is left out: tcpdump printed the reader's interface names, not the node's;
 * of scenes with very many packets, and of faults that come out alike each time, two takes are kept (FEW_TAKES);
 * of a fault no `-i any` captures and no nft listing are kept: iptables-save says the same;
 * of a fault's facts those are kept that the fault changed; listed are those that were asked again and said the same
   (unchanged), and those that it must have made untrue and that were not asked again (outdated).
No byte of a packet and no character of any other output is changed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from kitlib.parsers.pcap import frames, write_pcapng
from kitlib.recording import FORMAT
from kitlib.takes import interface_name

LEFT_OUT = (("nft", "-j"), ("conntrack", "-L", "-o"), ("ip6tables-save",), ("ip", "-s"), ("docker", "ps"),
            ("kubectl", "get", "endpoints"), ("kubectl", "get", "pods", "-o", "json"),
            ("kubectl", "-n", "kube-system", "get", "pods"), ("ip", "-j", "-d", "link"),
            ("iptables-save", "-c", "-t", "nat"))
FEW_TAKES = dict.fromkeys(("pod-dig-tcp", "pod-dig-truncated", "pod-many", "pod-parallel", "forward-drop",
                           "ip-forward-off", "no-endpoints", "route-blackhole", "service-rules-missing",
                           "upstream-down"), 2) | {"route-wrong-node": 1}     # later takes: kindnetd had mended it
MAP = ("kubectl", "get", "pods", "-A", "-o", "json")         # the places: as they were before a fault


def main() -> int:
    """Take in one raw recording."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("raw", type=Path, help="the folder with facts.jsonl and scenes/")
    parser.add_argument("out", type=Path, nargs="?", help="default: a folder of the same name beside this script")
    arguments = parser.parse_args()
    raw, out = arguments.raw, arguments.out or Path(__file__).parent / arguments.raw.resolve().name
    if not (raw / "facts.jsonl").exists():
        parser.error(f"{raw} holds no facts.jsonl: it is no raw recording")
    facts = read_lines(raw / "facts.jsonl")
    for old in ("scenes", "faults"):
        shutil.rmtree(out / old, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    kept = [fact for fact in facts if not any(tuple(fact["argv"][:len(left)]) == left for left in LEFT_OUT)]
    write_lines(out / "facts.jsonl", [answer(fact) for fact in kept])
    write_lines(out / "traced-rules.jsonl", [answer(rules) for rules in read_lines(raw / "scenes" / "trace-rules.jsonl")
                                             if rules["argv"] == ["iptables-save"]])
    pods = pods_of_namespaces(facts)
    scenes = [take_in_scene(folder, out, pods) for folder in sorted((raw / "scenes").iterdir()) if folder.is_dir()]
    faults = [take_in_fault(readme.parent, out, kept, pods) for readme in sorted(raw.glob("faults/*/README.md"))]
    index = {"format": FORMAT, "name": raw.resolve().name, "made": facts[0]["at"][:10],
             "made_with": made_with(facts), "scenes": scenes, "faults": faults}
    (out / "recording.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n")
    size = sum(-(-file.stat().st_size // 4096) * 4 for file in out.rglob("*") if file.is_file())
    print(f"{out}: {len(kept)} facts, {len(scenes)} scenes, {sum(len(scene['takes']) for scene in scenes)} takes, "
          f"{len(faults)} faults, {size} KiB on disk")
    return 0


def take_in_scene(folder: Path, out: Path, pods: dict[str, str]) -> dict:
    """Write a scene's takes; return its entry for recording.json."""
    print(f"taking in {folder.name}", file=sys.stderr)
    takes = [take_in_take(take, out, pods) for take in sorted(folder.glob("take*"))[:FEW_TAKES.get(folder.name)]]
    about = json.loads((folder / "take01" / "points.json").read_text())
    command, *after = read_lines(folder / "take01" / "commands.jsonl")
    also = [other["argv"] for other in after if other["place"] == command["place"]]
    return {"name": folder.name, "place": command["place"], "argv": command["argv"], "also": also,
            "note": about.get("note") or "", "traced": bool(about["monitors"]), "takes": takes}


def take_in_fault(folder: Path, out: Path, facts: list[dict], pods: dict[str, str]) -> dict:
    """Write a fault's takes and the facts that it changed; return its entry for recording.json."""
    scene = take_in_scene(folder, out, pods)
    healthy = {(fact["place"], *fact["argv"]): fact for fact in facts}
    state = [fact for fact in read_lines(folder / "state.jsonl") if fact["argv"][0] != "nft"]
    broken = {(fact["place"], *fact["argv"]): fact for fact in state}
    changed = {key for key, fact in broken.items() if key not in healthy or meaning(fact) != meaning(healthy[key])}
    subjects = {(key[0], subject(key[1:])) for key in changed if key in healthy}
    touched = {key for key in healthy if (key[0], subject(key[1:])) in subjects and key[1:] != MAP}
    kept = [answer(fact) for key, fact in broken.items() if key in changed | touched]
    lists = {"outdated": touched - broken.keys(), "unchanged": broken.keys() - changed - touched}
    path = Path("faults") / folder.name / "facts.jsonl"
    write_lines(out / path, [*kept, *({word: {"place": key[0], "argv": key[1:]}} for word, keys in lists.items()
                                      for key in healthy if key in keys)])
    return {**scene, "note": (folder / "README.md").read_text().strip(), "facts": path.as_posix()}


def subject(argv: tuple[str, ...]) -> str:
    """What a command asks about: all commands on one subject are outdated when one answer has changed."""
    words = [word for word in argv if not word.startswith("-") and word != "kube-system"]
    if words[0] in ("iptables", "iptables-save", "nft"):
        return "rules"
    return words[0] if words[0] in ("conntrack", "sysctl") else " ".join(words[:3 if words[0] == "kubectl" else 2])


def meaning(fact: dict) -> object:
    """What an answer says, without what differs between two moments of the same state."""
    argv, text = fact["argv"], fact["stdout"]
    if argv[0] == "iptables-save":
        rules = re.sub(r"\*raw\n(.*\n)*?COMMIT\n", "", re.sub(r"\[\d+:\d+\] ?", "", text))    # raw: left from tracing
        return sorted(line.strip() for line in rules.splitlines() if not line.startswith("#"))
    if "json" in argv:
        return re.sub(r'"(resourceVersion|generation|uid)": \S+|"[^"]*"\s*: "\d{4}-\d\d-\d\dT[^"]*"', "", text)
    return re.sub(r"\b\d+[smhd]\d*[smhd]?\b|(\d+|About an?) (second|minute|hour)s?|  +", " ", text)


def take_in_take(folder: Path, out: Path, pods: dict[str, str]) -> str:
    """Write one take: its commands, vantage points and rule traces, and one pcapng; return the take's path."""
    about = json.loads((folder / "points.json").read_text())
    fault = folder.parent.parent.name == "faults"
    target = out / folder.parent.parent.name / folder.parent.name
    target.mkdir(parents=True, exist_ok=True)
    points, caught = [], []
    for point in about["points"]:
        if fault and point["interface"] == "any":
            continue
        place = place_of(point, pods)
        if any((known["place"], known["interface"]) == (place, point["interface"]) for known in points):
            continue      # a second tcpdump at the same interface saw the same packets once more
        name = interface_name(place, point["interface"])
        caught += [replace(frame, interface=name) for frame in frames((folder / point["pcap"]).read_bytes(), name)]
        text = "" if point["interface"] == "any" else (folder / point["pcap"]).with_suffix(".txt").read_text()
        points.append({"place": place, "interface": point["interface"], "ran_at": point["place"],
                       "argv": without_timeout(point["argv"]), "text": text})
    traces = [{"place": monitor["place"], "argv": monitor["argv"], "rc": 0, "stderr": "",
               "stdout": (folder / monitor["output"]).read_text()} for monitor in about["monitors"]]
    pcap = target / f"{folder.name}.pcapng"
    pcap.write_bytes(write_pcapng(sorted(caught, key=lambda frame: frame.time_ns)))
    write_lines(pcap.with_suffix(".jsonl"), [
        {"pcap": pcap.name},
        *({"command": answer(command)} for command in read_lines(folder / "commands.jsonl")
          if traces or command["argv"][0] != "iptables-save"),
        *({"point": point} for point in points),
        *({"trace": trace} for trace in traces)])
    return pcap.with_suffix(".jsonl").relative_to(out).as_posix()


def place_of(point: dict, pods: dict[str, str]) -> str:
    """Whose interface it is: for `ip netns exec cni-…` on a node, the pod's."""
    argv = point["argv"]
    return pods[argv[3]] if argv[:3] == ["ip", "netns", "exec"] else point["place"]


def without_timeout(argv: list[str]) -> list[str]:
    """How tcpdump was started, without the `timeout -s INT N` that ended it."""
    start = argv.index("timeout") if "timeout" in argv else len(argv)
    return argv[:start] + argv[start + 4:]


def pods_of_namespaces(facts: list[dict]) -> dict[str, str]:
    """Which pod lives in a node's network namespace: the one with the namespace's address."""
    listing = next(fact for fact in facts if fact["argv"] == ["kubectl", "get", "pods", "-A", "-o", "json"])
    pods = {pod["status"].get("podIP"): f"pod:{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for pod in json.loads(listing["stdout"])["items"] if not pod["spec"].get("hostNetwork")}
    found = {}
    for fact in facts:
        if fact["argv"][:3] == ["ip", "netns", "exec"] and fact["argv"][4:] == ["ip", "-j", "addr"]:
            addresses = {info["local"] for link in json.loads(fact["stdout"]) for info in link["addr_info"]}
            for own in addresses & pods.keys():
                found[fact["argv"][3]] = pods[own]
    return found


def made_with(facts: list[dict]) -> dict[str, str]:
    """The versions that matter, as the cluster itself told them."""
    def said(*argv: str) -> str:
        return next((fact["stdout"] or fact["stderr"] for fact in facts if fact["argv"] == list(argv)), "").strip()
    server = [line.partition(": ")[2] for line in said("kubectl", "version").splitlines() if line.startswith("Server")]
    return {"kind": said("kind", "version").split()[1], "Kubernetes": server[0], "Linux": said("uname", "-r"),
            "iptables": said("iptables", "--version").removeprefix("iptables "), "dig": said("dig", "-v").split()[-1]}


def answer(command: dict) -> dict:
    """A command without what changes from run to run and nothing in the kit reads."""
    return {key: command[key] for key in ("place", "argv", "rc", "stdout", "stderr")}


def read_lines(path: Path) -> list[dict]:
    """A file of one JSON object a line."""
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def write_lines(path: Path, entries: list[dict]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries))


if __name__ == "__main__":
    sys.exit(main())
