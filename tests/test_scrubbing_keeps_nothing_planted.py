"""Whatever is planted in a recording, wherever, is not in its scrubbed copy; validate names the known shapes."""

from __future__ import annotations

import json
import re
import shutil
import struct
import time
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRRMX, DNSRROPT, DNSRRSOA, DNSRRSRV, EDNS0TLV, EDNS0ClientSubnet
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption, fragment
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN

from conftest import REPO
from kitlib.backends.recording import load
from kitlib.lab import open_lab
from kitlib.parsers.pcap import frames, write_pcapng
from kitlib.parsers.sightings import sightings
from kitlib.sighting import Frame
from recorder.frames import scrub_frames
from recorder.pseudonyms import Pseudonyms
from recorder.scrub import pseudonyms_of, scrub
from recorder.secret_words import PERSONAL, SECRETS, found_in, likely_in, masked
from recorder.validate import validate

FIXTURE = REPO / "tests/fixtures/recorded-by-the-kit"
HEX = "deadbeef" * 8
# (what is planted, what of it must not be found again); built of parts so that no scanner takes them for real ones
SHAPES = {
    "env value": ('{"name": "DB_PASSWORD", "value": "env-S3cret"}', "env-S3cret"),
    "split argument": ("--token splitS3cret", "splitS3cret"),
    "joined argument": ("--password=joinedS3cret", "joinedS3cret"),
    "JSON key": ('"secretKey": "jsonS3cret"', "jsonS3cret"),
    "another": ('"clientSecret": "oauthS3cret"', "oauthS3cret"),
    "short": ("password: hunt3r2!", "hunt3r2!"),
    "with signs": ("passwd=p@$$w0rd!x", "p@$$w0rd!x"),
    "bearer": ("Authorization: Bearer bearerS3cret", "bearerS3cret"),
    "basic": ("Authorization: Basic YmFzaWM6cw==", "YmFzaWM6cw"),
    "access token": ("https://x/?access_token=accS3cret", "accS3cret"),
    "AWS id": ("AKIA" + "ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOP"),
    "AWS key": ("aws_secret_access_key = " + "wJalr/K7MDENGbPxRfi", "wJalr"),
    "AWS account": ("arn:aws:iam::123456789012:role/x", "123456789012"),
    "ECR": ("123456789013.dkr.ecr.eu.amazonaws.com/x", "123456789013"),
    "GitHub": ("ghp_" + "g" * 16 + "Hub012345678", "Hub012345678"),
    "GitLab": ("glpat-" + "gitLab0123456789abcd", "gitLab0123"),
    "Slack": ("xoxb-" + "123456789012-slackT0ken", "slackT0ken"),
    "Google": ("AIza" + "SyGoogle0123456789abcdefghijklmnopq", "Google0123"),
    "Stripe": ("sk_live_" + "stripe0123456789abcdef", "stripe0123"),
    "OpenAI": ("sk-" + "openai0123456789abcdefgh", "openai0123"),
    "Azure": ("AccountKey=" + "azureKey0123456789==", "azureKey0123"),
    "docker": ('"auth": "ZG9ja2VyOmF1dGg="', "ZG9ja2VyOmF1dGg"),
    "Slack hook": ("https://hooks.slack.com/services/T000/B000/hookS3cret", "hookS3cret"),
    "Azure SAS": ("https://x/c?sp=r&sig=" + "sasS3cretsas%3D", "sasS3cret"),
    "Grafana": ("gl" + "sa_0123456789abcdefGrafana01234567", "Grafana01"),
    "SendGrid": ("SG." + "sendgrid0123456789abcdef.x", "sendgrid0123"),
    "Tailscale": ("tskey-" + "auth-tail0123456789abcdef", "tail0123"),
    "kubeadm": ("--certificate-key " + "c0ffee00" * 8, "c0ffee00"),
    "Google key": ('"private_key_id": "gcp0S3cret0gcp0"', "gcp0S3cret"),
    "git": ("https://oauth2:" + "gitS3cret@git.acme.example/x", "gitS3cret"),
    "environment": ("PGPASSWORD=" + "pgS3cret1", "pgS3cret"),
    "DSN": ("user=app password=" + "dsnS3cret1 host=db", "dsnS3cret"),
    "cookie": ("Set-Cookie: session=" + "cookieS3cretcookie", "cookieS3cret"),
    "curl": ("curl -s -u admin:" + "curlS3cret1 x", "curlS3cret"),
    "npm": ("npm_" + "n" * 10 + "pm0123456789abcdefghijkl", "pm0123456789"),
    "Vault": ("hvs." + "vault0123456789abcdefghij", "vault0123"),
    "Hugging Face": ("hf_" + "hugging0123456789abcdef", "hugging0123"),
    "JWT": ("eyJhbGciOiJSUzI1NiJ9." + "eyJpc3MiOiJrdWJl.c2lnbmF0dXJl", "eyJpc3MiOiJrdWJl"),
    "bootstrap": ("abcdef." + "0123456789abcdef", "0123456789abcdef"),
    "Secret": ('{"kind": "Secret", "data": {"x": "c2VjcmV0LWRhdGE="}}', "c2VjcmV0LWRhdGE"),
    "certificate": ("-----BEGIN CERTIFICATE-----\nMIICertBody\n-----END CERTIFICATE-----", "MIICertBody"),
    "private key": ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNza\n-----END", "b3BlbnNza"),
    "SSH key": ("ssh-ed25519 AAAA" + "C3NzaC1lZDI1NTE5AAAAIsshBody me@box", "sshBody"),
    "PGP": ("-----BEGIN PGP MESSAGE-----\npgpBody\n", "pgpBody"),
    "kubeconfig": ("client-key-data: LS0tLS1CRUdJTktFWQ==", "LS0tLS1CRUdJTktFWQ"),
    "URL": ("postgres://me:urlS3cret@db:5432", "urlS3cret"),
    "nested": ('"last-applied-configuration": "{\\"password\\":\\"nestedS3cret\\"}"', "nestedS3cret"),
    "e-mail": ("jane.roe@acme-corp.example.org", "jane.roe"),
    "short e-mail": ("bob@acme.io", "bob@"),
    "host": ("db01.prod.acme-corp.io", "acme-corp"),
    "internal host": ("vault.acme.internal", "acme.internal"),
    "EC2 internal": ("ip-10-1-2-3.eu-west-1.compute.internal", "ip-10-1-2-3"),
    "EC2": ("ec2-8-9-10-11.compute-1.amazonaws.com", "8-9-10-11"),
    "home": ("/ho" + "me/jroe/.kube/config", "jroe"),
    "Mac home": ("/Users/janeroe/x", "janeroe"),
    "telephone": ("+49 170 1234567", "1234567"),
    "IPv4": ("to 8.8.4.4 now", "8.8.4.4"),
    "IPv6": ("2001:4860:4860::8844", "4860:4860"),
    "port": ("8.8.4.5:443", "8.8.4.5"),
    "UUID": ("machine 8f14e45f-ceea-467f-a8d1-0123456789ab", "8f14e45f"),
    "id": ("id=" + HEX, HEX[:16]),
    "MAC": ("a4:83:e7:11:22:33", "a4:83:e7"),
    "MAC in capitals": ("A4:83:E7:11:22:34", "A4:83:E7"),
    "MAC with dashes": ("a4-83-e7-11-22-35", "a4-83-e7"),
    "MAC with dots": ("a483.e711.2236", "a483.e711"),
    "reverse name": ("4.4.8.8.in-addr.arpa", "4.4.8.8"),
    "search domain": ("search prod.acme-corp.io", "acme-corp"),
    "words": ("our customer Umbrella Inc. pays late", "Umbrella"),
}
NOT_BY_SHAPE = {"IPv4", "IPv6", "MAC", "MAC in capitals", "MAC with dashes", "MAC with dots", "UUID", "host", "id",
                "port", "reverse name", "search domain", "words"}       # replaced, or not kept



