"""How Sphinx makes the book of the notebooks: as they are stored, not run again."""

import re

project = html_title = "Follow one DNS query through Kubernetes"
extensions = ["myst_nb"]
nb_execution_mode = "off"
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]     # a widget's still twin
html_theme = "sphinx_book_theme"
html_theme_options = {"show_toc_level": 2, "use_download_button": False, "navbar_persistent": []}
html_static_path, html_css_files = ["_static"], ["kit.css"]
html_copy_source = False
BUTTON = ('<p class="kit-run"><a href="../browser/lab/index.html?path={page}.ipynb">'
          "Run this page in your browser</a>: nothing to install, nothing leaves this site.</p>")
SCROLLS = re.compile('<div class="kit-(?:drawing|table)"')


def add_button(app: object, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Put a link to the browser edition on top of every notebook's page (Sphinx's event html-page-context)."""
    if pagename.startswith("notebooks/"):
        body = SCROLLS.sub(r'\g<0> tabindex="0"', context["body"])      # so that the keyboard can scroll it
        context["body"] = BUTTON.format(page=pagename) + body


def setup(app: object) -> None:
    """Tell Sphinx of the button."""
    app.connect("html-page-context", add_button)
