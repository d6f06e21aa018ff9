"""What `iptables` would change, applied to the text of `iptables-save`. See iptables(8).

What `ip route`, `conntrack` and `sysctl` would change, applied to the text of what they print. See ip-route(8).

What kubectl and docker would change: Kubernetes brings back what it had before something was broken."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from kitlib.errors import NotRecorded, ParseError
from kitlib.parsers.ip import ROUTE_TYPES
from kitlib.quiz import WHAT
from workshop.mending import Answers, Changed, commands, key_and_value, node_only

if TYPE_CHECKING:
    from kitlib.lab import Lab
    from kitlib.place import Pod


Effect = Callable[["Lab", str, list[str]], Answers]
SAVED = ("iptables-save",)
SHORT = {"--append": "-A", "--insert": "-I", "--delete": "-D", "--flush": "-F", "--policy": "-P", "--protocol": "-p",
         "--jump": "-j", "--source": "-s", "--destination": "-d", "--table": "-t", "--destination-port": "--dport"}


def iptables(lab: Lab, place: str, words: list[str]) -> Answers:
    """`iptables [-t TABLE] -P|-A|-I|-D|-F CHAIN …`: the node's `iptables-save` afterwards."""
    node_only(place, ["iptables", *words])
    words = [SHORT.get(word, word) for word in words if word not in ("-w", "--wait")]
    table = "filter"
    if "-t" in words[:-1]:
        at = words.index("-t")
        table, words = words[at + 1], words[:at] + words[at + 2:]
    tables = tables_of(lab.run(place, SAVED).stdout)
    if len(words) < 2 or table not in tables or not any(line.startswith(f":{words[1]} ") for line in tables[table]):
        raise ParseError(WHAT, "iptables, a command such as -A, and a chain that is there in its table (-t)",
                         shlex.join(["iptables", "-t", table, *words]))
    tables[table] = _changed(tables[table], *words)
    return {(place, SAVED): text_of(tables)}


def tables_of(text: str) -> dict[str, list[str]]:
    """The lines of each table: its chains, then its rules."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            found[line[1:]] = current = []
        elif line.startswith((":", "-A")):
            current.append(line)
    return found


def text_of(tables: dict[str, list[str]]) -> str:
    """The text of iptables-save again."""
    return "".join("\n".join([f"*{table}", *lines, "COMMIT", ""]) for table, lines in tables.items())


def _changed(lines: list[str], command: str, chain: str, *words: str) -> list[str]:
    rules = [line for line in lines if line.startswith(f"-A {chain} ")]
    others = [line for line in lines if line not in rules]
    match command:
        case "-P":
            return [f":{chain} {words[0]} [0:0]" if line.startswith(f":{chain} ") else line for line in lines]
        case "-F":
            return others
        case "-A":
            return [*lines, _rule(chain, words)]
        case "-I":
            number, words = (int(words[0]), words[1:]) if words and words[0].isdigit() else (1, words)
            return [*others, *rules[:number - 1], _rule(chain, words), *rules[number - 1:]]
        case "-D":
            return [line for line in lines if line != _named(rules, words)]
    raise ParseError(WHAT, "one of -P, -A, -I, -D, -F", command)


def _rule(chain: str, words: tuple[str, ...]) -> str:
    """The rule as iptables-save writes it: a port needs the protocol's own match."""
    protocol = words[words.index("-p") + 1] if "-p" in words[:-1] else ""
    given = list(words)
    if protocol and f"-m {protocol}" not in " ".join(words):
        at = given.index("-p") + 2
        given[at:at] = ["-m", protocol]
    return " ".join(["-A", chain, *(f'"{word}"' if re.search(r"[\s|'<>]", word) else word for word in given)])


def _named(rules: list[str], words: tuple[str, ...]) -> str:
    """The rule that -D means: by its number, or by what it says."""
    if len(words) == 1 and words[0].isdigit() and 0 < int(words[0]) <= len(rules):
        return rules[int(words[0]) - 1]
    found = [rule for rule in rules if sorted(_options(shlex.split(rule)[2:])) == sorted(_options(list(words)))]
    if not found:
        raise ParseError(WHAT, "a rule that is there, as iptables-save shows it", shlex.join(words))
    return found[0]


def _options(words: list[str]) -> Iterator[tuple[str, ...]]:
    """A rule's options, each with its values; without what iptables adds by itself."""
    option: list[str] = []
    for word in [*words, "--end"]:
        if word.startswith("-") and option and option[-1] != "!":
            if option[:2] not in (["-m", "tcp"], ["-m", "udp"], ["-m", "comment"]) and option[0] != "--comment":
                yield tuple(word.removesuffix("/32") for word in option)
            option = []
        option.append(word)


ROUTES, FLOWS = ("ip", "route"), ("conntrack", "-L", "-p", "udp")
FILTERS = {"-s": "src", "--orig-src": "src", "--src": "src", "-d": "dst", "--orig-dst": "dst", "--dst": "dst",
           "--sport": "sport", "--orig-port-src": "sport", "--dport": "dport", "--orig-port-dst": "dport"}
