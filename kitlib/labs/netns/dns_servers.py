"""The configuration of the lab's DNS servers, all of them dnsmasq: CoreDNS's part, Docker's part, and the world's."""

from __future__ import annotations

from kitlib.labs.netns.description import Description

COMMON = ("no-resolv", "no-hosts", "user=root", "group=", "pid-file=")      # root of the lab, nobody elsewhere
COREDNS_TTL = 30            # seconds: `cache 30` and `ttl 30` in kind's Corefile


def coredns(lab: Description) -> str:
    """Knows the Services, asks the node's resolver for all else, and keeps no answer for more than 30 s."""
    domain = lab.settings["domain"]
    names = [f"host-record={service.name}.{service.namespace}.svc.{domain},{service.cluster_ip},{COREDNS_TTL}"
             for service in lab.services if service.cluster_ip not in ("", "None")]
    ports = [f"srv-host=_{port.name}._{port.protocol.lower()}.{service.name}.{service.namespace}.svc.{domain},"
             f"{service.name}.{service.namespace}.svc.{domain},{port.port}"
             for service in lab.services for port in service.ports if port.name]
    return _lines(f"local=/{domain}/", f"server={lab.network.gateway}", f"max-ttl={COREDNS_TTL}",
                  f"max-cache-ttl={COREDNS_TTL}", f"local-ttl={COREDNS_TTL}", *names, *ports)


def dockers_resolver(lab: Description) -> str:
    """Listens on 127.0.0.11 of each node, knows the containers, keeps nothing."""
    names = [f"host-record={end.container},{end.address}" for end in lab.network.attachments]
    return _lines("listen-address=127.0.0.11", "bind-interfaces", f"port={lab.settings['network']['resolver_port']}",
                  "cache-size=0", f"server={upstream_address(lab)}", *names)


def upstream(lab: Description) -> str:
    """Answers what the description lists, and NXDOMAIN to all else."""
    settings = lab.settings["upstream"]
    long = settings.get("long_text", {"strings": 0})
    texts = [f'txt-record={long["name"]},"{n:02d}-{"x" * (long["length"] - 3)}"' for n in range(long["strings"])]
    return _lines("local-ttl=300", "address=/#/", *settings["records"], *texts)


def upstream_address(lab: Description) -> str:
    """The address of the upstream server."""
    name = lab.settings["upstream"]["container"]
    return next(end.address for end in lab.network.attachments if end.container == name)


def _lines(*settings: str) -> str:
    return "\n".join([*COMMON, *settings]) + "\n"
