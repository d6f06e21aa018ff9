"""Reading and joining the captures of five vantage points: processor time, memory, and how both grow with the input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from generated_captures import POINTS, repeated_lookups, write_captures
from measure import Row, exponent, in_new_process, in_turn, timed

from kitlib.journey.join import join
from kitlib.parsers.pcap import frames
from kitlib.parsers.sightings import sightings

QUERIES = 50_000                  # and as many answers: 100,000 frames at each point, some more where CoreDNS asks
LOOKUPS = 20_000
TIMES = 10                        # the smaller input is so much smaller
MOST_S, MOST_EXPONENT, MOST_MB = 45, 1.2, 1000
REPEATED = {"one name": "one name, many sockets", "one socket": "one port, DNS id and name",
            "one socket without IP ids": "the same without IP ids", "one name, unanswered": "one name, unanswered",
            "one socket, unanswered": "one port, DNS id and name, unanswered"}


def rows(rounds: int, folder: Path) -> Iterator[Row]:
    """Yield the rows about joining."""
    for names, words in (("distinct", "distinct names"), ("zipf", "Zipf over 1,000 names"), ("one", "one name")):
        yield _captures(rounds, folder, names, words)
    for kind, words in REPEATED.items():
        yield _repeated(rounds, kind, words)


def _captures(rounds: int, folder: Path, names: str, words: str) -> Row:
    few, many = (write_captures(folder, queries, names) for queries in (QUERIES // TIMES, QUERIES))
    costs = in_turn(rounds, {f"few frames, {words}": lambda: in_new_process(read_and_join, few),
                             f"many frames, {words}": lambda: in_new_process(read_and_join, many)})
    small, large = costs.values()
    grows = exponent(small.seconds, large.seconds, TIMES)
    return Row(f"reading and joining 5 x {2 * QUERIES:,} frames, {words}",
               f"at most {MOST_S} s, exponent {MOST_EXPONENT}, {MOST_MB:,} MB",
               f"{large.seconds:.1f} s, exponent {grows:.2f}, {large.megabytes:.0f} MB",
               large.seconds <= MOST_S and grows <= MOST_EXPONENT and large.megabytes <= MOST_MB)


def read_and_join(paths: list[Path]) -> int:
    """Return how many journeys five captures tell."""
    seen = [sighting for path, point in zip(paths, POINTS, strict=True)
            for sighting in sightings(frames(path.read_bytes()), point)]
    return len(join(seen))


def _repeated(rounds: int, kind: str, words: str) -> Row:
    few, many = in_turn(rounds, {f"few lookups, {words}": lambda: in_new_process(join_repeated, LOOKUPS // TIMES, kind),
                                 f"many lookups, {words}": lambda: in_new_process(join_repeated, LOOKUPS, kind)}
                        ).values()
    grows = exponent(few.result, many.result, TIMES)
    return Row(f"joining {LOOKUPS:,} lookups: {words}", f"exponent at most {MOST_EXPONENT}",
               f"{many.result:.1f} s, exponent {grows:.2f}", grows <= MOST_EXPONENT)


def join_repeated(count: int, kind: str) -> float:
    """Return the seconds that the join of so many lookups takes."""
    seen = list(repeated_lookups(count, kind))
    return timed(lambda: join(seen))[0]
