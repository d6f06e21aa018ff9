"""The coin against its probability: which endpoints connections got, and whether chance explains the difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb

from kitlib.netfilter.path import PacketPath
from kitlib.sighting import Sighting


@dataclass(frozen=True)
class Share:
    """An endpoint: its probability by the rules, the connections expected and counted.

    `p_value` is the probability that chance alone strays at least so far from what is expected.
    """

    endpoint: str
    probability: float
    expected: float
    counted: int
    p_value: float


def endpoint_shares(paths: Sequence[PacketPath], seen: Iterable[Sighting]) -> tuple[Share, ...]:
    """Put what was seen behind the rules beside what they promise; queries from one port are one connection."""
    endpoints: dict[tuple, str] = {}
    for query in (sighting for sighting in seen if sighting.direction == "query"):
        endpoints.setdefault(query.client, str(query.server))
    counted, promised = Counter(endpoints.values()), Counter()
    for path in paths:
        promised[f"{path.after.destination}:{path.after.dport}"] += path.probability
    total = counted.total()
    return tuple(Share(endpoint, chance, total * chance, counted[endpoint],
                       round(_p_value(counted[endpoint], total, chance), 3))
                 for endpoint in sorted({*promised, *counted}) for chance in [round(promised[endpoint], 6)])


def _p_value(count: int, total: int, chance: float) -> float:
    """Return the exact binomial test's p-value, two-sided: the sum over all counts no likelier than this one."""
    likely = [comb(total, k) * chance ** k * (1 - chance) ** (total - k) for k in range(total + 1)]
    return min(1.0, sum(each for each in likely if each <= likely[count] * (1 + 1e-9)))
