"""A scrubbed recording: the same pseudonyms in text and packets, lengths and checksums as before."""

from __future__ import annotations

import json
import re
import shutil
import time
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from conftest import REPO
from kitlib.errors import KitError
from kitlib.lab import open_lab
from kitlib.parsers.header_fields import ones_sum
from kitlib.parsers.pcap import frames
from kitlib.sighting import Frame
from recorder.frames import scrub_frames
from recorder.pseudonyms import Pseudonyms
from recorder.scrub import scrub, scrub_and_print
from recorder.validate import validate

ANSWER = "93.184.216.34"
MACS = re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b")
SECRET = "token: abcdef.0123456789abcdef"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Some of the recording kind-test1, with a private registry and a secret in it, and its scrubbed copy."""
    raw, out = tmp_path_factory.mktemp("raw") / "mine", tmp_path_factory.mktemp("out") / "clean"
    source = REPO / "kitlib/recordings/kind-test1"
    for scene in ("pod-dig-external", "trace-pod-dig", "pod-dig-tcp"):
        shutil.copytree(source / "scenes" / scene, raw / "scenes" / scene)
    for name in ("facts.jsonl", "traced-rules.jsonl"):
        shutil.copy(source / name, raw)
    index = json.loads((source / "recording.json").read_text())
    index["scenes"] = [scene for scene in index["scenes"] if (raw / "scenes" / scene["name"]).is_dir()]
    index.pop("faults", None)
    (raw / "recording.json").write_text(json.dumps(index))
    facts = (raw / "facts.jsonl").read_text().replace('\\"my-nginx:z01', '\\"registry.corp.test:5000/my-nginx:z01')
    more = {"place": "host", "argv": ["cat", "x"], "rc": 0, "stdout": SECRET + " by 8.8.8.8", "stderr": ""}
    (raw / "facts.jsonl").write_text(facts + json.dumps(more) + "\n")
    return raw, out, scrub(raw, out)


def texts(folder) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.rglob("*.json*")))


def test_no_name_address_mac_registry_or_secret_of_the_cluster_is_left_in_any_text(folders):
    raw, out, _ = folders
    before, after = texts(raw), texts(out)
    for word in ("kind-test1", ANSWER, "8.8.8.8", "registry.corp.test", "abcdef.0123456789abcdef"):
        assert word in before and word not in after, word
    single = {mac for mac in MACS.findall(before) if not int(mac[:2], 16) & 1} - {"00:00:00:00:00:00"}
    assert single and not single & set(MACS.findall(after))
    assert not re.findall(r'machineID\\+": \\+"(?!0+\\)', after)


def test_no_outside_address_is_left_in_any_packet(folders):
    _, out, _ = folders
    packed = ip_address(ANSWER).packed
    for file in out.rglob("*.pcapng"):
        assert packed not in file.read_bytes() and b"kind-test1" not in file.read_bytes()


def test_times_lengths_and_order_of_the_packets_stay(folders):
    raw, out, _ = folders
    for file in raw.rglob("*.pcapng"):
        old, new = (frames(path.read_bytes()) for path in (file, out / file.relative_to(raw)))
        shapes = [[(frame.time_ns, len(frame.data), frame.link_type) for frame in some] for some in (old, new)]
        assert shapes[0] == shapes[1]


def test_commands_and_packets_still_agree(folders):
    _, out, _ = folders
    lab = open_lab(recording=out)
    pod = lab.pod("my-nginx")
    with lab.capture() as seen:
        dig = pod.dig("www.example.com")
    response = next(at for at in seen.at(pod) if at.message.is_response)
    answer = response.message.answers[0].data
    assert answer != ANSWER and re.search(rf"\sA\t{re.escape(answer)}\n", dig.stdout)
    assert f" A {answer} " in seen.tcpdump(pod).stdout
    assert seen.journey().client_leg.endpoint.address in {at.address for at in lab.coredns}
    assert validate(out) == []


def test_the_map_is_the_same_but_for_names(folders):
    raw, out, _ = folders
    old, new = (open_lab(recording=folder) for folder in (raw, out))
    assert [node.title for node in old.nodes] == [node.title for node in new.nodes]
    assert [len(node.name) for node in old.nodes] == [len(node.name) for node in new.nodes]
    assert old.ranges == new.ranges and [pod.address for pod in old.pods()] == [pod.address for pod in new.pods()]


def test_what_may_remain_is_listed_and_what_was_left_out(folders):
    _, _, report = folders
    assert "may still tell" in report and "default/my-nginx" in report and "versions" in report
    assert re.search("Left out: .*cat x", report) and "WARNING" not in report


def test_who_wants_more_names_it_and_is_warned(folders, tmp_path):
    raw, _, _ = folders
    report = scrub(raw, tmp_path / "more", ["cat x", "kubectl cluster-info"])
    assert "WARNING: what --keep names" in report
    lab = open_lab(recording=tmp_path / "more")
    assert re.fullmatch(r"token: x{23} by [\d.]+", lab.host.run("cat", "x").stdout)
    assert "abcdef.0123456789abcdef" not in texts(tmp_path / "more") and "8.8.8.8" not in texts(tmp_path / "more")
    assert "Kubernetes control plane" in lab.host.run("kubectl", "cluster-info").stdout


def test_a_folder_that_is_there_is_not_written_over(tmp_path):
    with pytest.raises(KitError, match="there already"):
        scrub_and_print(REPO / "kitlib/recordings/kind-test1", tmp_path)


@pytest.mark.parametrize(("old", "new", "said"), [
    ("10.244.0.0/16", "10.244.0.0/99", "is no network"), ("10.244.0.0/16", "0.0.0.0/0", "addresses of others"),
    ('"items": [', '"items": [], "others": [', "no nodes")])
def test_a_recording_whose_ranges_cannot_be_told_is_not_scrubbed(tmp_path, old, new, said):
    raw = shutil.copytree(REPO / "tests/fixtures/recorded-by-the-kit", tmp_path / "raw")
    facts = raw / "facts.jsonl"
    facts.write_text(facts.read_text().replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))
    with pytest.raises(KitError, match=said):
        scrub(raw, tmp_path / "out")


def pseudonyms() -> Pseudonyms:
    return Pseudonyms([ip_network("10.244.0.0/16"), ip_network("172.20.0.0/16")], {})


OUTSIDE = st.ip_addresses(v=4).filter(lambda at: at.is_global and not at.is_multicast)


def scrubbed(made) -> Ether:
    frame, = scrub_frames([Frame(1, 0, 1, bytes(made))], pseudonyms())
    return Ether(frame.data)


def query_from(source: object, name: str = "www.example.com", **udp) -> Ether:
    made = Ether(src="0a:00:00:00:00:09", dst="0a:00:00:00:00:08") / IP(src=str(source), dst="10.244.2.3")
    return made / UDP(sport=53, dport=4000, **udp) / DNS(qr=1, qd=[DNSQR(qname=name)], an=[DNSRR(rdata=str(source))])


@given(OUTSIDE, st.sampled_from(["a.b", "db01.acme", "acme-corp.example", f"{'x' * 20}.{'y' * 19}"]))
def test_a_right_checksum_stays_right_and_the_length_is_the_same(source, name):
    made = query_from(source, name)
    again = scrubbed(made)
    given_sums = again[IP].chksum, again[UDP].chksum
    length = len(again)
    del again[IP].chksum, again[UDP].chksum
    right = Ether(bytes(again))
    assert given_sums == (right[IP].chksum, right[UDP].chksum) and length == len(bytes(made))
    assert again[IP].src != str(source) and again[DNS].an[0].rdata == again[IP].src


def test_a_checksum_that_was_wrong_or_absent_is_left_alone():
    for chksum in (0xBEEF, 0):
        assert scrubbed(query_from("8.8.8.8", chksum=chksum))[UDP].chksum == chksum


def test_a_partial_checksum_stays_partial():
    """As in the recording: what a pod sends carries the sum of the pseudo-header only, until a card finishes it."""
    length = len(bytes(query_from("8.8.8.8")[UDP]))

    def pseudo(source):
        return ip_address(source).packed + ip_address("10.244.2.3").packed + length.to_bytes(4) + (17).to_bytes(4)

    new = scrubbed(query_from("8.8.8.8", chksum=ones_sum(pseudo("8.8.8.8"))))
    assert new[IP].src != "8.8.8.8" and new[UDP].chksum == ones_sum(pseudo(new[IP].src))


def test_there_are_pseudonyms_for_any_number_of_addresses():
    known, started = pseudonyms(), time.process_time()
    text = " ".join(f"1.{at // 250}.{at % 250}.9 2a00::{at:x}" for at in range(4000))
    assert len(set(known.text(text).split())) == 8000 and time.process_time() - started < 5


@given(OUTSIDE.filter(lambda at: len(str(at)) > 8))
def test_a_stand_in_is_as_long_as_what_it_stands_for_and_always_the_same(address):
    known = pseudonyms()
    first = known.text(f"to {address}.53: at {address}, {address}/24")
    assert known.text(f"{address}") in first and str(address) not in first
    assert abs(len(known.address(str(address))) - len(str(address))) <= 1


@pytest.mark.parametrize("kept", [
    "10.244.2.3", "172.20.0.53", "127.0.0.11", "0.0.0.0/0", "255.255.0.0", "169.254.20.10", "v1.34.3",
    "09:02:18.589782", "3.2.244.10.in-addr.arpa", "::1", "fc00:f853:ccd:e793::2", "ff:ff:ff:ff:ff:ff", "999.1.1.1"])
def test_what_means_the_same_everywhere_stays(kept):
    assert pseudonyms().text(f"a {kept} b") == f"a {kept} b"


def test_the_kits_own_recording_holds_no_secret():
    assert not [problem for problem in validate(REPO / "kitlib/recordings/kind-test1") if "looks like" in problem]