REPLY_FILTERS = {"-r": "src", "--reply-src": "src", "-q": "dst", "--reply-dst": "dst",
                 "--reply-port-src": "sport", "--reply-port-dst": "dport"}


def ip(lab: Lab, place: str, words: list[str]) -> Answers:
    """`ip route add|del|replace|change|append|flush …` in the node's main table."""
    node_only(place, ["ip", *words])
    words = [word for word in words if word not in ("-4",)]
    if len(words) < 3 or words[0] not in ("r", "ro", "route"):
        raise ParseError(WHAT, "ip route add, del, replace, change or flush, and a route", " ".join(["ip", *words]))
    verb, spec = words[1], words[2:]
    lines = lab.run(place, ROUTES).stdout.splitlines()
    same = [line for line in lines if _route(line.split())[1] == _route(spec)[1]]
    if verb in ("del", "delete", "flush"):
        gone = [line for line in same if _fits(line.split(), spec)]
        if not gone:
            raise ParseError(WHAT, "a route that is there, as `ip route` shows it", " ".join(spec))
        lines = [line for line in lines if line not in (gone if verb == "flush" else gone[:1])]
    elif verb in ("add", "append", "replace", "change"):
        if verb == "add" and same:
            raise ParseError(WHAT, "replace or change: there is a route for this destination already", " ".join(spec))
        lines = [line for line in lines if line not in same or verb == "append"] + [" ".join(_with_device(spec))]
    else:
        raise ParseError(WHAT, "add, del, replace, change or flush", verb)
    return {(place, ROUTES): "\n".join(lines) + "\n"}


def _route(words: list[str]) -> tuple[str, str]:
    kind = words[0] if words and words[0] in ROUTE_TYPES else "unicast"
    rest = words[1:] if words and words[0] in ROUTE_TYPES else words
    try:
        return kind, "default" if rest[:1] == ["default"] else str(ip_network(rest[0]))
    except (ValueError, IndexError):
        raise ParseError(WHAT, "a destination such as 10.0.0.0/24", " ".join(words)) from None


def _fits(line: list[str], spec: list[str]) -> bool:
    """Is this the route that `spec` names? A type or next hop that `spec` does not give does not matter."""
    named = [word for word in spec if word not in ROUTE_TYPES][1:]
    return set(named) <= set(line) and (spec[0] not in ROUTE_TYPES or spec[0] == line[0])


def _with_device(spec: list[str]) -> list[str]:
    return spec if "dev" in spec or spec[0] in ROUTE_TYPES else [*spec, "dev", "eth0"]


def conntrack(lab: Lab, place: str, words: list[str]) -> Answers:
    """`conntrack -D FILTERS` or `-F`: the flows that stay."""
    node_only(place, ["conntrack", *words])
    lines = lab.run(place, FLOWS).stdout.splitlines()
    if words[:1] == ["-F"]:
        return {(place, FLOWS): ""}
    if words[:1] != ["-D"]:
        raise ParseError(WHAT, "conntrack -D and what to delete, or -F", " ".join(["conntrack", *words]))
    wanted = list(zip(words[1::2], words[2::2], strict=False))
    return {(place, FLOWS): "".join(f"{line}\n" for line in lines if not all(_has(line, *one) for one in wanted))}


def _has(line: str, option: str, value: str) -> bool:
    if option in ("-p", "--proto"):
        return line.split()[0] == value
    index = 0 if option in FILTERS else 1
    name = (FILTERS | REPLY_FILTERS).get(option)
    if name is None:
        raise ParseError(WHAT, f"one of {', '.join(FILTERS | REPLY_FILTERS)}", option)
    return re.findall(rf"\b{name}=(\S+)", line)[index] == value


def sysctl(lab: Lab, place: str, words: list[str]) -> Answers:
    """`sysctl -w KEY=VALUE`."""
    node_only(place, ["sysctl", *words])
    given = [word for word in words if not word.startswith("-")]
    settings = dict(key_and_value(word) for word in given)
    if not settings:
        raise ParseError(WHAT, "sysctl -w KEY=VALUE", " ".join(["sysctl", *words]))
    return {(place, ("sysctl", key)): f"{key} = {value}\n" for key, value in settings.items()}


SLICES = ("kubectl", "get", "endpointslices", "-A", "-o", "json")
CONTAINERS = ("docker", "container", "ls")


