"""The search list asks what real resolvers ask: dnspython on generated input, glibc and musl in recorded captures."""

from __future__ import annotations

import dns.name
import dns.resolver
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import every_sighting, recorded_scenes
from kitlib.errors import KitError, ParseError
from kitlib.lab import open_lab
from kitlib.parsers.resolv_conf import ResolvConf, parse
from kitlib.search_list import queries, search_candidates

LOOKUPS = [(scene, of) for scene, of in recorded_scenes().items() if "getent" in scene or "musl" in scene]

LABELS = st.sampled_from(["a", "b9", "my-nginx", "default", "svc", "www", "example", "com"])
NAMES = st.builds(lambda labels, dot: ".".join(labels) + dot,
                  st.lists(LABELS, min_size=1, max_size=6), st.sampled_from(["", "", "."]))
DOMAINS = st.one_of(NAMES, st.just("."))
CONFS = st.builds(lambda search, ndots: ResolvConf((), tuple(search), () if ndots is None else (f"ndots:{ndots}",)),
                  st.lists(DOMAINS, max_size=5), st.none() | st.integers(0, 15))


def dnspython(name: str, conf: ResolvConf) -> list[str]:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.ndots = conf.ndots
    resolver.search = [dns.name.from_text(domain) for domain in conf.search]
    return [each.to_text() for each in resolver._get_qnames_to_try(dns.name.from_text(name, None), True)]


@settings(max_examples=200)
@given(NAMES, CONFS)
def test_glibc_order_is_that_of_dnspython(name, conf):
    expected = dnspython(name, conf)
    # One difference: "." on the list is the name as it is, and glibc (root_on_list) does not ask that again at the end.
    if "." in conf.search and not name.endswith(".") and name.count(".") < conf.ndots:
        expected.pop()
    assert [candidate.name for candidate in search_candidates(name, conf)] == expected


@settings(max_examples=200)
@given(NAMES, CONFS)
def test_musl_asks_either_the_name_alone_or_the_list_and_then_the_name(name, conf):
    found = [candidate.name for candidate in search_candidates(name, conf, "musl")]
    if name.endswith(".") or name.count(".") >= conf.ndots:
        assert found == [name.rstrip(".") + "."]
    else:       # dnspython's order, but musl cannot send "name..": a domain "." is passed over
        without_root = ResolvConf((), tuple(each for each in conf.search if each != "."), conf.options)
        assert found == dnspython(name, without_root)


@pytest.mark.parametrize(("scene", "number"), [(scene, number) for scene, of in LOOKUPS for number in range(1, of + 1)])
def test_recorded_lookups(scene, number):
    lab = open_lab()
    take, seen = every_sighting(lab, scene, number)
    command = take.commands[0]
    place = lab.pod(command.place.rpartition("/")[2])
    asked = [one.message.question for one in seen
             if one.direction == "query" and one.client.address == place.address and first_sight(one, seen)]
    exist = {one.message.question.name for one in seen if one.message.answers}
    resolver = "musl" if command.argv[0].startswith("musl") else "glibc"
    predicted = list(queries(command.argv[-1], place.resolv_conf(), resolver, exist=exist))
    # A question that failed is asked again (`attempts`); the order of first asking is what the search list decides.
    assert list(dict.fromkeys(sorted_by_time(asked, seen))) == predicted
    assert len(asked) in (len(predicted), len(predicted) * place.resolv_conf().attempts)


def first_sight(query, seen):
    same = [one for one in seen if one.direction == "query" and one.client == query.client
            and one.message.id == query.message.id and one.message.question == query.message.question]
    return query is min(same, key=lambda one: one.time_ns)


def sorted_by_time(asked, seen):
    first = {}
    for one in sorted(seen, key=lambda one: one.time_ns):
        first.setdefault(one.message.question, one.time_ns)
    return sorted(asked, key=first.__getitem__)


POD = ResolvConf(("10.96.0.10",), ("default.svc.cluster.local", "svc.cluster.local", "cluster.local"), ("ndots:5",))


def test_an_external_name_costs_eight_queries_and_a_dot_saves_six():
    assert len(queries("www.example.com", POD, exist=["www.example.com"])) == 8
    assert len(queries("www.example.com.", POD, exist=["www.example.com"])) == 2


def test_every_candidate_says_why_it_is_asked():
    assert [candidate.why for candidate in search_candidates("www.example.com", POD)] == [
        "search list: default.svc.cluster.local", "search list: svc.cluster.local", "search list: cluster.local",
        "as it is: dots in it: 2, fewer than ndots:5"]
    assert search_candidates("a.b.c.d.e.f", POD)[0].why == "as it is: dots in it: 5, at least ndots:5"
    assert search_candidates("a.", POD)[0].why == "as it is: it ends with a dot"


