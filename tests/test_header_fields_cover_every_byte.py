"""The header fields of a frame leave no byte out: what is no header is data of a known length."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter

import pytest
from scapy.layers import inet, inet6, l2

from conftest import PCAPS, captured_frames
from kitlib.errors import ParseError
from kitlib.parsers.header_fields import HEADERS, Field, header_fields
from kitlib.parsers.sightings import sightings
from kitlib.sighting import Frame

FRAMES = [pytest.param(frame, id=f"{file.stem}-{frame.number}") for file in PCAPS
          for frame in captured_frames(file.stem)]
SCAPY = {"Ethernet": l2.Ether, "VLAN": l2.Dot1Q, "Linux cooked v1": l2.CookedLinux, "Linux cooked v2": l2.CookedLinuxV2,
         "IPv4": inet.IP, "IPv6": inet6.IPv6, "IPv6 fragment": inet6.IPv6ExtHdrFragment,
         "UDP": inet.UDP, "TCP": inet.TCP}
# An option of TCP: a byte, or two and its value. Of EDNS: four, and its value in hex digits.
TCP_OPTION = {"NOP": 1, "maximum segment size": 4, "window scale": 3, "SACK permitted": 2, "timestamps": 10}


@pytest.mark.parametrize("title", SCAPY)
def test_a_header_has_the_fields_that_scapy_knows_each_with_its_bits(title: str) -> None:
    theirs = [round(part.sz * 8) for part in SCAPY[title].fields_desc if part.name != "options"]
    assert [part.bits for part in HEADERS[title]] == theirs


def size(fields: tuple[Field, ...]) -> int:
    """The bytes that the fields below DNS stand for."""
    layers = Counter(field.layer for field in fields if field.name == HEADERS.get(field.layer, [field])[0].name)
    headers = sum(sum(part.bits for part in HEADERS[title]) // 8 * count for title, count in layers.items()
                  if title in HEADERS)
    options = [field.name.removeprefix("option: ") for field in fields if field.layer == "TCP" and ":" in field.name]
    rest = [int(re.match(r"\d+", field.value)[0]) for field in fields if field.name in ("data", "padding")
            and not field.layer.startswith("DNS")]
    return headers + sum(TCP_OPTION[name] for name in options) + sum(rest)


@pytest.mark.parametrize("frame", FRAMES)
def test_every_byte_of_a_recorded_frame_has_a_field(frame: Frame) -> None:
    fields = header_fields(frame)
    seen = sightings([frame]) if "DNS" in {field.layer for field in fields} else ()
    prefixes = 2 * sum(field[:2] == ("DNS", "length") for field in fields)
    assert size(fields) + prefixes + sum(one.message.size for one in seen) == len(frame.data)
    assert all(field.meaning and field.layer and field.name for field in fields)
    for one in seen:
        said, message = Counter(field.layer for field in fields if field.name in ("name", "UDP size")), one.message
        opt = message.edns is not None
        assert said["DNS question"] == len(message.questions) and said["DNS answer"] == len(message.answers)
        assert said["DNS authority"] == len(message.authorities) and said["EDNS"] == opt
        assert said["DNS additional"] == len(message.additionals) + opt
        assert [field.value for field in fields if field.name == "data" and field.layer.startswith("DNS ")] == [
            record.data for record in message.answers + message.authorities + message.additionals]


def test_a_cut_frame_shows_what_is_left_of_it() -> None:
    whole, = [frame for frame in captured_frames("pod-dig-tcp-01-pod") if frame.number == 4]
    for end in range(54, len(whole.data)):                     # Ethernet, IPv4 and the fixed part of TCP are there
        cut = dataclasses.replace(whole, data=whole.data[:end])
        try:
            fields = header_fields(cut)
        except ParseError as error:
            assert "frame 4" in str(error) and end < 66        # within TCP's options
            continue
        assert size(fields) == end
        assert not [field for field in fields if field.layer.startswith("DNS")]
    for end in range(34):
        with pytest.raises(ParseError, match="frame 4"):
            header_fields(dataclasses.replace(whole, data=whole.data[:end]))
