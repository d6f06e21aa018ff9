"""Say what a command would change without running it: the same lab, with the answers that it would give afterwards.

iptables is applied to the text of `iptables-save`, ip route, conntrack and sysctl to what they print themselves (see
iptables(8), ip-route(8), conntrack(8)). kubectl and docker bring back what was there before something was broken. What
else a command would have changed (counters, other files, the next packet) is not known here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from ipaddress import ip_address, ip_network

from kitlib.backends.recording import load
from kitlib.errors import KitError, NotRecorded, ParseError
from kitlib.lab import Lab
from kitlib.parsers.ip import ROUTE_TYPES
from kitlib.place import Pod
from kitlib.quiz import WHAT
from kitlib.result import Result, typed_on_host
from workshop.typed_commands import parse_commands

Answers = dict[tuple[str, tuple[str, ...]], str]       # stdout, by the id of the place and argv
Effect = Callable[[Lab, str, list[str]], Answers]
SAVED = ("iptables-save",)
ROUTES = ("ip", "route")
CONNECTIONS = ("conntrack", "-L", "-p", "udp")
ENDPOINT_SLICES = ("kubectl", "get", "endpointslices", "-A", "-o", "json")
CONTAINERS = ("docker", "container", "ls")
SHORT_OPTIONS = {"--append": "-A", "--insert": "-I", "--delete": "-D", "--flush": "-F", "--policy": "-P",
                 "--protocol": "-p", "--jump": "-j", "--source": "-s", "--destination": "-d", "--table": "-t",
                 "--destination-port": "--dport"}
FILTERS = {"-s": "src", "--orig-src": "src", "--src": "src", "-d": "dst", "--orig-dst": "dst", "--dst": "dst",
           "--sport": "sport", "--orig-port-src": "sport", "--dport": "dport", "--orig-port-dst": "dport"}
REPLY_FILTERS = {"-r": "src", "--reply-src": "src", "-q": "dst", "--reply-dst": "dst",
                 "--reply-port-src": "sport", "--reply-port-dst": "dport"}


def iptables(lab: Lab, place: str, words: list[str]) -> Answers:
    """Apply `iptables [-t TABLE] -P|-A|-I|-D|-F CHAIN …` to the node's `iptables-save`."""
    words = [SHORT_OPTIONS.get(word, word) for word in words if word not in ("-w", "--wait")]
    table = "filter"
    if "-t" in words[:-1]:
        at = words.index("-t")
        table, words = words[at + 1], words[:at] + words[at + 2:]
    tables = parse_tables(lab.run(place, SAVED).text)
    if len(words) < 2 or table not in tables or not any(line.startswith(f":{words[1]} ") for line in tables[table]):
        raise ParseError(WHAT, "iptables, a command such as -A, and a chain that is there in its table (-t)",
                         shlex.join(["iptables", "-t", table, *words]))
    tables[table] = _edited(tables[table], *words)
    return {(place, SAVED): format_tables(tables)}


def parse_tables(text: str) -> dict[str, list[str]]:
    """Parse iptables-save: return the lines of each table, its chains, then its rules."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            found[line[1:]] = current = []
        elif line.startswith((":", "-A")):
            current.append(line)
    return found


def format_tables(tables: dict[str, list[str]]) -> str:
    """Write the tables as iptables-save does."""
    return "".join("\n".join([f"*{table}", *lines, "COMMIT", ""]) for table, lines in tables.items())


def _edited(lines: list[str], command: str, chain: str, *words: str) -> list[str]:
    rules = [line for line in lines if line.startswith(f"-A {chain} ")]
    others = [line for line in lines if line not in rules]
    match command:
        case "-P":
            return [f":{chain} {words[0]} [0:0]" if line.startswith(f":{chain} ") else line for line in lines]
        case "-F":
            return others
        case "-A":
            return [*lines, _saved_rule(chain, words)]
        case "-I":
            number, words = (int(words[0]), words[1:]) if words and words[0].isdigit() else (1, words)
            return [*others, *rules[:number - 1], _saved_rule(chain, words), *rules[number - 1:]]
        case "-D":
            rules.remove(_rule_to_delete(rules, words))
            return [*others, *rules]
    raise ParseError(WHAT, "one of -P, -A, -I, -D, -F", command)


def _saved_rule(chain: str, words: tuple[str, ...]) -> str:
    """Return the rule as iptables-save writes it: a port needs the protocol's own match."""
    protocol = words[words.index("-p") + 1] if "-p" in words[:-1] else ""
    given = list(words)
    if protocol and f"-m {protocol}" not in " ".join(words):
        at = given.index("-p") + 2
        given[at:at] = ["-m", protocol]
    return " ".join(["-A", chain, *(f'"{word}"' if re.search(r"[\s|'<>]", word) else word for word in given)])


