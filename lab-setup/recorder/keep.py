"""What a scrubbed recording keeps of a command's output: what the helper's parsers read, and the notebooks show.

Everything else goes: a command that is not listed here, a JSON field that nobody reads, a column, a process, a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from kitlib.backends.recording import Command
from kitlib.cluster import CONTROL_PLANE
from kitlib.parsers.kubernetes import ROLE_LABEL, SERVICE_LABEL
from recorder import keep_nft
from recorder.pseudonyms import Pseudonyms

Cleaner = Callable[[str], str]
NAMED = {"namespace": ..., "name": ...}         # `...` keeps a value; "*" stands for every key
PORTS = [{"name": ..., "port": ..., "protocol": ..., "targetPort": ...}]
POD = {"kind": ..., "metadata": NAMED | {"labels": {"pod-template-hash": ...}},
       "spec": {"nodeName": ..., "hostNetwork": ..., "dnsPolicy": ...}, "status": {"podIP": ..., "phase": ...}}
ROLES = {f"{ROLE_LABEL}{role}": ... for role in (*sorted(CONTROL_PLANE), "worker")}
NODE = {"kind": ..., "metadata": {"name": ..., "labels": ROLES},
        "spec": {"podCIDR": ...}, "status": {"addresses": [{"type": ..., "address": ...}]}}
SERVICE = {"kind": ..., "metadata": NAMED, "spec": {"type": ..., "clusterIP": ..., "ports": PORTS}}
SLICE = {"kind": ..., "metadata": NAMED | {"labels": {SERVICE_LABEL: ...}}, "addressType": ..., "ports": PORTS,
         "endpoints": [{"addresses": [...], "conditions": {"ready": ...}, "nodeName": ...,
                        "targetRef": {"kind": ..., "name": ...}}]}
OBJECTS = {"Pod": POD, "Node": NODE, "Service": SERVICE, "EndpointSlice": SLICE}
NETWORK = [{"Name": ..., "Id": ..., "Driver": ..., "IPAM": {"Config": [{"Subnet": ..., "Gateway": ...}]},
            "Containers": {"*": {"Name": ..., "MacAddress": ..., "IPv4Address": ...}},
            "Options": {"com.docker.network.bridge.name": ...}}]
ENDS = {"*": {"IPAddress": ..., "IPPrefixLen": ..., "Gateway": ..., "MacAddress": ...}}
CONTAINER = [{"Name": ..., "NetworkSettings": {"Networks": ENDS}}]
FLAGS = ("cluster-cidr", "service-cluster-ip-range")        # of kube-controller-manager, out of `ps -ef`
COLUMNS = {"NAMESPACE", "NAME", "NAMES", "STATUS", "ROLES", "AGE", "VERSION", "INTERNAL-IP", "EXTERNAL-IP", "READY",
           "RESTARTS", "IP", "NODE", "TYPE", "CLUSTER-IP", "PORT(S)", "ADDRESSTYPE", "PORTS", "ENDPOINTS",
           "CONTAINER ID", "CREATED"}
CELLS = re.compile(r'<none>|kindest/node:[\w.-]+|"/usr/local/bin/entr…"')       # of the other columns
DESCRIPTION = ("Name", "Namespace", "Type", "IP Family Policy", "IP Families", "IP", "IPs", "Port", "TargetPort",
             "Endpoints", "Session Affinity", "Internal Traffic Policy")
SENTENCES = {           # the comments of kube-proxy and of kind's masquerading agent
    "kubernetes service portals", "kubernetes postrouting rules", "kubernetes service traffic requiring SNAT",
    "kubernetes forwarding rules", "kubernetes forwarding conntrack rule", "kubernetes load balancer firewall",
    "kubernetes externally-visible service portals", "kubernetes health check service ports",
    "kubernetes service nodeports; NOTE: this must be the last rule in this chain",
    "block incoming localnet connections", "kind-masq-agent: local traffic is not subject to MASQUERADE",
    "kind-masq-agent: outbound traffic is subject to MASQUERADE (must be last in chain)",
    "kind-masq-agent: ensure nat POSTROUTING directs all non-LOCAL destination traffic to our custom KIND-MASQ-AGENT "
    "chain"}
TRACE_COMMENT = re.compile(r"kitlib-trace(?:-[0-9a-f]+-\d+-\d+)?")
PORT_NAME = re.compile(r"([\w.-]+)/([\w.-]+?)(?::[\w-]+)?(?: cluster IP| has no endpoints| -> [\d.:]+)?")
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
QUOTED = re.compile(rf"(?<= ){STRING.pattern}(?= |$)", re.M)         # as an argument
FREE_WORD = re.compile(r"(?<=--)(comment|log-prefix|nflog-prefix|string|hex-string|name|nfacct-name)(\s+)([^\s\"]+)")
RULE_LINE = r"(?:[*:]|(?:\[\d+:\d+\] )?-[A-Z] |COMMIT|# (?:Generated|Completed) (?:by|on) | ?TRACE: |PACKET: ).*"
DIG_SAYS = re.compile(
    r";; (?:global options:[ +\w]*|Got answer:|->>HEADER<<-.*|flags:.*|Query time:.*|SERVER:.*|WHEN:.*|MSG SIZE.*|"
    r"(?:OPT PSEUDO|QUESTION |ANSWER |AUTHORITY |ADDITIONAL )SECTION:|Truncated, retrying in TCP mode\.|"
    r"communications error to .*|connection timed out.*|no servers could be reached)|"
    r"; <<>> DiG .*|; EDNS: .*|; COOKIE: .*|;\S+\s+IN\s+\w+")
RECORD = re.compile(r"(\S+\s+\d+\s+\w+\s+)(\w+)(\s+)(.*)")
# What `dig +short` and getent print: a name, an address, text; MX, SRV, SOA; an address and more.
SHORT = re.compile(r'(?:\d+ ){0,3}[^\s"]+|"x*"(?: "x*")*|\S+ \S+(?: \d+){5}|[\da-f]*[.:][\da-f.:]*[\da-f:] .*|')
READ_TYPES = ("A", "AAAA", "NS", "CNAME", "PTR", "DNAME", "MX", "SRV", "SOA", "TXT")
NAME = re.compile(rf"(?!(?:ahosts|hosts|ANY|HTTPS|{'|'.join(READ_TYPES)})$)\w[\w-]*")
STDERR = re.compile(r"(?:conntrack v[\d.]+ \(conntrack-tools\): \d+ flow entries have been shown\.|"
                    r"command terminated with exit code \d+)\n")
ONE_LABEL = re.compile(r"(?<![\w.[-])[A-Za-z_][\w-]*\.(?![\w.-])")
WORD = r"[\w./:@+=#*-]+"
WORD_VALUE = re.compile(r"[\w.:/-]{0,253}", re.ASCII)      # a JSON value that is read: a name, an address, a word
LOOP = rf"for i in (?:\$\(seq \d+\)|[\d ]+); do (?:dig(?: {WORD})+(?:;| &) ?)+done(?:; wait)?"


class Keeper:
    """Cleans commands; `names` knows the lab. Those that begin as one of `more` does stay too."""

    def __init__(self, names: Pseudonyms, containers: set[str], more: Sequence[str] = ()) -> None:
        self.names, self.containers, self.more = names, containers, tuple(more)
        namespace, there = r"(?:-n \S+ )?", r"(?:ip netns exec [\w-]+ )?"
        get = rf"kubectl {namespace}get (?:nodes|pods?|services?|endpointslices)"
        options = rf"(?: -[\w-]+| {WORD})*"
        cleaners: dict[str, Cleaner] = {
            rf"{get}(?: {WORD})* -o json": self._json,
            rf"{get}(?: {WORD})?(?: -A)?(?: -o wide)?": self._table,
            rf"kubectl {namespace}describe service {WORD}":
                lambda text: _lines(text, rf"(?:{'|'.join(DESCRIPTION)}):.*"),
            r"(?:kubectl|kind) version|iptables --version|uname -r": self._version,
            r"docker container ls": self._containers,
            rf"docker network inspect {WORD}": lambda text: self._json(text, NETWORK),
            rf"docker inspect {WORD}": lambda text: self._json(text, CONTAINER),
            r"ps -ef": self._processes,
            r"cat /etc/resolv\.conf": lambda text: _lines(text, r"(?:search|nameserver|options) .*"),
            rf"(?:dig|getent|musl-getent)(?: {WORD})+|sh -c {LOOP}": self._dns,
            rf"{there}ip (?:addr|link)(?: {WORD})*":
                lambda text: _lines(text, r"\d+: .*|\s+(?:link/|inet|valid_lft ).*"),
            rf"{there}ip (?:route|rule|netns)(?: {WORD})*": lambda text: _lines(text, r"[\w \t./:()\[\]-]+"),
            rf"{there}conntrack{options}": lambda text: _lines(text, r"\w+ +\d+ [\w= .:\[\]]+|cpu=\d+[\w= \t]+"),
            rf"{there}iptables-save{options}|iptables -t \w+ -S|xtables-monitor --trace": self._rules,
            r"nft(?: -[aj])? (?:list (?:tables|ruleset)|monitor trace)":
                lambda text: keep_nft.kept(text, self._is_comment),
            rf"{there}ethtool -S {WORD}": lambda text: _lines(text, r"NIC statistics:|\s+\w+: \d+"),
            r"cat /sys/class/net/[\w.-]+/if(?:index|link)|hostname -i": lambda text: _lines(text, r"[\da-f:. ]+"),
            rf"sysctl(?: -a -r)? {WORD}": lambda text: _lines(text, r"net\.[\w.-]+ = [\d ]+"),
        }
        self._cleaners = [(re.compile(pattern), clean) for pattern, clean in cleaners.items()]

    def command(self, command: Command) -> Command | None:
        """Return the command with what is kept of its output; None if it is not kept at all."""
        clean = self._cleaner(command.argv)
        if clean is None:
            return None
        replaced = self._replaced(command.argv)
        argv = self.argv(command.argv)
        words = {old: new for old, new in zip(command.argv, argv, strict=True) if re.fullmatch(r"[\w-]{2,}", old)}
        stdout = clean(command.stdout)
        for old, new in words.items():
            stdout = re.sub(rf"(?<![\w.-]){re.escape(old)}(?![\w-])", new, stdout)
        stderr = command.stderr if STDERR.fullmatch(command.stderr) or self._is_more(command.argv) else ""
        return replace(command, place=self.names.only_known(command.place), argv=argv, stdout=replaced(stdout),
                       stderr=replaced(stderr))

    def keeps(self, argv: Sequence[str]) -> bool:
        """Say whether a command is kept."""
        return self._cleaner(argv) is not None

    def argv(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return an argument list with everything replaced; the words of a program that asks for names are names."""
        asks, replaced = argv[0] in ("dig", "getent", "musl-getent"), self._replaced(argv)
        return tuple(self.names.label(word) if asks and at and NAME.fullmatch(word) else replaced(word)
                     for at, word in enumerate(argv))

    def _replaced(self, argv: Sequence[str]) -> Cleaner:
        """Return what replaces names in a command's texts: all words that are not known, but for `more`."""
        return self.names.text if self._is_more(argv) else self.names.only_known

    def packet_text(self, text: str) -> str:
        """Return what tcpdump says of a DNS packet, without what was quoted in it."""
        return self.names.only_known(self._one_labels(STRING.sub(_mask, text)))

    def _one_labels(self, text: str) -> str:
        """Replace names of one label, which look like the end of a sentence."""
        return ONE_LABEL.sub(lambda match: self.names.label(match[0][:-1]) + ".", text)

    def _cleaner(self, argv: Sequence[str]) -> Cleaner | None:
        line = " ".join(argv)
        found = next((cleaner for pattern, cleaner in self._cleaners if pattern.fullmatch(line)), None)
        return found or (str if self._is_more(argv) else None)

    def _is_more(self, argv: Sequence[str]) -> bool:
        return any(" ".join(argv).startswith(words) for words in self.more)

    def _json(self, text: str, template: Any = None) -> str:
        """Keep what the template has of a JSON text; without one, what that for its kind of object has."""
        try:
            value = json.loads(text)
            kept = _select(value, template or _template_for(value))
            return json.dumps(kept, indent=4, ensure_ascii=False) + "\n"
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            return ""           # no JSON: an error message

    def _table(self, text: str) -> str:
        """Keep the columns that are known; every cell keeps its width."""
        heading, *rows = text.split("\n")
        starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", heading)]
        spans = list(zip(starts, [*starts[1:], None], strict=True))
        if not COLUMNS & {heading[start:end].strip() for start, end in spans}:
            return "No resources found\n"
        return "\n".join([heading, *("".join(_cell(heading[start:end].strip(), row[start:end]) for start, end in spans)
                                     for row in rows)])

    def _containers(self, text: str) -> str:
        heading, *rows = self._table(text).split("\n")
        return "\n".join([heading, *(row for row in rows if not row or row.split()[-1] in self.containers)])

    def _version(self, text: str) -> str:
        found = re.match(r"(?:(?:Client|Kustomize|Server) Version: v?[\d.]+\n)+|kind v[\d.]+|"
                         r"iptables v[\d.]+ \(\w+\)|[\d.]+", text)
        return found[0].removesuffix("\n") + "\n" if found else ""

    def _processes(self, text: str) -> str:
        heading, *rows = text.split("\n")
        kept = [heading]
        for row in rows:
            words = row.split(None, 7)
            if len(words) == 8 and words[7].partition(" ")[0].rpartition("/")[2] == "kube-controller-manager":
                flags = re.findall(rf"--(?:{'|'.join(FLAGS)})[= ][\da-f.:/,]+", words[7])
                kept.append(row[:row.index(words[7])] + " ".join(["kube-controller-manager", *flags]))
        return "\n".join(kept) + "\n"

    def _dns(self, text: str) -> str:
        lines = (line for line in text.split("\n") if line[:1] != ";" or DIG_SAYS.fullmatch(line))
        return "\n".join(line if line.startswith(";; ") else self._dns_line(line) for line in lines)

    def _dns_line(self, line: str) -> str:
        if line.startswith("; COOKIE:"):
            return re.sub(r"[0-9a-f]{8,}", lambda match: "0" * len(match[0]), line)
        record = RECORD.fullmatch(line) if line[:1] != ";" else None
        if record and (record[2] not in READ_TYPES or record[4].startswith("\\#")):
            return record[1] + record[2] + record[3] + "x" * len(record[4])
        line = STRING.sub(_mask, line)
        is_known = line[:1] == ";" or record or SHORT.fullmatch(line)
        return self._one_labels(line if is_known else re.sub(r"\S", "x", line))

    def _rules(self, text: str) -> str:
        rules = _lines(text, RULE_LINE).splitlines(keepends=True)
        text = "".join(line for line in rules if '"' not in QUOTED.sub("", line))
        text = QUOTED.sub(lambda match: match[0] if self._is_comment(match[0][1:-1]) else _mask(match), text)
        return FREE_WORD.sub(lambda match: match[1] + match[2] + (
            match[3] if self._is_comment(match[3]) else "x" * len(match[3])), text)

    def _is_comment(self, text: str) -> bool:
        """Say whether a comment is one of kube-proxy's or kind's, or the kit's own."""
        named = PORT_NAME.fullmatch(text)
        return text in SENTENCES or bool(TRACE_COMMENT.fullmatch(text)) or bool(
            named and {named[1], named[2]} <= self.names.own)