def kubectl(lab: Lab, place: str, words: list[str]) -> Answers:
    """Scaling or restarting CoreDNS or kube-proxy, or deleting one of their pods."""
    said = " ".join(words).replace("deployments/", "deployment ").replace("deployment/", "deployment ")
    said = re.sub(r"\b(deploy|deployments?|deployment\.apps|daemonsets?|ds|pods?|po)[ /]", "", said)
    replicas = re.search(r"--replicas[= ](\d+)", said)
    if "kube-system" not in said:
        raise ParseError(WHAT, "the namespace of CoreDNS and kube-proxy: -n kube-system", said)
    if "scale" in words and "coredns" in words[-2:] + said.split() and replicas:
        return _healthy(lab, SLICES) | _pod_routes(lab) | synced(lab) if int(replicas[1]) else {}
    if "kube-proxy" in said and ("restart" in words or "delete" in words):
        return synced(lab, [pod.node.id for pod in lab.pods("kube-proxy") if pod.name in said])
    if "restart" in words and "coredns" in said:
        return replaced(lab, lab.coredns)
    if "delete" in words:
        return replaced(lab, [at for at in lab.coredns if at.name in said or "k8s-app=kube-dns" in said])
    raise ParseError(WHAT, "scale or rollout restart of coredns, rollout restart of kube-proxy, or delete pod",
                     shlex.join(["kubectl", *words]))


def docker(lab: Lab, place: str, words: list[str]) -> Answers:
    """`docker start|restart|unpause CONTAINER`."""
    lines = lab.run("host", CONTAINERS).stdout.splitlines()
    words = words[1:] if words[:1] == ["container"] else words
    if len(words) != 2 or words[0] not in ("start", "restart", "unpause"):
        raise ParseError(WHAT, "docker exec, start, restart or unpause, and a container", " ".join(words))
    if words[1] not in [line.split()[-1] for line in lines]:
        raise ParseError(WHAT, "a container that `docker container ls` shows", words[1])
    running = [line.replace("(Paused)", "") if line.split()[-1] == words[1] else line for line in lines]
    return {("host", CONTAINERS): "\n".join(running) + "\n"}


def _healthy(lab: Lab, argv: tuple[str, ...]) -> Answers:
    """What this command said, everywhere, before something was broken."""
    from kitlib.backends.recording import load

    recording = getattr(_first(lab.backend), "recording", None)
    if recording is None:
        raise NotRecorded("Only the recorded lab knows how it was before; on this lab run the command itself.")
    return {key: fact.stdout for key, fact in load(recording.folder).facts.items() if key[1] == argv}


def _first(backend):
    while hasattr(backend, "_behind"):
        backend = backend._behind.backend
    return backend


def _pod_routes(lab: Lab) -> Answers:
    """Each node has a route to each of its pods again; all other routes are as they are now."""
    changed: Answers = {}
    for (place, argv), text in _healthy(lab, ROUTES).items():
        now = lab.run(place, argv).stdout
        back = [line for line in text.splitlines() if re.match(r"[\d.]+ dev", line) and line not in now]
        changed[place, argv] = now + "".join(f"{line}\n" for line in back)
    return changed


def synced(lab: Lab, nodes: Sequence[str] = ()) -> Answers:
    """kube-proxy writes its chains anew on these nodes (on all, if none is named); what others have written stays."""
    changed: Answers = {}
    for (place, argv), text in _healthy(lab, SAVED).items():
        if nodes and place not in nodes:
            continue
        now, then = tables_of(lab.run(place, SAVED).stdout), tables_of(text)
        tables = {table: [line for line in then.get(table, ()) if "KUBE-" in line]
                  + [line for line in lines if "KUBE-" not in line] for table, lines in now.items()}
        for table, lines in tables.items():
            tables[table] = sorted(lines, key=lambda line: not line.startswith(":"))
        changed[place, argv] = text_of(tables)
    return changed


def replaced(lab: Lab, pods: Sequence[Pod]) -> Answers:
    """New pods with new addresses stand in endpoints, routes and rules; kube-proxy clears the flows to the old."""
    texts = {("host", SLICES): lab.run("host", SLICES).stdout,
             **{(node.id, argv): node.run(*argv).stdout for node in lab.nodes for argv in (SAVED, ROUTES)}}
    flows = {(node.id, FLOWS): node.run(*FLOWS).stdout.splitlines() for node in lab.nodes}
    taken = {pod.address for pod in lab.pods()}
    for pod in pods:
        fresh = next(address for step in range(1, 250) if (address := str(ip_address(pod.address) + step)) not in taken)
        taken.add(fresh)
        texts = {key: re.sub(rf"\b{re.escape(pod.address)}\b", fresh, text) for key, text in texts.items()}
        flows = {key: [line for line in lines if f"src={pod.address} " not in line] for key, lines in flows.items()}
    return texts | {key: "".join(f"{line}\n" for line in lines) for key, lines in flows.items()}


EFFECTS: dict[str, Effect] = {"iptables": iptables, "conntrack": conntrack, "ip": ip, "sysctl": sysctl,
                              "kubectl": kubectl, "docker": docker}


def lab_after(lab: Lab, typed: object) -> Lab:
    """The lab as it would be after these commands, typed as on the host: one a line, or with ; or && between.

    ParseError for what is no command, or one that changes nothing that this kit knows of.
    """
    for place, argv in commands(str(typed)):
        if argv[0] not in EFFECTS:
            raise ParseError(WHAT, f"a command that mends something: {', '.join(EFFECTS)}", argv[0])
        lab = type(lab)(Changed(lab, EFFECTS[argv[0]](lab, place, argv[1:])))
    return lab
