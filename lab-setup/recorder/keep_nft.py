"""What a scrubbed recording keeps of nft's output, as text and as JSON, of what people wrote: kube-proxy's comments.

Any other comment, prefix or quoted text becomes unreadable, and a number so long that it may spell a name becomes 0.
Names are replaced afterwards, as those of all programs are: the same in rules, maps and traces, so that a jump still
leads to its chain. Sources: nft(8), libnftables-json(5).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from recorder.known_words import NFT_COMMENTS

FREE = "|".join(f"(?<={before})" for before in ("comment ", "prefix ", '"comment": ', '"prefix": '))
QUOTED = re.compile(rf'(?P<free>{FREE})?"(?P<words>(?:[^"\\\n]|\\.)*)"')
PLAIN = re.compile(r"[\w@./:*-]*|[=!<>&|^+-]{1,2}")
LONG = re.compile(r"(?<![\w-])(?:\d{20,}|0x[0-9a-f]{17,})(?!\w)")
RAW = re.compile(r"(@\w{2},\d+,\d+ (?:[!=<>]+ )?)(?:0x[0-9a-f]+|\d+)")       # bytes at an offset: an address, a name


def kept(text: str, is_comment: Callable[[str], bool]) -> str:
    """Return the output of nft without what people wrote into it; "" for JSON that is cut."""
    if text.startswith("{"):
        try:
            text = json.dumps(_without_raw(json.loads(text)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return ""

    def quoted(found: re.Match[str]) -> str:
        words = found["words"]
        if words in NFT_COMMENTS or is_comment(words) or (found["free"] is None and PLAIN.fullmatch(words)):
            return found[0]
        return f'"{"x" * len(words)}"'

    return QUOTED.sub(quoted, LONG.sub("0", RAW.sub(r"\g<1>0", text)))


def _without_raw(value: Any) -> Any:
    """Return a JSON value where what is compared with bytes at an offset is 0, as RAW does in text."""
    if isinstance(value, list):
        return [_without_raw(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    is_raw = "right" in value and '"base"' in json.dumps(value.get("left"))
    return {key: 0 if is_raw and key == "right" else _without_raw(inner) for key, inner in value.items()}