def _select(value: Any, template: Any) -> Any:
    """Return what the template has of a JSON value; a word that is none becomes ""."""
    if isinstance(template, dict) and isinstance(value, dict):
        every = template.get("*")
        return {key: _select(inner, every or template[key]) for key, inner in value.items()
                if (every and WORD_VALUE.fullmatch(key)) or key in template}
    if isinstance(template, list) and isinstance(value, list):
        return [_select(inner, template[0]) for inner in value]
    if isinstance(value, str):
        return value if template is ... and WORD_VALUE.fullmatch(value) else ""
    return value if template is ... and isinstance(value, bool | int | None) else None


def _template_for(top: dict[str, Any]) -> dict[str, Any]:
    kinds = {item["kind"] for item in top.get("items", [top])} & OBJECTS.keys()
    template = OBJECTS[kinds.pop()] if len(kinds) == 1 else {}
    return {"kind": ..., "items": [template]} if "items" in top else template


def _cell(column: str, cell: str) -> str:
    value = cell.rstrip()
    return cell if column in COLUMNS or CELLS.fullmatch(value) else "x" * len(value) + cell[len(value):]


def _mask(match: re.Match) -> str:
    return f'"{"x" * (len(match[0]) - 2)}"'


def _lines(text: str, pattern: str) -> str:
    """Keep the lines that look so."""
    return "".join(line for line in text.splitlines(keepends=True) if re.fullmatch(pattern, line.rstrip("\n")))
