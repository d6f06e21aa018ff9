"""Pictures and tables of facts: SVG in HTML, text, Mermaid. Nothing here fetches or decides."""