def _rule_to_delete(rules: list[str], words: tuple[str, ...]) -> str:
    """Return the rule that -D means, by its number or by its options."""
    if len(words) == 1 and words[0].isdigit() and 0 < int(words[0]) <= len(rules):
        return rules[int(words[0]) - 1]
    found = [rule for rule in rules if sorted(_options(shlex.split(rule)[2:])) == sorted(_options(list(words)))]
    if not found:
        raise ParseError(WHAT, "a rule that is there, as iptables-save shows it", shlex.join(words))
    return found[0]


def _options(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Split a rule into options with their values, without those that iptables adds by itself."""
    option: list[str] = []
    for word in [*words, "--end"]:
        if word.startswith("-") and option and option[-1] != "!":
            if option[:2] not in (["-m", "tcp"], ["-m", "udp"], ["-m", "comment"]) and option[0] != "--comment":
                yield tuple(word.removesuffix("/32") for word in option)
            option = []
        option.append(word)


def ip(lab: Lab, place: str, words: list[str]) -> Answers:
    """Apply `ip route add|del|replace|change|append|flush …` to the node's main table."""
    words = [word for word in words if word != "-4"]
    if len(words) < 3 or words[0] not in ("r", "ro", "route"):
        raise ParseError(WHAT, "ip route add, del, replace, change or flush, and a route", " ".join(["ip", *words]))
    verb, spec = words[1], words[2:]
    lines = lab.run(place, ROUTES).text.splitlines()
    same = [line for line in lines if _destination(line.split()) == _destination(spec)]
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


def _destination(words: list[str]) -> str:
    """Return the network of a route, "default" for the default route. Raises ParseError."""
    without_type = words[1:] if words and words[0] in ROUTE_TYPES else words
    try:
        return "default" if without_type[:1] == ["default"] else str(ip_network(without_type[0]))
    except (ValueError, IndexError):
        raise ParseError(WHAT, "a destination such as 10.0.0.0/24", " ".join(words)) from None


def _fits(line: list[str], spec: list[str]) -> bool:
    """Say whether this is the route that `spec` names; what `spec` leaves out may be anything."""
    named = [word for word in spec if word not in ROUTE_TYPES][1:]
    return set(named) <= set(line) and (spec[0] not in ROUTE_TYPES or spec[0] == line[0])


def _with_device(spec: list[str]) -> list[str]:
    return spec if "dev" in spec or spec[0] in ROUTE_TYPES else [*spec, "dev", "eth0"]


def conntrack(lab: Lab, place: str, words: list[str]) -> Answers:
    """Apply `conntrack -D FILTERS` or `-F` to the node's UDP connections."""
    lines = lab.run(place, CONNECTIONS).text.splitlines()
    if words[:1] == ["-F"]:
        return {(place, CONNECTIONS): ""}
    if words[:1] != ["-D"]:
        raise ParseError(WHAT, "conntrack -D and what to delete, or -F", " ".join(["conntrack", *words]))
    wanted = list(zip(words[1::2], words[2::2], strict=False))
    kept = [line for line in lines if not all(_has(line, *one) for one in wanted)]
    return {(place, CONNECTIONS): "".join(f"{line}\n" for line in kept)}


def _has(line: str, option: str, value: str) -> bool:
    if option in ("-p", "--proto"):
        return line.split()[0] == value
    index = 0 if option in FILTERS else 1
    name = (FILTERS | REPLY_FILTERS).get(option)
    if name is None:
        raise ParseError(WHAT, f"one of {', '.join(FILTERS | REPLY_FILTERS)}", option)
    return re.findall(rf"\b{name}=(\S+)", line)[index] == value


def sysctl(lab: Lab, place: str, words: list[str]) -> Answers:
    """Apply `sysctl -w KEY=VALUE`."""
    settings = [word.partition("=") for word in words if not word.startswith("-")]
    if not settings or not all(key and value for key, _, value in settings):
        raise ParseError(WHAT, "sysctl -w KEY=VALUE", " ".join(["sysctl", *words]))
    return {(place, ("sysctl", dotted)): f"{dotted} = {value}\n" for key, _, value in settings
            if (dotted := key.replace("/", "."))}


def kubectl(lab: Lab, place: str, words: list[str]) -> Answers:
    """Scale or restart CoreDNS, restart kube-proxy, or delete one of their pods."""
    text = re.sub(r"\b(deploy|deployments?|deployment\.apps|daemonsets?|ds|pods?|po)[ /]", "", " ".join(words))
    replicas = re.search(r"--replicas[= ](\d+)", text)
    if "kube-system" not in text:
        raise ParseError(WHAT, "the namespace of CoreDNS and kube-proxy: -n kube-system", text)
    if "scale" in words and "coredns" in text.split() and replicas:
        return _scaled_up(lab) if int(replicas[1]) else {}
    if "kube-proxy" in text and ("restart" in words or "delete" in words):
        return _synced_rules(lab, [pod.node.id for pod in lab.pods("kube-proxy") if pod.name in text])
    if "restart" in words and "coredns" in text:
        return _with_new_pods(lab, lab.coredns)
    if "delete" in words:
        return _with_new_pods(lab, [at for at in lab.coredns if at.name in text or "k8s-app=kube-dns" in text])
    raise ParseError(WHAT, "scale or rollout restart of coredns, rollout restart of kube-proxy, or delete pod",
                     shlex.join(["kubectl", *words]))


def docker(lab: Lab, place: str, words: list[str]) -> Answers:
    """Apply `docker start|restart|unpause CONTAINER`."""
    lines = lab.run("host", CONTAINERS).text.splitlines()
    words = words[1:] if words[:1] == ["container"] else words
    if len(words) != 2 or words[0] not in ("start", "restart", "unpause"):
        raise ParseError(WHAT, "docker exec, start, restart or unpause, and a container", " ".join(words))
    if words[1] not in [line.split()[-1] for line in lines]:
        raise ParseError(WHAT, "a container that `docker container ls` shows", words[1])
    running = [line.replace("(Paused)", "") if line.split()[-1] == words[1] else line for line in lines]
    return {("host", CONTAINERS): "\n".join(running) + "\n"}


def _healthy(lab: Lab, argv: tuple[str, ...]) -> Answers:
    """Return what this command printed, everywhere, before something was broken. Raises NotRecorded on a live lab."""
    recording = getattr(lab.backend, "recording", None)
    if recording is None:
        raise NotRecorded("Only the recorded lab knows how it was before; on this lab run the command itself.")
    return {key: fact.stdout for key, fact in load(recording.folder).facts.items() if key[1] == argv}


def _scaled_up(lab: Lab) -> Answers:
    """Bring back the CoreDNS pods: their endpoints, a route to each on every node, kube-proxy's rules."""
    answers = _healthy(lab, ENDPOINT_SLICES) | _synced_rules(lab)
    for (place, argv), text in _healthy(lab, ROUTES).items():
        now = lab.run(place, argv).text
        back = [line for line in text.splitlines() if re.match(r"[\d.]+ dev", line) and line not in now]
        answers[place, argv] = now + "".join(f"{line}\n" for line in back)
    return answers


def _synced_rules(lab: Lab, nodes: Sequence[str] = ()) -> Answers:
    """Let kube-proxy write its chains anew on these nodes (on all, if none is named); what others wrote stays."""
    answers: Answers = {}
    for (place, argv), text in _healthy(lab, SAVED).items():
        if nodes and place not in nodes:
            continue
        healthy, tables = parse_tables(text), {}
        for table, lines in parse_tables(lab.run(place, SAVED).text).items():
            kept = [line for line in lines if "KUBE-" not in line]
            written = [line for line in healthy.get(table, ()) if "KUBE-" in line]
            tables[table] = sorted(written + kept, key=lambda line: not line.startswith(":"))
        answers[place, argv] = format_tables(tables)
    return answers


def _with_new_pods(lab: Lab, pods: Sequence[Pod]) -> Answers:
    """Give these pods new addresses in endpoints, routes and rules; kube-proxy clears the connections to the old."""
    texts = {("host", ENDPOINT_SLICES): lab.run("host", ENDPOINT_SLICES).text,
             **{(node.id, argv): node.run(*argv).text for node in lab.nodes for argv in (SAVED, ROUTES)}}
    remembered = {(node.id, CONNECTIONS): node.run(*CONNECTIONS).text.splitlines() for node in lab.nodes}
    taken = {pod.address for pod in lab.pods()}
    for pod in pods:
        new = next(address for step in range(1, 250) if (address := str(ip_address(pod.address) + step)) not in taken)
        taken.add(new)
        texts = {key: re.sub(rf"\b{re.escape(pod.address)}\b", new, text) for key, text in texts.items()}
        remembered = {key: [line for line in lines if f"src={pod.address} " not in line]
                      for key, lines in remembered.items()}
    return texts | {key: "".join(f"{line}\n" for line in lines) for key, lines in remembered.items()}


ON_A_NODE: dict[str, Effect] = {"iptables": iptables, "conntrack": conntrack, "ip": ip, "sysctl": sysctl}
EFFECTS = ON_A_NODE | {"kubectl": kubectl, "docker": docker}


def check_is_known(argv: Sequence[str], known: Collection[str] = EFFECTS) -> None:
    """Raise ParseError for a program that fixes nothing here."""
    if argv[0] not in known:
        raise ParseError(WHAT, f"a command that fixes something: {', '.join(known)}", argv[0])


def effect(lab: Lab, place: str, argv: list[str]) -> Answers:
    """Return the answers that this command would change. Raises KitError for one that would not work."""
    check_is_known(argv)
    if argv[0] in ON_A_NODE and not place.startswith("node:"):     # their rules and routes are what is broken
        raise KitError(f"On which machine? Put it before the command: docker exec NODE {shlex.join(argv)}. "
                       f"The nodes are {', '.join(node.name for node in lab.nodes)}.")
    return EFFECTS[argv[0]](lab, place, argv[1:])


class ChangedLab:
    """A backend that replaces some answers of a lab and hands all other questions on to it; it cannot capture."""

    live = False

    def __init__(self, lab: Lab, answers: Answers) -> None:
        self.name = lab.name
        self.recording = getattr(lab.backend, "recording", None)
        self._lab, self._answers = lab, answers

    def run(self, place: str, argv: tuple[str, ...]) -> Result:
        """Return the replaced answer, or the one of the lab behind."""
        if (place, argv) in self._answers:
            return Result(typed_on_host(place, argv), argv, 0, self._answers[place, argv])
        return self._lab.run(place, argv)


def lab_after(lab: Lab, typed: object) -> Lab:
    """Return the lab as it would be after the commands in this text, typed as on the host.

    Raises KitError for what is no command, or one that changes nothing that this kit knows of.
    """
    for place, argv in parse_commands(str(typed)):
        lab = type(lab)(ChangedLab(lab, effect(lab, place, argv)))
    return lab
