"""What a scrubbed recording keeps of nft's output, as text and as JSON: nft's and kube-proxy's own words, and numbers.

Any other word gets its pseudonym, the same in rules, maps and traces, so that a jump still leads to its chain. A
comment that is not kube-proxy's becomes unreadable, and a number so long that it may spell a name becomes 0.
Sources: nft(8), libnftables-json(5); kubernetes, pkg/proxy/nftables/proxier.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from recorder.pseudonyms import IPV6, MAC, Pseudonyms

WORDS = frozenset(re.findall(r"\w+", """
    accept ack active addr addrtype admin and bridge burst bytes chain check chunk cluster code comment concat conntrack
    constant continue count counter cs0 csum ct cwr daddr data day dccp default delete destroy dev dir dnat dport drop
    dscp dstnat dup dynamic ece echo ecn ect elem element elements endpoint endpoints established ether exp expires expr
    external exthdr false family fib field filter fin firewall flag flags flow flowtable for forward frag fully fwd goto
    handle hash hashlimit hdrlength helper hook hoplimit host hour icmp icmpv6 icmpx id ifname iif iifgroup iifkind
    iifname in index inet inet_proto inet_service ingress input insert interval invalid ip ip6 ips ipsec ipv4 ipv4_addr
    ipv6 ipv6_addr jhash json_schema_version jump key kind kitlib kube l4proto lab last left len length level limit
    local log lookup mangle map mark masquerade masquerading match meta metainfo mh min missing mod mode mss multiport
    name nat net netdev new nexthdr nfproto nftables nftrace no nodeport nodeports not notrack nth null num numgen
    offset oif oifgroup oifkind oifname op option options or original osf out output over packet packets path payload
    per persistent pkttype policy port postrouting pre prefix prerouting prio priority prohibited protocol proxy psh
    queue quota random range rate raw redirect reject related release_name reply request reset result return right route
    rst rt rule saddr sctp second security seed seq sequence service services set size snat socket source sport srcnat
    state statement status stmt subnet symhash syn synproxy table target tcp th time timeout to tproxy trace true ttl
    type udp udplite unicast unit unreachable until untracked urg used val value verdict version vlan vmap week xor xt
    yes AGENT CANARY DNAT DOCKER FIREWALL FORWARD HINT INPUT IPTABLES KIND KUBE KUBELET LOCAL MASQ MASQUERADE OUTPUT
    POSTROUTING PREROUTING REDIRECT SNAT"""))
COMMENTS = {             # kube-proxy's
    "rules for kube-proxy", "Active ClusterIPs", "IPs that accept NodePort traffic",
    "vmap to drop or reject packets to services with no endpoints", "NodePort traffic",
    "vmap to drop or reject packets to service nodeports with no endpoints",
    "destinations that are subject to LoadBalancerSourceRanges", "ClusterIP, ExternalIP and LoadBalancer IP traffic",
    "Reject traffic to invalid ports of ClusterIPs", "Drop traffic to unallocated ClusterIPs",
    "helper for @no-endpoint-services / @no-endpoint-nodeports"}
CHAIN_WORDS = """
    ADMIN AGENT BALANCER BRIDGE CANARY CT DN DNAT DROP EXT EXTERNAL FIREWALL FORWARD FW HINT HOSTPORT INGRESS INPUT
    INTERNAL IPTABLES ISOLATION KUBELET LOAD MARK MASQ NODE NODEPORTS NWPLCY OUTPUT POD PORT POSTROUTING PROXY ROUTER
    SEP SERVICES SETMARK STAGE SVC SVL USER XLB"""
KUBE_CHAIN = (r"(?:KUBE|KIND|DOCKER|CNI)(?:[-_](?:[A-Z2-7]{16}|[\da-f]{21,24}|\d|"
              rf"{'|'.join(CHAIN_WORDS.split())}))*(?![\w-])")      # a hash, or a word of those that write such chains
FREE = "|".join(f"(?<={before})" for before in ("comment ", "prefix ", '"comment": ', '"prefix": '))
QUOTED = re.compile(rf'(?P<free>{FREE})?"(?P<words>(?:[^"\\\n]|\\.)*)"')
PLAIN = re.compile(r"[\w@./:*-]*|[=!<>&|^+-]{1,2}")
TOKEN = re.compile(
    rf"{IPV6.pattern}|{MAC.pattern}|(?<=trace id )[0-9a-f]+|0x[0-9a-f]{{1,16}}(?!\w)|(?:\d+(?:ms|[smhd]))+(?!\w)|"
    rf"(?<![-\w/.])\d{{1,19}}(?![-\w/.])|(?<=-)[A-Z2-7]{{8}}(?=-)|{KUBE_CHAIN}|"
    r"kitlib-trace-[\w-]+|(?P<long>\d{20,}|0x[0-9a-f]+)|(?P<word>[^\W_]+(?:_[^\W_]+)*)")


def kept(text: str, names: Pseudonyms, is_comment: Callable[[str], bool]) -> str:
    """Return the output of nft with a pseudonym for every word that is not known; "" for JSON that is cut."""
    if text.startswith("{"):
        try:
            text = json.dumps(json.loads(text), ensure_ascii=False)
        except (ValueError, RecursionError):
            return ""
    known = WORDS | {part for label in names.labels for part in label.split("-")}

    def quoted(found: re.Match[str]) -> str:
        words = found["words"]
        if words in COMMENTS or is_comment(words):
            return found[0]
        is_plain = found["free"] is None and PLAIN.fullmatch(words)
        return f'"{TOKEN.sub(token, words) if is_plain else "x" * len(words)}"'

    def token(found: re.Match[str]) -> str:
        word = found["word"]
        if found["long"]:
            return "0"
        is_small = word and word.isdecimal() and len(word) < 6      # of an address, a port, a handle
        return names.label(word) if word and not is_small and word not in known else found[0]

    text = names.text(text)
    parts, at = [], 0
    for found in QUOTED.finditer(text):
        parts += [TOKEN.sub(token, text[at:found.start()]), quoted(found)]
        at = found.end()
    return "".join([*parts, TOKEN.sub(token, text[at:])])
