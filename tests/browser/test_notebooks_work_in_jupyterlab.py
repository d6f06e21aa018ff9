"""Every notebook works in JupyterLab in a real browser: it runs, its widgets answer, and nothing is clipped."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyterlab import FAULTS, drop, jupyterlab, open_notebook, run_all, show
from playwright.sync_api import Locator, Page, expect

from conftest import NOTEBOOKS, REPO

WIDGET = "application/vnd.jupyter.widget-view+json"
CONTROLS = "button:not([disabled]), input:not([disabled]), select, textarea, summary, [tabindex='0']"
# What a widget says, without the state of its controls: those move in the browser even if nobody listens.
SAYS = """root => { const copy = root.cloneNode(true);
    copy.querySelectorAll('.widget-readout, select, button').forEach(element => element.remove());
    return copy.textContent + [...copy.querySelectorAll('svg, img')].map(picture => picture.outerHTML).join(''); }"""
KEYS = {"text": "x", "number": "ArrowUp", "radio": "Space", "checkbox": "Space", "select": "ArrowDown",
        "slider": "ArrowRight", "textarea": "x"}
SCREEN, MOST_SCREENS = {"width": 1400, "height": 1000}, 10       # the bar of a lesson, notebooks 00 to 09

# The keys that each control promises, in an order in which each changes the state of the widget.
PROMISED = {"select": ("ArrowDown", "ArrowUp"), "input[type=radio]": ("ArrowDown", "ArrowUp"),
            "[role=slider]": ("ArrowRight", "ArrowLeft"), "button:text-is('Next')": ("Space",),
            "button:text-is('Previous')": ("Enter",)}
STATE = """root => [...root.querySelectorAll('select, input, [role=slider]')].map(element => element.checked
    || element.selectedIndex || element.ariaValueNow || '').join()"""
CELLS = "() => [jupyterapp.shell.currentWidget.content.activeCellIndex, " \
        "jupyterapp.shell.currentWidget.content.widgets.length].join()"


@pytest.fixture(scope="session")
def address(tmp_path_factory) -> Iterator[str]:
    """A JupyterLab on a copy of the notebooks, and on one notebook that it does not trust."""
    folder = tmp_path_factory.mktemp("notebooks")
    for path in NOTEBOOKS:
        shutil.copy(path, folder)
    with jupyterlab(folder, tmp_path_factory.mktemp("home")) as address:
        stranger = json.loads(next(path for path in NOTEBOOKS if path.name.startswith("05")).read_text())
        stranger["metadata"]["from"] = "somewhere else"
        (folder / "stranger.ipynb").write_text(json.dumps(stranger))
        yield address


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A fresh page for each test."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    yield page
    page.close()


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


def test_its_stored_pictures_show_before_anything_runs(stored: Path, address: str, page: Page) -> None:
    open_notebook(page, address.format(stored.name))
    wanted = page.evaluate("""() => jupyterapp.shell.currentWidget.context.model.toJSON().cells
        .flatMap(cell => cell.outputs ?? []).map(output => [output.data?.['text/html'] ?? ''].flat().join(''))
        .join('').split('class="kit-drawing"').length - 1""")
    page.wait_for_timeout(500)
    assert page.locator(".jp-OutputArea-output .kit-drawing img").count() >= wanted


def test_pictures_and_their_words_show_in_a_notebook_that_is_not_trusted(address: str, page: Page) -> None:
    open_notebook(page, address.format("stranger.ipynb"))
    page.wait_for_timeout(500)
    assert not page.evaluate("() => jupyterapp.shell.currentWidget.content.widgets.every(cell => cell.model.trusted)")
    pictures = page.locator(".jp-OutputArea-output img").all()
    assert len(pictures) >= 3
    for picture in pictures:
        assert picture.evaluate("image => image.complete && image.naturalWidth > 400")
        assert len(picture.get_attribute("alt")) > 80


def test_the_stepper_fits_a_projector(address: str, page: Page) -> None:
    """1280 x 720, where a node rewrites the destination: map, ladder and the changed fields on one screen."""
    page.set_viewport_size({"width": 1280, "height": 720})
    open_notebook(page, address.format(next(path.name for path in NOTEBOOKS if path.name.startswith("08"))))
    run_all(page)
    stepper = page.locator(".kit-widget:has(.widget-play)").last
    for _ in range(2):
        stepper.get_by_text("Next", exact=True).click()
    expect(stepper).to_contain_text("10.244.0.3 (was 10.96.0.10)", timeout=30_000)     # the kernel draws it anew
    stepper.evaluate("element => element.scrollIntoView({block: 'start'})")
    screen = page.locator(".jp-WindowedPanel-outer").last.bounding_box()
    parts = stepper.locator("button, .kit-drawing, tbody tr")
    for part in filter(None, (part.bounding_box() for part in parts.all() if part.is_visible())):
        assert screen["x"] <= part["x"] and part["x"] + part["width"] <= screen["x"] + screen["width"]
        assert screen["y"] - 2 <= part["y"] and part["y"] + part["height"] <= screen["y"] + screen["height"]


def test_a_click_on_a_hook_shows_its_rules_and_arrows_go_on_from_there(address: str, page: Page) -> None:
    open_notebook(page, address.format(next(path.name for path in NOTEBOOKS if path.name.startswith("09"))))
    run_all(page)
    walk = page.locator(".kit-widget:has(button[title='POSTROUTING: show its rules'])").first
    for act, shown in ((lambda: walk.get_by_title("POSTROUTING: show its rules").click(), "Here: nat at POSTROUTING"),
                       (lambda: page.keyboard.press("ArrowUp"), "Here: mangle at POSTROUTING")):
        act()
        expect(walk.get_by_role("img").first).to_have_attribute("alt", re.compile(shown), timeout=30_000)


def test_files_of_your_own_can_be_dropped(address: str, page: Page) -> None:
    open_notebook(page, address.format(next(path.name for path in NOTEBOOKS if path.name.startswith("11"))))
    run_all(page)
    widget = page.locator(".kit-widget:has(> .widget-upload)").first
    for text, shown in (("search my.own.domain", "search list: my.own.domain"), ("Dear diary", "found: Dear diary")):
        drop(page, {"my-own@node7_resolv.conf": text})
        expect(widget).to_contain_text(shown, timeout=60_000)


def test_it_runs_answers_and_is_not_clipped_or_too_long(stored: Path, address: str, page: Page) -> None:
    open_notebook(page, address.format(stored.name))
    outputs = [output for cell in run_all(page) for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert not errors
    widgets = [output for output in outputs if WIDGET in output.get("data", {})]
    assert page.locator(".jp-OutputArea-output .jupyter-widgets.kit-widget").count() >= len(widgets)
    assert not page.get_by_text("Error displaying widget").count() and not page.get_by_text("Loading widget").count()
    if stored.name < "10":
        assert height(page) <= MOST_SCREENS * SCREEN["height"]
    looks = [(width, theme) for width in (800, 1280, 1400) for theme in ("Light", "Dark")]
    faults = [fault for width, theme in looks for fault in look(page, stored, width, theme)]
    assert not faults, "\n".join(faults)


def height(page: Page) -> float:
    """Give the height of the notebook, all cells one below the other, on the screen that lessons are made for."""
    page.set_viewport_size(SCREEN)
    page.wait_for_timeout(500)
    return page.evaluate("() => jupyterapp.shell.currentWidget.content.widgets.reduce("
                         "(sum, cell) => sum + cell.node.getBoundingClientRect().height, 0)")


def look(page: Page, notebook: Path, width: int, theme: str) -> list[str]:
    """Keep a screenshot; give what is clipped, cut or drawn over."""
    show(page, width, theme)
    (REPO / "screenshots").mkdir(exist_ok=True)
    page.screenshot(path=REPO / "screenshots" / f"{notebook.stem}-{width}-{theme.lower()}.png")
    return [f"{notebook.name} at {width} px, {theme.lower()}: {fault}" for fault in page.evaluate(FAULTS)]


@pytest.mark.parametrize("way", ["click", "keyboard"])
def test_its_widgets_answer(stored: Path, way: str, address: str, page: Page) -> None:
    open_notebook(page, address.format(stored.name))
    run_all(page)
    # One that wants a file of this machine's is tried in test_the_browser_edition_runs_the_course.py
    roots = page.locator(".jp-OutputArea-output .kit-widget:not(.kit-widget .kit-widget):not(:has(.widget-upload))")
    deaf = [number for number in range(roots.count()) if not answers(page, roots.nth(number), way)]
    assert not deaf, f"{stored.name}: widgets {deaf} of {roots.count()} do not answer to the {way}"


def test_every_key_that_a_widget_promises_works_and_stays_in_it(stored: Path, address: str, page: Page) -> None:
    open_notebook(page, address.format(stored.name))
    run_all(page)
    faults = [f"{name}: {fault}" for number, root in enumerate(page.locator(".jp-OutputArea-output .kit-widget").all())
              for name in PROMISED for fault in key_faults(page, root, name, f"widget {number}")]
    assert not faults, f"{stored.name}: " + "\n".join(faults)


def key_faults(page: Page, root: Locator, name: str, where: str) -> list[str]:
    """Press the keys of the first control of this sort; say which of them does nothing, or acts on the notebook."""
    control, faults = root.locator(name).first, []
    if not control.count() or not control.is_visible():
        return []
    control.dispatch_event("mousedown")     # makes its cell the active one, and chooses nothing
    control.focus()
    page.keyboard.press("Home")             # from the first entry on
    for key in (*PROMISED[name], "x"):
        cells, state = page.evaluate(CELLS), root.evaluate(STATE)
        page.keyboard.press(key)
        page.wait_for_timeout(150)
        if key != "x" and root.evaluate(STATE) == state:
            faults.append(f"{where}: {key} does nothing")
        if page.evaluate(CELLS) != cells:
            faults.append(f"{where}: {key} acts on the notebook")
    return faults


def answers(page: Page, root: Locator, way: str) -> bool:
    """Does using one control of the widget after the other change what it says?"""
    before = root.evaluate(SAYS)
    controls = [control for control in root.locator(CONTROLS).all() if control.is_visible()]
    for number, control in enumerate(controls):
        if way == "click":
            click(page, control)
        else:
            press(page, control, controls[number - 1] if number else None)
        for _ in range(10):
            page.wait_for_timeout(100)
            if root.evaluate(SAYS) != before:
                return True
    return False


def kind(control: Locator) -> str:
    """What sort of control it is: an input's type, a role, or the name of its element."""
    return control.evaluate("element => element.getAttribute('role') === 'slider' ? 'slider'"
                            " : element.localName === 'input' ? element.type : element.localName")


def click(page: Page, control: Locator) -> None:
    """Use a control with the mouse, as far as the mouse goes."""
    control.scroll_into_view_if_needed()
    if kind(control) == "select":
        control.select_option(index=control.evaluate("element => (element.selectedIndex + 1) % element.length"))
    elif kind(control) == "slider":
        track = control.locator("xpath=ancestor::*[contains(@class, 'noUi-target')]")
        width = track.bounding_box()["width"]
        track.click(position={"x": width * 0.7, "y": 2}, force=True)
    else:
        control.click()


def press(page: Page, control: Locator, previous: Locator | None) -> None:
    """Come to a control with Tab from the one before it, and press the key that works it."""
    (previous or control).focus()
    if previous:
        page.keyboard.press("Tab")
    reached = control.evaluate("element => element === document.activeElement && element.tabIndex >= 0")
    assert reached, f"Tab does not lead to {control.evaluate('element => element.outerHTML')[:200]}"
    key = KEYS.get(kind(control), "Enter")
    page.keyboard.press(key)
    if key == "x":
        page.keyboard.press("Enter")
