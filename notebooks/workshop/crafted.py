"""An answer that no server sent: crafted with scapy on the pod's node, and put into the pod's cable.

Run as a program in the node's network, this file waits for a query there and answers it.
"""

from __future__ import annotations

import sys
from threading import Thread

from kitlib.errors import NotFound
from kitlib.result import Result
from workshop.case import Case

ADDRESS = "198.51.100.7"      # what the crafted answer says; an address for documentation
WAIT_S = 12


def craft_answer(case: Case, source: str = "", id_off_by: int = 0) -> Result:
    """Let the pod ask, and answer from `source` (a CoreDNS pod, if none is given), with an id that is off by so much.

    The case is one whose queries wait in vain: else the true answer comes first. Raises NotFound in a recorded lab.
    """
    if case.lab.name != "netns":
        raise NotFound("A recorded pod takes no packets. Craft them on the netns lab: KITLIB_LAB=netns.")
    source = source or case.lab.coredns[0].address
    program = Thread(target=case.pod.node.run, args=(
        sys.executable, __file__, case.pod.veth.interface, source, str(id_off_by)))
    program.start()
    try:                          # more than one try: the program needs a moment before it listens
        return case.pod.run("dig", "+tries=4", "+timeout=2", "www.example.com")
    finally:
        program.join()


def answer_one_query(interface: str, source: str, id_off_by: str) -> None:
    """Wait for a query at this interface, and send its answer out there, written layer by layer."""
    from scapy.layers.dns import DNS, DNSRR
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.sendrecv import sendp, sniff

    for query in sniff(iface=interface, count=1, timeout=WAIT_S, lfilter=lambda p: UDP in p and p[UDP].dport == 53):
        asked = query[DNS]
        record = DNSRR(rrname=asked.qd[0].qname, ttl=30, rdata=ADDRESS)
        answer = (Ether(src=query[Ether].dst, dst=query[Ether].src) / IP(src=source, dst=query[IP].src)
                  / UDP(sport=query[UDP].dport, dport=query[UDP].sport)
                  / DNS(id=asked.id + int(id_off_by), qr=1, rd=1, ra=1, qd=asked.qd, an=[record]))
        sendp(answer, iface=interface, verbose=False)


if __name__ == "__main__":
    answer_one_query(*sys.argv[1:])
