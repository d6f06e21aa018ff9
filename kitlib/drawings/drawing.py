"""A picture with its words: SVG for the notebook, text for the terminal, files for slides; and a note, words alone."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from kitlib.drawings.svg import DESCRIPTION, SIZES, SMALLEST
from kitlib.errors import KitError
from kitlib.escapes import printable

# What begins HTML, a link or an image in Markdown: values in a note may hold it, and backquotes that end its own.
MARKUP, NO_SPACE = re.compile(r"<(?=[A-Za-z/!?])|\](?=[(\[])|!(?=\[)|:(?=//)"), "\N{ZERO WIDTH SPACE}"
PNG_ZOOM = 2      # a slide or a high-density screen shows two pixels for one


@dataclass(frozen=True, repr=False)
class Drawing:
    """One picture: `svg` for the eye, `alt` for the screen reader, `text` for the terminal, `mermaid` to copy.

    `folded` is a picture of the details, which opens below it.
    """

    title: str
    alt: str
    svg: str = field(hash=False)
    text: str
    mermaid: str = ""
    folded: Drawing | None = None

    def __post_init__(self) -> None:
        for name in ("title", "alt", "text"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    def __repr__(self) -> str:
        return self.text

    @property
    def html(self) -> str:
        """Return the picture as an image with its words, which scrolls sideways where the page is too narrow for it.

        An image, and not SVG in the page: of that, a notebook that is not trusted keeps the words and drops the rest.
        """
        wide, high = SIZES.search(self.svg).groups()
        alt = escape(f"{self.title}. {self.alt}")
        source = b64encode(DESCRIPTION.sub("", self.svg, count=1).encode()).decode()     # the alt text has its words
        return (f'<div class="kit-drawing" style="overflow-x:auto"><img alt="{alt}" width="{wide}" height="{high}" '
                f'style="max-width:100%;min-width:{int(wide) * SMALLEST:g}px;height:auto" '
                f'src="data:image/svg+xml;base64,{source}"/>{self._details}</div>')

    @property
    def _details(self) -> str:
        return f"<details><summary>{escape(self.folded.title)}</summary>{self.folded.html}</details>" if self.folded \
            else ""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def save(self, path: str | Path) -> Path:
        """Write the picture as .svg, .png, .txt or .mmd (Mermaid); KitError for any other suffix."""
        path = Path(path)
        files = {".svg": self.svg, ".png": self.svg, ".txt": f"{self.text}\n"}
        if self.mermaid:
            files[".mmd"] = f"{self.mermaid}\n"
        suffix = path.suffix.lower()
        if suffix not in files:
            raise KitError(f"cannot save {path.name}: this picture can be saved as {', '.join(files)}")
        path.write_bytes(png(self.svg) if suffix == ".png" else files[suffix].encode())
        return path


def png(svg: str) -> bytes:
    """Return the SVG as PNG, drawn with matplotlib's DejaVu fonts, so that every machine shows the same text."""
    try:
        import resvg_py
        from matplotlib import get_data_path
    except ImportError as error:      # in a browser there is neither
        raise KitError(f"cannot draw a .png here, for lack of {error.name}: save the picture as .svg") from error
    fonts = Path(get_data_path()) / "fonts" / "ttf"
    return resvg_py.svg_to_bytes(svg_string=svg, zoom=PNG_ZOOM, skip_system_fonts=True, font_dirs=[str(fonts)],
                                 font_family="DejaVu Sans", sans_serif_family="DejaVu Sans")


@dataclass(frozen=True)
class note:
    """Show a sentence with numbers from the lab's data as text of the notebook: note(f"The query took {n} µs.")."""

    words: str

    def _repr_markdown_(self) -> str:
        return MARKUP.sub(f"\\g<0>{NO_SPACE}", printable(self.words))

    def __repr__(self) -> str:
        return printable(self.words.replace("**", "").replace("`", ""))
