"""The configuration of the lab's DNS servers, all of them dnsmasq: CoreDNS's part, Docker's part, and the world's."""

from __future__ import annotations

from kitlib.labs.netns.description import Description, filled


def coredns(lab: Description) -> str:
    """Of each CoreDNS pod: a name for each Service, and one for each of its named ports."""
    names = []
    for service in lab.services:
        name = f"{service.name}.{service.namespace}.svc.{lab.settings['domain']}"
        names.append(f"host-record={name},{service.cluster_ip},30")
        names += [f"srv-host=_{port.name}._{port.protocol.lower()}.{name},{name},{port.port}"
                  for port in service.ports if port.name]
    return filled("coredns.conf", domain=lab.settings["domain"], gateway=lab.network.gateway, names="\n".join(names))


def dockers_resolver(lab: Description) -> str:
    """Of each node."""
    names = [f"host-record={end.container},{end.address}" for end in lab.network.attachments]
    return filled("docker-resolver.conf", port=lab.settings["network"]["resolver_port"],
                  upstream=upstream_address(lab), names="\n".join(names))


def upstream(lab: Description) -> str:
    """Of the machine that stands for all the other servers of the world."""
    settings = lab.settings["upstream"]
    long = settings.get("long_text", {"strings": 0})
    texts = [f'txt-record={long["name"]},"{n:02d}-{"x" * (long["length"] - 3)}"' for n in range(long["strings"])]
    return filled("upstream.conf", names="\n".join([*settings["records"], *texts]))


def upstream_address(lab: Description) -> str:
    """The address of that machine."""
    name = lab.settings["upstream"]["container"]
    return next(end.address for end in lab.network.attachments if end.container == name)
