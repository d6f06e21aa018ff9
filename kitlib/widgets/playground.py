"""The search-list playground: type a name, change ndots, see which names the resolver asks for."""

from __future__ import annotations

from dataclasses import replace

from kitlib.drawings.queries import draw_search_list
from kitlib.drawings.table import Table
from kitlib.parsers.resolv_conf import NUMBERS, ResolvConf
from kitlib.search_list import ASSUMED, RESOLVERS, queries, search_candidates
from kitlib.widgets.controls import WithFallback, html_output


def search_list_playground(conf: ResolvConf, name: str = "www.example.com") -> WithFallback:
    """Show the names that are asked for with these settings, ready to be played with."""
    start = _queries_for(name, conf, RESOLVERS[0])

    def build() -> list:
        import ipywidgets

        wide = {"width": "100%", "max_width": "480px"}
        typed = ipywidgets.Text(name, description="Name", tooltip="The name that a program looks up", layout=wide)
        ndots = ipywidgets.IntSlider(conf.ndots, 0, NUMBERS["ndots"][1], description="ndots", layout=wide,
                                     tooltip="A name with at least this many dots is asked for as it is first")
        resolver = ipywidgets.RadioButtons(options=RESOLVERS, description="Resolver", layout={"width": "auto"},
                                           tooltip="Whose rules: glibc (Debian, Fedora) or musl (Alpine)")
        fields = [typed, ndots, resolver]
        return [*fields, html_output(fields, lambda name, ndots, resolver: _queries_for(
            name.strip(), _with_ndots(conf, ndots), resolver).html)]

    return WithFallback(start.html, start.text, build)


def _with_ndots(conf: ResolvConf, ndots: int) -> ResolvConf:
    others = (option for option in conf.options if not option.startswith("ndots:"))
    return replace(conf, options=(*others, f"ndots:{ndots}"))


def _queries_for(name: str, conf: ResolvConf, resolver: str) -> Table:
    questions = queries(name, conf, resolver, exist=[name])
    types = " and ".join(dict.fromkeys(question.type for question in questions))
    names, count = len({question.name for question in questions}), f"{len(questions)} queries"
    detail = f"{types} for each of {names}" if names > 1 else types
    return draw_search_list(search_candidates(name, conf, resolver),
                       f"{name}, ndots:{conf.ndots}, {ASSUMED[resolver]}: {count} ({detail}), "
                       f"if of these names only {name} is there")
