"""`bring_your_own`: choose files of your own, and see at once what they show of a query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from follow.journeys import to_look_at
from follow.own_files import RESOLV_CONF, OwnFiles, read_files
from follow.own_findings import findings, journeys_of, walk
from follow.page import paragraphs
from kitlib.drawings.drawing import Drawing
from kitlib.drawings.ladder import ladder
from kitlib.drawings.queries import draw_search_list, queries_table, settings_table
from kitlib.drawings.table import Table
from kitlib.errors import KitError
from kitlib.journey.model import Journey
from kitlib.search_list import search_candidates
from kitlib.widgets.controls import WithFallback, html_output
from kitlib.widgets.rule_walk import rule_walk

PRIVATE = "Nothing leaves this page: the Python that runs this notebook reads the files, and sends them nowhere."
EXAMPLE = "In a live notebook, a button here takes files of your own. These are the example's:"
# ipywidgets' button takes no files that are dropped: it makes a file input of its own, and clicks that. So what is
# dropped is handed to this input in the place of its click.
DROP = """<style onload="DROPPED"></style>Or drop files here.""".replace("DROPPED", """
const place = this.closest('.kit-widget'), click = HTMLInputElement.prototype.click;
place.addEventListener('dragover', event => event.preventDefault());
place.addEventListener('drop', event => {
  event.preventDefault(); event.stopPropagation();
  HTMLInputElement.prototype.click = function () {
    this.files = event.dataTransfer.files; this.dispatchEvent(new Event('change')); };
  try { place.querySelector('.widget-upload').click(); } finally { HTMLInputElement.prototype.click = click; } })""")
EXAMPLE_NAME = "www.example.com"        # completed by a search list, where no capture has a better one


def bring_your_own(files: Mapping[str, bytes]) -> WithFallback:
    """Show what files show of a query, their bytes by name; and a button to choose files of your own instead."""
    def build() -> list:
        import ipywidgets

        upload = ipywidgets.FileUpload(multiple=True, description="Choose files", layout={"width": "auto"},
                                       tooltip="Captures, rules, routes, addresses, a resolv.conf: what you have")
        name = ipywidgets.Text(description="Name", placeholder="any that was asked for", continuous_update=False,
                               tooltip="Show the queries for this name")
        drop = ipywidgets.HTML(DROP, layout={"border": "1px dashed", "padding": "0 8px"})
        return [ipywidgets.HTML(paragraphs([PRIVATE])), upload, drop, name, html_output(
            [upload, name], lambda chosen, name: (
                report({one["name"]: bytes(one["content"]) for one in chosen} or files, name.strip()).html))]

    example = report(files)
    return WithFallback(paragraphs([PRIVATE, EXAMPLE]) + example.html, f"{PRIVATE} {EXAMPLE}\n\n{example.text}", build)


def report(files: Mapping[str, bytes], name: str = "") -> WithFallback:
    """Show all that files tell of a name (see `journeys_of`); or what is wrong with one of them, in a sentence."""
    try:
        parts = list(_parts(read_files(files), name))
    except KitError as error:
        parts = [_sentences([str(error)])]
    return WithFallback("".join(part.html for part in parts), "\n\n".join(part.text for part in parts))


def _parts(own: OwnFiles, name: str) -> Iterator[Table | Drawing | WithFallback]:
    yield own.table
    asked_for = name or EXAMPLE_NAME
    try:
        journeys = journeys_of(own, name)
    except KitError as error:
        yield _sentences([str(error)])
    else:
        yield _sentences(findings(own, name))
        yield queries_table(journeys)
        journey = to_look_at(journeys)
        yield ladder(journey)
        yield from _walks(own, journey)
        asked_for = name or (journey.question.name.rstrip(".") if journey.question else EXAMPLE_NAME)
    for conf in own.contents(RESOLV_CONF):
        yield settings_table(conf)
        yield draw_search_list(search_candidates(asked_for, conf), f"What glibc's resolver asks for, given {asked_for}")


def _walks(own: OwnFiles, journey: Journey) -> Iterator[WithFallback]:
    for machine in own.machines:
        with suppress(KitError):        # the findings say it
            yield rule_walk(walk(own, machine, journey))


def _sentences(sentences: Iterable[str]) -> WithFallback:
    return WithFallback(paragraphs(sentences), "\n".join(sentences))
