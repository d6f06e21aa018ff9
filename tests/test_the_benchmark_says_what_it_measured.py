"""The table of `make benchmark` marks what is missed, names what is not installed, and stands on whole captures."""

from __future__ import annotations

from pathlib import Path

import pytest
import reading
import table
from generated_captures import POINTS, write_captures
from measure import Row, missing

from kitlib.journey.join import join
from kitlib.parsers.pcap import frames
from kitlib.parsers.sightings import sightings


def test_a_bar_that_is_missed_is_marked_in_words_and_a_subject_that_fails_is_a_row(monkeypatch) -> None:
    def fails(_rounds: int, _folder: Path) -> list[Row]:
        raise RuntimeError("scapy failed: no such module")

    monkeypatch.setattr(reading, "rows", fails)
    shown = table.table([Row("reading", "1 s", "2 s", False), *table.measured(["reading"], 1)]).splitlines()
    assert shown[2].split("|")[1:5] == [" reading             ", " 1 s ", shown[2].split("|")[3], " MISSED "]
    assert "not measured: scapy failed: no such module" in shown[3] and len({len(line) for line in shown}) == 1


def test_reading_is_compared_with_the_tools_that_are_there(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reading, "QUERIES", 20)
    monkeypatch.setenv("PATH", str(tmp_path))
    scapy, tshark, five = reading.rows(1, tmp_path)
    assert "40 DNS frames" in scapy.what and "s, scapy " in scapy.today and "s, scapy " in five.today
    assert tshark.today == "not measured: tshark is not installed" and tshark.is_met is None
    assert missing("tshark", "scp2") == "tshark and scp2 are not installed"


@pytest.mark.parametrize("names", ["distinct", "zipf", "one"])
def test_every_generated_query_is_a_journey_with_its_answer(names: str, tmp_path: Path) -> None:
    paths = write_captures(tmp_path, 60, names)
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in write_captures(tmp_path, 60, names)]
    journeys = join(seen for path, point in zip(paths, POINTS, strict=True)
                    for seen in sightings(frames(path.read_bytes()), point))
    assert len(journeys) == 60 and all(journey.came_back for journey in journeys)
    assert any(journey.upstream_legs for journey in journeys)
