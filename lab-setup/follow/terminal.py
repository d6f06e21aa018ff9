"""The command line of `follow` and `explain`, and the kubectl plugin `kubectl-follow_dns`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from follow import explain, findings, page, query
from kitlib.drawings.gaps import gaps
from kitlib.drawings.ladder import ladder
from kitlib.errors import KitError
from kitlib.escapes import printable
from recorder.scrub import scrub

EXAMPLE = "example:\n  python -m kitlib follow www.example.com --repeat 5 --out ticket.html"
EXPLAIN_EXAMPLE = ("example:\n  iptables-save | python -m kitlib explain - "
                   "'udp 10.244.2.3:40000 > 10.96.0.10:53 in veth0' --routes routes.txt --addresses addresses.txt")


def add_commands(commands: Any) -> None:
    """Give the kit's command line (argparse's subparsers) `follow` and `explain`."""
    style = argparse.RawDescriptionHelpFormatter
    add_follow_options(commands.add_parser("follow", epilog=EXAMPLE, formatter_class=style,
                                           help="ask for a name, and say where the query went and why"))
    command = commands.add_parser("explain", epilog=EXPLAIN_EXAMPLE, formatter_class=style,
                                  help="say what a dump of rules does to a packet, and why")
    command.add_argument("rules", help="iptables-save, ip6tables-save or nft -j list ruleset; - reads stdin")
    command.add_argument("packet", help="PROTOCOL SOURCE:PORT > DESTINATION:PORT [in INTERFACE] [out INTERFACE]")
    command.add_argument("--routes", help="output of `ip route show table all` (ip -6 for IPv6)")
    command.add_argument("--addresses", help="output of `ip addr`")
    command.add_argument("--conntrack", help="output of `conntrack -L`")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--html", type=Path, metavar="FILE", help="write a page, too")
    command.set_defaults(do=lambda given: _or_2(explain.explain_and_print, given))


def add_follow_options(command: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of `follow`."""
    command.add_argument("name", help="the name to ask for")
    command.add_argument("type", nargs="?", default="A", help="the record type (%(default)s)")
    command.add_argument("--from", dest="pod", default="", metavar="NAMESPACE/POD", help="the pod that asks")
    command.add_argument("--lab", help="recorded, netns, kind, kubernetes (default: KITLIB_LAB, or recorded)")
    command.add_argument("--fault", help="the recorded lab as it was while this was broken")
    command.add_argument("--server", default="", help="ask this server, and not that of resolv.conf")
    command.add_argument("--tcp", action="store_true", help="ask over TCP")
    command.add_argument("--port", type=int, metavar="N", help="ask from this port, as a client that keeps its own")
    command.add_argument("--trace", action="store_true", help="let the kernel report which rules the query meets")
    command.add_argument("--repeat", type=int, default=1, metavar="N", help="ask so often (%(default)s)")
    command.add_argument("--search", action="store_true", help="ask as the pod's own resolver does, by its search list")
    command.add_argument("--out", type=Path, metavar="FILE.html", help="write a page to attach to a ticket")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--record", type=Path, metavar="FOLDER", help="record it, to follow it again without the lab")
    command.add_argument("--scrub", action="store_true", help="replace names and addresses in all that comes out")
    command.add_argument("--yes", action="store_true", help="agree to the pods that the kubernetes lab makes")
    command.set_defaults(do=lambda given: _or_2(_follow, given))


def kubectl_plugin() -> int:
    """Run `kubectl follow-dns NAME [TYPE]`: the same as `python -m kitlib follow`."""
    parser = argparse.ArgumentParser(prog="kubectl follow-dns")
    add_follow_options(parser)
    given = parser.parse_args()
    return given.do(given)


def _or_2(do: Any, given: argparse.Namespace) -> int:
    """Return what the command returns, or 2 with one message if it could not look."""
    try:
        return do(given)
    except (KitError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def _follow(given: argparse.Namespace) -> int:
    if given.pod:
        os.environ["KITLIB_POD"] = given.pod        # a lab must know its client before it can be opened
    if not given.scrub:
        return _show(given, query.ask(given, given.record))
    with tempfile.TemporaryDirectory() as scratch:
        raw, scrubbed = Path(scratch, "raw"), given.record or Path(scratch, "scrubbed")
        if scrubbed.exists():
            raise KitError(f"{scrubbed} is there already. Name a new folder.")
        report = query.ask(given, raw)
        page.follow_page(report, findings.findings(report))     # asks for all that it shows, and so it is recorded
        print(scrub(raw, scrubbed), file=sys.stderr)
        return _show(given, query.ask_again(scrubbed, report))


def _show(given: argparse.Namespace, report: query.Report) -> int:
    found = findings.findings(report)
    html = page.follow_page(report, found) if given.out or given.record else ""
    if given.out:
        given.out.write_text(html, encoding="utf-8")
    if given.json:
        print(json.dumps(findings.as_json(report, found), indent=2))
    else:
        story = ladder(report.journey, gaps(report.lab, report.journey))
        print(printable("\n".join([str(story), "", *found.sentences])))
    return 0 if found.is_answered else 1