def plant_in_pods(text: str, plant: str, number: int) -> str:
    """Plant in the fields of a pod that people fill in, the names of labels among them."""
    pods = json.loads(text)
    pod = pods["items"][number % len(pods["items"])]
    pod["metadata"].setdefault("annotations", {})[f"note-{number}"] = plant
    pod["metadata"].setdefault("labels", {})[f"label-{number}"] = plant
    pod["metadata"][plant] = plant
    container = pod["spec"]["containers"][0]
    container.setdefault("env", []).append({"name": "DB_PASSWORD", "value": plant})
    container.setdefault("args", []).extend(["--token", plant])
    container["image"] = plant
    pod["status"]["message"] = plant
    return json.dumps(pods)


def plant_in(entry: dict, number: int, plant: str) -> dict:
    """Plant in what a recorded command has printed, where that program prints what people wrote."""
    line = " ".join(entry["argv"])
    if line == "kubectl get pods -A -o json":
        entry["stdout"] = plant_in_pods(entry["stdout"], plant, number)
    elif line == "ps -ef":
        words = plant.replace("\n", " ")
        entry["stdout"] = entry["stdout"].replace("manager --", f"manager --x={words} --", 1)
        entry["stdout"] += f"root 9 1 0 01:24 ? 00:00:00 /bin/agent {words}\n"
    elif line == "docker network inspect kind":
        network = json.loads(entry["stdout"])
        network[0].setdefault("Labels", {})[plant] = plant
        entry["stdout"] = json.dumps(network)
    elif line.startswith("kubectl -n kube-system describe"):
        entry["stdout"] += f"Annotations:              {plant}\n                          {plant}\n"
    elif line == "docker container ls":
        entry["stdout"] += f'0123456789ab   {plant}   "{plant}"   1 day ago   Up   80/tcp   acme-corp-db\n'
    elif line == "ip link":
        entry["stdout"] += f"    alias {plant}\n"
    entry["stderr"] += plant
    return entry


