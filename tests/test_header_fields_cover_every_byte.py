"""The header fields of a frame leave no byte out, and each value is what stands at its offset."""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path

import pytest

from kitlib.errors import ParseError
from kitlib.parsers.header_fields import Field, header_fields
from kitlib.parsers.pcap import frames
from kitlib.sighting import Frame

FIXTURES = Path(__file__).parent / "fixtures" / "pcap"
FRAMES = [pytest.param(frame, id=f"{file.stem}-{frame.number}") for file in sorted(FIXTURES.glob("*.pcap"))
          for frame in frames(file.read_bytes())]
SHARED = {"version", "header length", "data offset", "reserved", "flags", "fragment offset", "DO", "Z", "rcode",
          "traffic class", "flow label"}                     # fields of some bits of their bytes


def uncovered(frame: Frame, fields: tuple[Field, ...]) -> list[int]:
    covered = {at for field in fields for at in range(field.offset, field.offset + field.length)}
    return [at for at in range(len(frame.data)) if at not in covered]


@pytest.mark.parametrize("frame", FRAMES)
def test_every_byte_of_a_recorded_frame_has_a_field(frame: Frame) -> None:
    fields = header_fields(frame)
    assert not uncovered(frame, fields)
    assert max(field.offset + field.length for field in fields) == len(frame.data)
    assert [field.offset for field in fields] == sorted(field.offset for field in fields)
    assert all(field.meaning and field.layer and field.name for field in fields)


@pytest.mark.parametrize("frame", FRAMES)
def test_a_value_is_what_stands_at_its_offset(frame: Frame) -> None:
    compared = 0
    for field in header_fields(frame):
        raw = frame.data[field.offset:field.offset + field.length]
        if field.name in ("source", "destination") and field.layer in ("IPv4", "IPv6"):
            assert ipaddress.ip_address(raw) == ipaddress.ip_address(field.value)
        elif field.name in ("source", "destination"):
            assert raw.hex(":").startswith(field.value)
        elif field.layer == "DNS" and field.length == 1 and field.value in "01":
            assert field.name in ("qr", "aa", "tc", "rd", "ra", "z", "ad", "cd")
        elif field.value.isdigit() and field.name not in SHARED and not field.name.startswith("option"):
            assert int.from_bytes(raw) == int(field.value), field
        elif field.value.startswith("0x"):
            assert int.from_bytes(raw) == int(field.value, 16), field
        else:
            continue
        compared += 1
    assert compared >= 10


def test_a_cut_frame_shows_what_is_left_of_it() -> None:
    whole, = [frame for frame in frames((FIXTURES / "pod-dig-tcp-01-pod.pcap").read_bytes()) if frame.number == 4]
    for size in range(54, len(whole.data)):                    # Ethernet, IPv4 and the fixed part of TCP are there
        cut = dataclasses.replace(whole, data=whole.data[:size])
        try:
            fields = header_fields(cut)
        except ParseError as error:
            assert "frame 4" in str(error) and size < 66       # within TCP's options
            continue
        assert not uncovered(cut, fields)
        assert not [field for field in fields if field.layer.startswith("DNS")]
    for size in range(34):
        with pytest.raises(ParseError, match="frame 4"):
            header_fields(dataclasses.replace(whole, data=whole.data[:size]))
