"""The rules that kube-proxy would write for very many Services, and the routes of a node that they are on."""

from __future__ import annotations

NODE = "172.20.0.9"
NODE_PORTS = 500
FIRST_NODE_PORT = 30_000
ROUTES = f"""default via 172.20.0.1 dev eth0
10.244.0.0/16 via 172.20.0.2 dev eth0
local {NODE} dev eth0 table local
"""


def cluster_ip(number: int) -> str:
    """Return the ClusterIP of one Service."""
    return _address(number, "10.96")


def _address(number: int, range_: str) -> str:
    return f"{range_}.{number >> 8}.{number & 255}"


def iptables_save(services: int) -> str:
    """Return the table nat of so many Services as iptables-save prints it; the first NODE_PORTS have a node port."""
    parts = [_service(number) for number in range(services)]
    chains = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-MARK-MASQ", *(chain for chains, _ in parts for chain in chains)]
    return "\n".join([
        "*nat", *(f":{chain} ACCEPT [0:0]" for chain in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")),
        *(f":{chain} - [0:0]" for chain in chains), "-A PREROUTING -j KUBE-SERVICES",
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000", *(rule for _, rules in parts for rule in rules),
        *(f'-A KUBE-NODEPORTS -p udp -m comment --comment "ns/name-{number}:dns" -m udp --dport '
          f"{FIRST_NODE_PORT + number} -j KUBE-SVC-{number:016d}" for number in range(NODE_PORTS)),
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS", "COMMIT\n"])


def _service(number: int) -> tuple[list[str], list[str]]:
    """Return the chains and the rules of one Service with two endpoints."""
    name, svc = f"ns/name-{number}:dns", f"KUBE-SVC-{number:016d}"
    chains, rules = [svc], [
        f'-A KUBE-SERVICES -d {cluster_ip(number)}/32 -p udp -m comment --comment "{name} cluster IP" -m udp --dport '
        f"53 -j {svc}",
        f'-A {svc} ! -s 10.244.0.0/16 -d {cluster_ip(number)}/32 -p udp -m comment --comment "{name} cluster IP" '
        "-m udp --dport 53 -j KUBE-MARK-MASQ"]
    for last in (0, 1):
        endpoint, sep = _address(2 * number + last, "10.244"), f"KUBE-SEP-{number:015d}{last}"
        coin = "" if last else " -m statistic --mode random --probability 0.50000000000"
        chains.append(sep)
        rules += [f'-A {svc} -m comment --comment "{name} -> {endpoint}:53"{coin} -j {sep}',
                  f'-A {sep} -s {endpoint}/32 -m comment --comment "{name}" -j KUBE-MARK-MASQ',
                  f'-A {sep} -p udp -m comment --comment "{name}" -m udp -j DNAT --to-destination {endpoint}:53']
    return chains, rules
