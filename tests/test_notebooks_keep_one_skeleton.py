"""Every notebook has one skeleton: title, do / learn / need, short cells, a check at the end, links that lead on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from conftest import NOTEBOOKS, REPO

LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)[^)]*\)")
CODE_LINES, CODE_WIDTH, CODE_CELLS = 8, 76, 30      # so wide is a cell on half of a laptop's screen
STEPS = ("addresses", "resolv.conf", "dig", "veth", "the node's eth0", "iptables", "routes there and back",
         "CoreDNS's own question", "the to-do")
READ_PAST = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.FunctionDef, ast.Lambda)


def cells(path: Path, kind: str) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


LESSON = [path for path in NOTEBOOKS if path.name < "20"]
WORKSHOP = [path for path in NOTEBOOKS if path.name >= "20"]


@pytest.mark.parametrize(("part", "first"), [(LESSON, 0), (WORKSHOP, 20)], ids=["lesson", "workshop"])
def test_the_notebooks_are_numbered_without_a_gap(part: list[Path], first: int) -> None:
    assert part, "there is no notebook in notebooks/"
    assert [path.name[:3] for path in part] == [f"{number:02}-" for number in range(first, first + len(part))]


def test_it_opens_with_do_learn_and_need(stored: Path) -> None:
    first = nbformat.read(stored, as_version=4).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    for word in ("do", "learn", "need"):
        bold = re.search(rf"\*\*(you (will )?)?{word}\b", first.source, re.IGNORECASE)
        assert bold, f"the first cell has no **{word}**"


def test_no_cell_is_long(stored: Path) -> None:
    long = [source for source in cells(stored, "code") if len(source.strip().splitlines()) > CODE_LINES]
    assert not long, f"over {CODE_LINES} lines:\n" + "\n\n".join(long)
    wide = [line for source in cells(stored, "code") for line in source.splitlines()
            if len(line) > CODE_WIDTH and not line.startswith("from ")]      # nobody reads those to their end
    assert not wide, f"over {CODE_WIDTH} letters:\n" + "\n".join(wide)


@pytest.mark.parametrize("path", LESSON, ids=lambda path: path.stem)
def test_a_lesson_is_short_and_a_cell_calls_verbs(path: Path) -> None:
    """No more cells than 25 minutes hold; nothing in them that a learner must read past to see what is done."""
    code = cells(path, "code")
    assert len(code) <= CODE_CELLS
    for source in code:
        nodes = list(ast.walk(ast.parse(source)))
        assert not [node for node in nodes if isinstance(node, READ_PAST)], source
        assert not re.search(r"\bnext\(|\bnote\(", source), source


@pytest.mark.parametrize("path", LESSON[1:], ids=lambda path: path.stem)
def test_a_strip_shows_the_step_of_the_walkthrough(path: Path) -> None:
    strip = cells(path, "markdown")[1]
    assert strip.startswith("*The walkthrough, step by step:* ")
    steps, _, words = strip.partition(":* ")[2].partition(" · ")
    assert words == "New words: [glossary](../docs/glossary.md)"
    steps = steps.split(" → ")
    assert [step.strip("*▶ ") for step in steps] == list(STEPS)
    here = [number for number, step in enumerate(steps, 1) if step.startswith("**▶ ")]
    assert here == ([int(path.name[:2])] if int(path.name[:2]) <= len(STEPS) else [])      # 10 goes on where it ends


def test_the_rewrite_is_not_told_before_it_is_caught() -> None:
    """The riddle of 01 (no interface has that address: who answers?) is solved in 05."""
    for path in LESSON[:5]:
        notebook = nbformat.read(path, as_version=4)
        outputs = [str(output) for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
        text = "\n".join([*cells(path, "markdown"), *outputs])
        text = re.sub(r"Catch the rewrite|05-catch-the-rewrite|\| DNAT, and the first ladder|NAT may rewrite it", "",
                      text)
        assert not re.search(r"rewrite|rewritten|DNAT", text), path.name


def test_every_code_cell_does_something(stored: Path) -> None:
    assert cells(stored, "code") and all(source.strip() for source in cells(stored, "code"))


def test_it_ends_with_a_check(stored: Path) -> None:
    assert re.search(r"\bcheck\b", cells(stored, "code")[-1]), "the last code cell should be a check of what was learnt"


def test_it_leads_to_its_neighbours(stored: Path) -> None:
    """The last cell ends with Contents | Previous | Next, within the lesson and within the workshop."""
    links = {text.split(":")[0].strip(): target for text, target in LINK.findall(cells(stored, "markdown")[-1])}
    part = LESSON if stored in LESSON else WORKSHOP
    here, names = part.index(stored), [path.name for path in part]
    assert (stored.parent / links["Contents"]).resolve() in ((REPO / "README.md"), NOTEBOOKS[0])
    assert links.get("Previous") == (names[here - 1] if here else None)
    assert links.get("Next") == (names[here + 1] if here + 1 < len(names) else None)


def test_every_link_and_picture_in_it_is_there(stored: Path) -> None:
    targets = [target for source in cells(stored, "markdown") for _, target in LINK.findall(source)]
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert not [target for target in local if target.startswith("/") or not (stored.parent / target).exists()]


@pytest.mark.parametrize("page", ["README.md", "DESIGN.md", "CONTRIBUTING.md", "docs/teaching.md", "docs/classroom.md",
                                  "docs/glossary.md"])
def test_every_link_and_path_of_a_page_is_there(page: str) -> None:
    text = (REPO / page).read_text(encoding="utf-8")
    local = [target for _, target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]
    assert not [target for target in local if not ((REPO / page).parent / target).exists()]
    paths = re.findall(r"\b(?:kitlib|notebooks|lab-setup|tests|benchmarks)/[\w./*-]*[\w/*]", text)
    assert not [path for path in paths if not list(REPO.glob(path))]


def test_the_readme_lists_every_notebook_and_both_commands() -> None:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert not [path.name for path in NOTEBOOKS if f"(notebooks/{path.name})" not in readme]
    assert "make lab" in readme and "make test" in readme
    assert "make test" in (REPO / ".ci" / "run").read_text().splitlines()


def test_the_glossary_explains_each_word_in_one_sentence_in_two_languages() -> None:
    rows = [line.strip("| ").split(" | ") for line in (REPO / "docs/glossary.md").read_text().splitlines()
            if line.startswith("| ")][1:]
    words = [word.casefold() for word, *_ in rows]
    assert len(rows) > 40 and words == sorted(words)
    for word, chinese, sentence in rows:
        assert re.search(r"[\u4e00-\u9fff]", chinese) or chinese in ("CoreDNS", "iptables", "kind", "kube-proxy",
                                                                     "kubelet", "ndots", "nftables", "Pod"), word
        assert sentence.endswith(".") and not re.search(r"\. [A-Z]", sentence), word


def test_a_word_of_the_glossary_is_linked_where_it_first_stands() -> None:
    """Headings, tables and code aside; and words that mean something else in other sentences."""
    rows = re.findall(r"^\| ([\w-][\w -]*) \|", (REPO / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    text = "\n".join(source for path in LESSON for source in cells(path, "markdown"))
    text = re.sub(r"^(?:#|\||\*The walkthrough|\*\*You need).*$|(\[`[^`]*`\])|`[^`]*`"
                  r"|\[[^\]]*\]\((?!\.\./docs/glossary)[^)]*\)", r"\1", text, flags=re.MULTILINE)
    for word in set(rows) - {"word", "hop", "kind", "lab", "leg", "mark", "take"}:
        found = re.search(rf"(?<![\w-])(\[\W*)?{re.escape(word)}s?(?![\w-])", text)
        assert not found or found[1], f"{word}: …{text[found.start() - 40:found.end() + 40]}…"