def test_with_enough_dots_glibc_goes_on_to_the_list_and_musl_does_not():
    conf = ResolvConf((), ("svc.cluster.local",), ("ndots:1",))
    assert [each.name for each in search_candidates("my-nginx.default", conf)] \
        == ["my-nginx.default.", "my-nginx.default.svc.cluster.local."]
    assert [each.name for each in search_candidates("my-nginx.default", conf, "musl")] == ["my-nginx.default."]


def test_names_are_compared_without_regard_to_case():
    assert len(queries("WWW.Example.COM.", POD, exist=["www.example.com"])) == 2
    assert len(queries("my-nginx", POD, exist=["MY-NGINX.default.svc.cluster.local."])) == 2


def test_an_address_is_not_asked_about():
    for address in ("10.96.0.10", "fe80::1", "10.1"):
        assert search_candidates(address, POD) == search_candidates(address, POD, "musl") == ()
    assert len(search_candidates("10.96.0.10.example", POD)) == 4


@pytest.mark.parametrize("name", ["", ".", "a..b", ".a", "a..", "a b", "x" * 64, ".".join(["x" * 49] * 6)])
@pytest.mark.parametrize("resolver", ["glibc", "musl"])
def test_what_is_no_name_is_an_error(name, resolver):
    with pytest.raises(ParseError, match="labels of 1 to 63"):
        search_candidates(name, POD, resolver)


def test_a_completed_name_that_is_too_long_ends_glibcs_list_and_is_passed_over_by_musl():
    long = ".".join(["x" * 49] * 5)                   # 249 characters
    conf = ResolvConf((), ("a.b", "c.example.com", "d.e"), ("ndots:15",))
    assert [each.name for each in search_candidates(long, conf)] == [f"{long}.a.b.", f"{long}."]
    assert [each.name for each in search_candidates(long, conf, "musl")] == [f"{long}.a.b.", f"{long}.d.e.", f"{long}."]


def test_the_longest_name_is_253_characters_without_its_final_dot():
    longest = ".".join(["x" * 63] * 3 + ["x" * 61])
    assert len(longest) == 253
    assert search_candidates(f"{longest}.", POD)[0].name == f"{longest}."
    with pytest.raises(ParseError):
        search_candidates(f"{longest}x.", POD)


def test_musl_does_not_read_a_search_line_beyond_its_buffer():
    domains = tuple(f"{'x' * 57}.d{n}" for n in range(4))         # 4 * 60 + 3 spaces + "search " = 250 characters
    assert len(search_candidates("a", ResolvConf((), domains), "musl")) == 5
    longer = (*domains[:3], "x" * 57 + ".d30000")
    assert len(f"search {' '.join(longer)}") == 254
    assert len(search_candidates("a", ResolvConf((), longer), "musl")) == 5
    assert len(search_candidates("a", ResolvConf((), (*longer[:3], longer[3] + "0")), "musl")) == 1
    assert len(search_candidates("a", ResolvConf((), (*longer[:3], longer[3] + "0")))) == 5


def test_options_that_leave_questions_out():
    conf = ResolvConf((), ("a.example",), ("no-tld-query", "no-aaaa"))
    assert [str(question) for question in queries("www", conf)] == ["www.a.example. A"]
    assert [each.name for each in search_candidates("www", ResolvConf((), (), ("no-tld-query",)))] == ["www."]
    assert len(queries("www", conf, "musl")) == 4


def test_what_only_a_newer_musl_asks_says_so():
    """Up to 1.2.3 a name that cannot be sent ends the lookup."""
    conf = ResolvConf((), ("cluster.local", "."), ("ndots:5",))
    before, after = search_candidates("example.com", conf, "musl")
    assert before.why == "search list: cluster.local" and after.name == "example.com."
    assert after.why.endswith("by musl after 1.2.3: an older one ends with an error at the domain .")


def names(name: str, text: str, resolver: str = "glibc") -> list[str]:
    return [candidate.name for candidate in search_candidates(name, parse(text), resolver)]


def test_what_only_one_resolver_takes_for_a_blank_or_a_number():
    assert names("web", "search a\r\n") == ["web.a\\013.", "web."]
    assert names("web", "search a\r\n", "musl") == ["web.a.", "web."]
    assert names("web", "search a\noptions ndots:abc\n") == ["web.", "web.a."]
    assert names("web", "search a\noptions ndots:abc\n", "musl") == ["web.a.", "web."]


def test_without_a_search_list_glibc_takes_the_domain_of_the_hosts_name_and_that_is_said():
    conf = parse("nameserver 10.0.0.1\n")
    assert "the domain of the host's own name" in search_candidates("web", conf)[-1].why
    assert "own name" not in search_candidates("web", conf, "musl")[-1].why
    assert "own name" not in search_candidates("web", parse("search a\n"))[-1].why


def test_an_unknown_resolver_is_refused():
    with pytest.raises(KitError, match="glibc, musl"):
        search_candidates("www", POD, "bionic")