def planted_in_nft(plant: str) -> list[tuple[list[str], str]]:
    """What nft prints where people have named tables, and have written into comments, prefixes and raw bytes."""
    name, quoted, spelt = re.sub(r"[^\w./-]", "", f"c{plant}"), plant.replace('"', '\\"'), plant.encode().hex()
    bytes_ = {"match": {"op": "==", "left": {"payload": {"base": "th"}}, "right": int(spelt[:200], 16)}}
    rule = {"family": "ip", "table": name, "chain": name, "comment": plant, plant: plant, "expr": [
        {"log": {"prefix": plant}}, {plant: plant}, bytes_, {"jump": {"target": name}},
        {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": plant}}]}
    listed = [{"metainfo": {"release_name": plant}}, {"table": {"family": "ip", "name": name, "comment": plant}},
              {"chain": {"family": "ip", "table": name, "name": name}}, {"rule": rule}, {plant: {"name": plant}}]
    text = (f'table ip {name} {{\n\tcomment "{quoted}"\n\tchain {name} {{\n\t\tiifname "{quoted}" log prefix '
            f'"{quoted}" @th,160,128 0x{spelt} jump {name} comment "{quoted}" # handle 7\n\t}}\n}}\n')
    trace = f'trace id 4d122661 ip {name} {name} rule jump {name} comment "{quoted}" (verdict jump {name})\n'
    return [(["nft", "-j", "list", "ruleset"], json.dumps({"nftables": listed})),
            (["nft", "-a", "list", "ruleset"], text), (["nft", "list", "tables"], f"table ip {name}\n"),
            (["nft", "-a", "monitor", "trace"], trace)]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The fixture with every shape planted in every place, and its scrubbed copy."""
    raw, out = tmp_path_factory.mktemp("raw") / "acme-corp", tmp_path_factory.mktemp("out") / "clean"
    shutil.copytree(FIXTURE, raw)
    entries = [json.loads(line) for line in (raw / "facts.jsonl").read_text().splitlines()]
    for number, (plant, _) in enumerate(SHAPES.values()):
        entries = [plant_in(entry, number, plant) for entry in entries]
        entries += [{"place": "host", "argv": argv, "rc": 0, "stdout": plant, "stderr": plant} for argv in (
            ["env"], ["cat", plant], ["curl", "-H", plant], ["kubectl", "get", "secrets", "-o", "json", plant],
            ["nft", "list", "ruleset", str(number)], ["kubectl", "get", "pods", "-o", "json", str(number)])]
        comment = plant if number % 2 else plant.replace('"', '\\"')         # as iptables writes it, and as it is
        rule = f'-A INPUT -m comment --comment "{comment}" -m mac --mac-source a4:83:e7:11:22:37 -j DROP'
        entries += [{"place": "node:clusterxxx-worker", "argv": argv, "rc": 0, "stderr": "", "stdout": stdout}
                    for argv, stdout in (
                        (["iptables-save", "-t", str(number)], f"*filter\n:acme - [0:0]\n{rule}\n-N ACME\nCOMMIT\n"),
                        (["iptables-save", "-c", str(number)],
                         "*nat\n:KUBE-ACME - [0:0]\n-A KUBE-ACME -i acme-vpn0 -o enxa483e7112238 -j DOCKER_ACME\n"),
                        (["ip", "link", "show", str(number)], "9: acme-vpn0@eth0: <UP> mtu 1500 master br-acme\n"),
                        (["ip", "route", "get", str(number)], "1.1.1.1 dev acme-vpn0 table acme src 10.244.2.1\n"),
                        (["ip", "rule", "list", str(number)], "100:\tfrom all iif br-acme lookup acme\n"),
                        (["cat", "/etc/resolv.conf"], f"# {plant}\nsearch prod.acme-corp.io\nnameserver 8.8.4.4\n"))]
        entries += [{"place": f"node:x{number}", "argv": argv, "rc": 0, "stderr": "", "stdout": stdout}
                    for argv, stdout in planted_in_nft(plant)]
    (raw / "facts.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    for name in ("notes.txt", "kubeconfig.yaml", ".hidden", "stray.pcap", ".git/config", "scenes/01-dig/more.jsonl"):
        (raw / name).parent.mkdir(exist_ok=True)
        (raw / name).write_text("stray-S3cret")
    (raw / "link.txt").symlink_to(REPO / "pyproject.toml")
    (raw / "folder").symlink_to(REPO / "notebooks")
    index = json.loads((raw / "recording.json").read_text())
    index |= {"name": "acme-corp", "made_with": {**index["made_with"], "Linux": "6.1.0-acme-corp", "acme-corp": "1"},
              "left_out": [{"place": "host", "argv": ["echo", "left-S3cret"], "because": []}], "secret": "index-S3cret"}
    (raw / "recording.json").write_text(json.dumps(index))
    scrub(raw, out)
    return raw, out


def everything(folder) -> bytes:
    return b"\n".join([*(file.read_bytes() for file in folder.rglob("*") if file.is_file()),
                       *(str(file.relative_to(folder)).encode() for file in folder.rglob("*"))])


def test_nothing_that_was_planted_in_text_survives(planted) -> None:
    raw, out = planted
    before, after = everything(raw), everything(out)
    survivors = [what for what, (_, part) in SHAPES.items()
                 if part.encode() in after or part.encode().hex().encode() in after]
    assert not survivors and all(part.encode() in before for _, part in SHAPES.values())
    for part in (b"S3cret", b"acme", b"ACME", b"a4:83:e7", b"a483e7", b"6.1.0-"):
        assert part in before.replace(b"6.1.0-acme-corp", b"6.1.0-") and part not in after, part


def test_only_what_the_recording_names_is_copied_and_never_a_link(planted) -> None:
    _, out = planted
    recording = load(out)
    takes = [path.relative_to(out.resolve()) for scene in recording.scenes for path in scene.takes]
    named = {"recording.json", "facts.jsonl", *map(str, takes), *(str(path.with_suffix(".pcapng")) for path in takes)}
    files = {str(path.relative_to(out)) for path in out.rglob("*") if not path.is_dir()}
    assert files == named and not any(path.is_symlink() for path in out.rglob("*"))


def test_the_copy_is_sound(planted) -> None:
    assert validate(planted[1]) == []


@pytest.mark.parametrize("what", sorted(SHAPES.keys() - NOT_BY_SHAPE))
def test_known_shapes_are_the_second_net(what) -> None:
    plant, part = SHAPES[what]
    text = f"x {plant} y"
    assert found_in(text, SECRETS | PERSONAL)
    clean = masked(masked(text, SECRETS), PERSONAL)
    assert part not in clean and len(clean) == len(text) and not found_in(clean, SECRETS | PERSONAL)


def test_validate_names_them_in_text_and_in_packets(tmp_path) -> None:
    copy = shutil.copytree(FIXTURE, tmp_path / "copy")
    take = next(copy.rglob("01-dig/take01.pcapng"))
    caught = list(frames(take.read_bytes()))
    secret = answer(DNSRR(rrname="x.example.com", type="TXT", rdata="token=" + "packetS3cret"))
    caught.append(ethernet(secret, caught[0]))
    take.write_bytes(write_pcapng(caught))
    with (copy / "facts.jsonl").open("a") as file:
        more = {"place": "host", "argv": ["env"], "rc": 0, "stdout": "me: jane@acme.io", "stderr": ""}
        file.write(json.dumps(more) + "\n")
    problems = "\n".join(validate(copy))
    assert "take01.pcapng, frame" in problems and "a password or token" in problems
    assert "facts.jsonl, line 36: this looks like an e-mail address" in problems


def test_validate_looks_beside_the_frames_and_into_files_that_nothing_names(tmp_path) -> None:
    copy = shutil.copytree(FIXTURE, tmp_path / "copy")
    take = next(copy.rglob("01-dig/take01.pcapng"))
    comment = b"by jane@acme.io "
    size = 28 + 4 + len(comment) + 4
    section = struct.pack("<IIIHHQHH", 0x0A0D0D0A, size, 0x1A2B3C4D, 1, 0, 0, 1, len(comment)) + comment
    take.write_bytes(take.read_bytes() + section + bytes(4) + struct.pack("<I", size))
    (copy / "kubeconfig.yaml").write_text("client-key-data: " + "LS0tLS1CRUdJTktFWQ==\n")
    problems = "\n".join(validate(copy))
    assert "kubeconfig.yaml, line 1: this looks like a kubeconfig's key" in problems
    assert "take01.pcapng, beside the frames: this looks like an e-mail address" in problems


FRAGMENT = st.sampled_from([*(word for shape in SHAPES.values() for word in shape), "paſſword", "to\u212aen", "\u0130",
                            "ip-", ": ", "=", " ", "\n", '"', "sg.", "SG.", "AUTH", "xo", "x"]) | st.text(max_size=9)


@given(st.lists(FRAGMENT, max_size=6).map("".join))
def test_what_cannot_be_in_a_text_is_not_looked_for_and_nothing_is_missed(text) -> None:
    every = SECRETS | PERSONAL
    found = {what for what, shape in every.items() if shape.pattern.search(text)}
    assert found <= likely_in(text, every).keys()


@pytest.mark.parametrize("what", SECRETS | PERSONAL)
@settings(max_examples=10)
@given(data=st.data())
def test_what_a_shape_needs_stands_in_every_text_that_looks_so(what: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex((SECRETS | PERSONAL)[what].pattern))
    assert what in likely_in(text, SECRETS | PERSONAL)


def answer(*records, query: str = "www.example.com", additional=None) -> object:
    return IP(src="10.96.0.10", dst="10.244.2.8") / UDP(sport=53, dport=4000) / DNS(
        qr=1, qd=[DNSQR(qname=query)], an=list(records), ar=[additional] if additional else [])


def ethernet(packet, like: Frame) -> Frame:
    link = Ether(src="a4:83:e7:11:22:33", dst="a4:83:e7:11:22:34")
    data = bytes(packet if isinstance(packet, Ether) else link / packet)
    return Frame(1, like.time_ns, 1, data, like.interface)


NAME, TOKEN = "db01.acme-corp.io", "tokenS3cret"
SOUND = DNS(qr=1, qd=[DNSQR(qname="www.example.com")])
PLANTED_FRAMES = {
    "question": answer(query=NAME),
    "one label": answer(query="acme-corp"),
    "service": answer(query=f"{NAME}.default.svc.cluster.local"),
    "TXT": answer(DNSRR(rrname="x.example.com", type="TXT", rdata=[TOKEN, "ip4:8.8.4.4", "jane@acme-corp.io"])),
    "CNAME": answer(DNSRR(rrname="www.example.com", type="CNAME", rdata=NAME)),
    "PTR": answer(DNSRR(rrname="4.4.8.8.in-addr.arpa", type="PTR", rdata=NAME), query="4.4.8.8.in-addr.arpa"),
    "NS": answer(DNSRR(rrname="example.com", type="NS", rdata=NAME)),
    "DNAME": answer(DNSRR(rrname="x.test", type="DNAME", rdata=NAME)),
    "SRV": answer(DNSRRSRV(rrname="_x._tcp.example.com", target=NAME)),
    "owner": answer(DNSRR(rrname=NAME, type="A", rdata="8.8.4.4")),
    "AAAA": answer(DNSRR(rrname="www.example.com", type="AAAA", rdata="2001:4860:4860::8844")),
    "unknown type": answer(DNSRR(rrname="x.example.com", type=65280, rdata=TOKEN.encode())),
    "other class": answer(DNSRR(rrname="x.example.com", type="A", rclass=3, rdata="8.8.4.4")),
    "client subnet": answer(additional=DNSRROPT(rdata=[EDNS0ClientSubnet(address="8.8.4.4", source_plen=32)])),
    "cookie": answer(additional=DNSRROPT(rdata=[EDNS0TLV(optcode=10, optdata=b"S3cretco")])),
    "NSID": answer(additional=DNSRROPT(rdata=[EDNS0TLV(optcode=3, optdata=NAME.encode())])),
    "local option": answer(additional=DNSRROPT(rdata=[EDNS0TLV(optcode=65001, optdata=TOKEN.encode())])),
    "address outside": IP(src="8.8.4.4", dst="10.244.2.8") / UDP(sport=53, dport=9) / SOUND,
    "IPv6": IPv6(src="2001:4860:4860::8844", dst="fc00::1") / UDP(sport=53, dport=9) / SOUND,
    "behind the message": answer() / TOKEN.encode(),
    "padding": Ether(src="a4:83:e7:11:22:33") / answer() / b"" / (b"padS3cret" * 3),
    "HTTP": IP(dst="10.244.2.8") / TCP(sport=80, dport=9) / f"HTTP/1.1 200\r\nSet-Cookie: {TOKEN}\r\n".encode(),
    "not DNS on port 53": IP(dst="10.244.2.8") / UDP(sport=53, dport=9) / TOKEN.encode(),
    "not DNS on TCP": IP(dst="10.244.2.8") / TCP(sport=53, dport=9, flags="PA") / f"\0\x20{TOKEN}".encode(),
    "TCP option": IP(dst="10.244.2.8") / TCP(sport=53, dport=9, flags="S", options=[
        ("MSS", 1460), (253, TOKEN[:8].encode()), ("Timestamp", (1, 2)), (2, b"S3cret")]),
    "mailbox": answer(DNSRR(rrname="example.com", type=17, rdata=b"\4jane\x09acme-corp\2io\0\0")),
    "ARP": ARP(psrc="8.8.4.4", hwsrc="a4:83:e7:11:22:33"),
    "ND": IPv6() / ICMPv6ND_NS(tgt="2001:4860:4860::8844"),
    "ICMP": IP() / ICMP(type=3) / (IP(src="8.8.4.4") / UDP(sport=53) / TOKEN.encode()),
    "DHCP": IP() / UDP(sport=67, dport=68) / BOOTP(yiaddr="8.8.4.4") / DHCP(options=[("hostname", NAME)]),
    "GRE": IP() / GRE() / IP(src="8.8.4.4") / UDP(sport=53) / DNS(qd=[DNSQR(qname=NAME)]),
    "VXLAN": IP() / UDP(dport=4789) / VXLAN() / Ether(src="a4:83:e7:11:22:33") / answer(query=NAME),
    "VLAN": Ether(src="a4:83:e7:11:22:33") / Dot1Q(vlan=7) / answer(query=NAME),
    "IP option": IP(options=[IPOption(b"\x94\x04acme")]) / UDP(sport=53, dport=9) / SOUND,
    "fragment": fragment(answer(DNSRR(rrname="x.example.com", type="TXT", rdata=[TOKEN * 9])), 64)[0],
    "odd label": answer(DNSRR(rrname="x.example.com", type="CNAME", rdata=b"Jane Roe's acme-corp.local")),
    "SOA": answer(DNSRRSOA(rrname="example.com", mname=NAME, rname="jane.acme-corp.io")),
    "MX": answer(DNSRRMX(rrname="example.com", exchange=NAME)),
    "HTTPS": answer(DNSRR(rrname="www.example.com", type=65, rdata=b"\0\1\4db01\x09acme-corp\2io\0S3cret")),
    "CAA": answer(DNSRR(rrname="www.example.com", type=257, rdata=b"\0\5issueacme-corp.io")),
    "padding option": answer(additional=DNSRROPT(rdata=[EDNS0TLV(optcode=12, optdata=b"S3cretS3cret")])),
    "update": IP(dst="10.244.2.8") / UDP(sport=53, dport=9) / DNS(
        opcode=5, qd=[DNSQR(qname=NAME, qtype="SOA")], ns=[DNSRR(rrname=NAME, rdata="8.8.4.4")]),
    "authority": IP(dst="10.244.2.8") / UDP(sport=53, dport=9) / DNS(
        qr=1, qd=[DNSQR(qname="www.example.com")], ns=[DNSRR(rrname=NAME, type="NS", rdata=NAME)]),
    "chaos": answer(DNSRR(rrname="version.bind", type="TXT", rclass=3, rdata=TOKEN)),
}


@pytest.mark.parametrize("what", PLANTED_FRAMES)
def test_nothing_that_was_planted_in_a_frame_survives(what) -> None:
    like = Frame(1, 0, 1, b"", "host br")
    new = scrub_frames([ethernet(PLANTED_FRAMES[what], like)], names())[0]
    data = new.data if new else b""
    for part in (b"S3cret", b"acme", b"db01", b"Jane", b"jane", bytes.fromhex("a483e7"), b"8.8.4.4",
                 ip_address("8.8.4.4").packed, ip_address("2001:4860:4860::8844").packed, b"\x014\x014\x018\x018"):
        assert part not in data, part


@pytest.mark.parametrize(("link_type", "header"), [
    (113, "0000 0001 0006 a483e7112233 6163 0800"), (276, "0800 6163 00000001 0001 00 06 a483e7112233 6163")])
def test_bytes_without_a_meaning_are_zero_in_the_header_of_linux_cooked_captures(link_type, header) -> None:
    old = bytes.fromhex(header)
    new, = scrub_frames([Frame(1, 0, link_type, old + bytes(answer()), "host any")], names())
    clean = header.replace("6163", "0000").replace("a483e7112233", "020000000000")
    assert new.data[:len(old)] == bytes.fromhex(clean)


def test_options_of_tcp_that_say_how_it_works_stay() -> None:
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0)), ("NOP", None), ("WScale", 7)]
    old = ethernet(IP(dst="10.244.2.8") / TCP(sport=53, dport=9, flags="S", options=options), Frame(1, 0, 1, b"", "x"))
    assert Ether(scrub_frames([old], names())[0].data)[TCP].options == options


def names() -> Pseudonyms:
    return pseudonyms_of(open_lab(recording=FIXTURE))


@pytest.mark.parametrize("what", ["question", "TXT", "CNAME", "PTR", "NS", "SRV", "owner", "AAAA", "unknown type",
                                  "cookie", "other class", "client subnet", "NSID", "local option",
                                  "address outside", "IPv6"])
def test_a_sound_message_stays_with_its_shape(what) -> None:
    old = ethernet(PLANTED_FRAMES[what], Frame(1, 0, 1, b"", "host br"))
    before, = sightings([old])
    after, = sightings(scrub_frames([old], names()))
    shapes = [(seen.message.id, seen.message.flags, seen.message.size, len(seen.message.questions),
               [record.type for record in seen.message.answers],
               seen.message.edns and [(name, len(value)) for name, value in seen.message.edns.options])
              for seen in (before, after)]
    assert shapes[0] == shapes[1]


def test_a_message_in_several_segments_is_built_anew_across_them() -> None:
    message = bytes(DNS(qr=1, qd=[DNSQR(qname=NAME)], an=[DNSRR(rrname=NAME, type="TXT", rdata=TOKEN * 9)]))
    stream = len(message).to_bytes(2) + message
    parts = [(at, stream[at:at + 50]) for at in range(0, len(stream), 50)]
    caught = [ethernet(IP(dst="10.244.2.8") / TCP(sport=53, dport=9, flags="PA", seq=(at - 9) % 2**32) / part,
                       Frame(1, 0, 1, b"", "host br")) for at, part in (parts[1], parts[0], parts[1], *parts[2:])]
    new = scrub_frames(caught, names())
    assert all(new) and b"S3cret" not in b"".join(frame.data for frame in new)
    lost = scrub_frames([*caught[:1], *caught[3:]], names())
    assert not any(lost)


@pytest.mark.parametrize("text", ["-eyJ" * 25000, "://a:" * 20000, "password=" * 11000, "a@" * 50000, "+1 23 " * 16000,
                                  "-----BEGIN A-----" * 6000, '"name": "password' * 6000], ids=lambda text: text[:8])
def test_looking_for_secrets_takes_time_in_proportion_to_the_text(text) -> None:
    started = time.process_time()
    found_in(text, SECRETS)
    masked(text, SECRETS)
    assert time.process_time() - started < 1
