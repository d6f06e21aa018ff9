"""Small tables of facts: HTML in the notebook, aligned columns in the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from html import escape
from itertools import chain

from kitlib.drawings.svg import ACCENT
from kitlib.errors import KitError
from kitlib.escapes import printable

CELL = "text-align:left;vertical-align:top;padding:4px 5px 4px 6px;font-size:13px;white-space:pre-line"
# Part transparent, so that the page's own text stays readable on it in a light and in a dark theme.
MARKED = f"{CELL};background:rgba(213,94,0,.16)"
OPTION, LONGEST_OPTION = re.compile(" (?=! -)|(?<!!) (?=--?[a-zA-Z])"), 40       # the space before one; letters
WORDS = re.compile(' (?!")')                  # the option keeps the first word of its comment


@dataclass(frozen=True, repr=False)
class Table:
    """Rows of text under column names; `marked_rows` are those (from 0) in which something was rewritten."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked_rows: frozenset[int] = frozenset()

    @property
    def text(self) -> str:
        """Return the table in aligned columns."""
        head, *lines = aligned([self.columns, *self.rows])
        rule = "─" * max(map(len, (head, *lines)))
        return printable("\n".join([*([self.title] if self.title else []), head, rule, *(lines or ["(none)"])]))

    def __repr__(self) -> str:
        return self.text

    @property
    def html(self) -> str:
        """Return the table as HTML in the page's own colours."""
        body = "".join(f"<tr>{self._cells(i, row)}</tr>" for i, row in enumerate(self.rows))
        none = f'<tr><td colspan="{len(self.columns)}" style="{CELL}">(none)</td></tr>'
        return html_table(self.title, self.columns, body or none)

    def _cells(self, index: int, row: tuple[str, ...]) -> str:
        style = MARKED if index in self.marked_rows else CELL
        first = f"{style};border-left:4px solid {ACCENT}" if index in self.marked_rows else style
        return "".join(f'<td style="{style if i else first}">{breakable(cell)}</td>' for i, cell in enumerate(row))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def html_table(title: str, columns: Sequence[str], body: str) -> str:
    """Return the HTML of a table around the rows in `body`; it scrolls sideways where the page is narrower."""
    caption = f'<caption style="text-align:left;font-weight:bold;padding:4px 8px">{escape(title)}</caption>'
    head = "".join(f'<th scope="col" style="{CELL}">{escape(name)}</th>' for name in columns)
    return printable(
        '<div class="kit-table" style="overflow-x:auto"><table style="margin:8px 0;border-collapse:collapse">'
        f"{caption if title else ''}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")


def breakable(cell: str) -> str:
    """Escape a cell, and let a word too long for a narrow page break: after a dot or colon, else anywhere."""
    if OPTION.search(cell):
        return rule_html(cell)
    return re.sub(r"[^\s&]{21,}", lambda word: re.sub("[.:](?=.)|[^.:-]{16}", r"\g<0><wbr>", word[0]), escape(cell))


def rule_html(rule: str) -> str:
    """Escape a rule, and let it break only before an option; a long comment may break between its words."""
    parts = (WORDS.split(part) if len(part) > LONGEST_OPTION else [part] for part in OPTION.split(rule))
    return " ".join(f'<span style="white-space:nowrap">{escape(words)}</span>' for words in chain.from_iterable(parts))


def aligned(lines: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return lines of cells as text with straight columns; the columns in `right` are set to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.rjust(wide) if i in right else cell.ljust(wide)
                      for i, (cell, wide) in enumerate(zip(cells, widths, strict=True))).rstrip() for cells in lines]


def shorten(words: str, limit: int) -> str:
    """Cut words to so many letters; an ellipsis marks what is left out."""
    return words if len(words) <= limit else words[: limit - 1] + "…"


def table(rows: Sequence[object], columns: Sequence[str] | None = None, title: str = "") -> Table:
    """Show dataclasses or dicts, one a row; `columns` chooses and orders the fields (all, if not given)."""
    records = [_values(row) for row in rows]
    known = list(dict.fromkeys(chain.from_iterable(records)))
    chosen = known if columns is None else list(columns)
    unknown = [name for name in chosen if records and name not in known]
    if unknown:
        raise KitError(f"no column {', '.join(unknown)}: these rows have {', '.join(known)}")
    cells = tuple(tuple(_cell(record.get(name)) for name in chosen) for record in records)
    return Table(title, tuple(name.replace("_", " ") for name in chosen), cells)


def _values(row: object) -> Mapping[str, object]:
    if isinstance(row, Mapping):
        return row
    if is_dataclass(row) and not isinstance(row, type):
        return {part.name: getattr(row, part.name) for part in fields(row) if part.repr}
    raise KitError(f"a table's row is a dataclass or a dict, not {type(row).__name__}")


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset) and type(value).__str__ is object.__str__:
        return ", ".join(_cell(part) for part in value)
    return str(value)
