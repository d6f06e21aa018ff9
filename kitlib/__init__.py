"""kitlib: follow one DNS query through Kubernetes.

    from kitlib import open_lab, ladder
    lab = open_lab()
    pod = lab.pod("my-nginx")
    with lab.capture() as seen:
        pod.dig("www.example.com")
    ladder(seen.journey())

Each name below is loaded when it is first used, so that `import kitlib` costs nothing.
"""

from importlib import import_module

_HOME = {
    "open_lab": "kitlib.lab.open_lab",
    "doctor": "kitlib.checkup.doctor",
    "search_candidates": "kitlib.search_list.search_candidates",
    "packet_from": "kitlib.netfilter.packet.packet_from",
    "endpoint_shares": "kitlib.netfilter.endpoint_shares.endpoint_shares",
    "simulate": "kitlib.netfilter.simulate.simulate",
    "asked_upstream": "kitlib.capture.asked_upstream",
    "masquerade_step": "kitlib.netfilter.kube_proxy.masquerade_step",
    "queries_table": "kitlib.drawings.queries.queries_table",
    "draw_topology": "kitlib.drawings.topology.draw_topology",
    "ladder": "kitlib.drawings.ladder.ladder",
    "gaps": "kitlib.drawings.gaps.gaps",
    "latency_budget": "kitlib.drawings.latency.latency_budget",
    "note": "kitlib.drawings.drawing.note",
    "settings_table": "kitlib.drawings.queries.settings_table",
    "draw_search_list": "kitlib.drawings.queries.draw_search_list",
    "what_differs": "kitlib.drawings.queries.what_differs",
    "table": "kitlib.drawings.table.table",
    "packet_view": "kitlib.widgets.packet_view.packet_view",
    "rule_walk": "kitlib.widgets.rule_walk.rule_walk",
    "rules_at": "kitlib.widgets.rule_walk.rules_at",
    "what_if": "kitlib.widgets.what_if.what_if",
    "search_list_playground": "kitlib.widgets.playground.search_list_playground",
    "stepper": "kitlib.widgets.stepper.stepper",
    "topology_view": "kitlib.widgets.stepper.topology_view",
    "predict": "kitlib.quiz.predict",
    "check": "kitlib.quiz.check",
    "hint": "kitlib.quiz.hint",
    "progress": "kitlib.quiz.progress",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"kitlib has no {name!r}; it has: {', '.join(__all__)}")
    module, _, home_name = _HOME[name].rpartition(".")
    found = import_module(module)
    try:
        return getattr(found, home_name)
    except AttributeError as error:      # "from kitlib import NAME" would say that there is no such name
        raise ImportError(f"{module} could not be loaded whole: {error}") from error


def __dir__() -> list[str]:
    return __all__
