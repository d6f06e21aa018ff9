"""The search-list playground: type a name, change ndots, see which names the resolver asks for."""

from __future__ import annotations

from dataclasses import replace

from kitlib.drawings.queries import search_list
from kitlib.drawings.table import Table
from kitlib.parsers.resolv_conf import NUMBERS, ResolvConf
from kitlib.search_list import RESOLVERS, queries, search_candidates
from kitlib.widgets.controls import WithFallback, redrawn, with_fallback


def search_list_playground(conf: ResolvConf, name: str = "www.example.com") -> WithFallback:
    """The names that are asked for with these settings, ready to be played with."""
    start = _asked(name, conf, RESOLVERS[0])

    def build() -> list:
        import ipywidgets

        wide = {"width": "100%", "max_width": "480px"}
        typed = ipywidgets.Text(name, description="Name", tooltip="The name that a program looks up", layout=wide)
        ndots = ipywidgets.IntSlider(conf.ndots, 0, NUMBERS["ndots"][1], description="ndots", layout=wide,
                                     tooltip="A name with at least this many dots is asked for as it is first")
        resolver = ipywidgets.RadioButtons(options=RESOLVERS, description="Resolver", layout={"width": "auto"},
                                           tooltip="Whose rules: glibc (Debian, Fedora) or musl (Alpine)")
        fields = [typed, ndots, resolver]
        return [*fields, redrawn(fields, lambda name, ndots, resolver: _asked(
            name.strip(), _with_ndots(conf, ndots), resolver).html)]

    return with_fallback(build, start.html, start.text)


def _with_ndots(conf: ResolvConf, ndots: int) -> ResolvConf:
    others = (option for option in conf.options if not option.startswith("ndots:"))
    return replace(conf, options=(*others, f"ndots:{ndots}"))


def _asked(name: str, conf: ResolvConf, resolver: str) -> Table:
    asked = queries(name, conf, resolver, exist=[name])
    types = " and ".join(dict.fromkeys(question.type for question in asked))
    names = len({question.name for question in asked})
    count = f"{len(asked)} queries ({types} for each of {names})" if names > 1 else f"{len(asked)} queries ({types})"
    return search_list(search_candidates(name, conf, resolver),
                       f"{name}, ndots:{conf.ndots}, {resolver}: {count}, if of these names only {name} is there")
