"""A report parsed, as a reader without JavaScript has it; and scoring scripts of jobs to report of."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

NUMBERS = """
    import os
    def init(): pass
    def run(mini_batch):
        name = os.path.basename(mini_batch[0])
        return [f"{row},{row % 10 + 0.5},{name}" for row in range(50)]
"""
FAILS = """
    import os
    def init(): pass
    def run(mini_batch):
        value = int(open(mini_batch[0]).read())
        if value % 2:
            raise ValueError(f"record {value} has no age")
        return [f"{value}" for path in mini_batch]
"""
HOSTILE = r"""
    import os
    def init(): pass
    def run(mini_batch):
        if "bad" in os.path.basename(mini_batch[0]):
            raise ValueError("<script>alert(1)</script> \u202egnp.exe \ud800 " + "x" * 10000)
        return ["<script>alert(2)</script>", "\u202edetrevni", '"><img src=x onerror=alert(3)>', "y" * 10000]
"""
RETRIED = """
    import os, pathlib
    def init(): pass
    def run(mini_batch):
        note = pathlib.Path("THERE", os.path.basename(mini_batch[0]))
        if not note.exists():
            note.touch()
            raise RuntimeError("not yet")
        return ["done"]
"""
WAITS = """
    import os, time
    def init(): pass
    def run(mini_batch):
        while "00" not in os.path.basename(mini_batch[0]) and not os.path.exists("THERE/go"):
            time.sleep(0.01)
        return ["done"]
"""
# Elements that have no end.
VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """`text` is all that is shown, `headings` by order, `tables` by caption as lists of rows of cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.headings: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(html)
        self.close()
        assert self._open == [], "every element is closed"

    @classmethod
    def read(cls, folder: Path) -> Page:
        return cls((folder / "report.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in VOID:
            return
        self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._rows[-1].append("")
        elif tag in {"h1", "h2", "h3"}:
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> ends {self._open[-1:]}"
        self._open.pop()
        if tag == "table":
            self.tables[self._caption] = [[" ".join(cell.split()) for cell in row] for row in self._rows]

    def handle_data(self, data: str) -> None:
        if {"script", "style"} & set(self._open):
            return
        self.text += data
        if "caption" in self._open:
            self._caption += data
        elif {"td", "th"} & set(self._open):
            self._rows[-1][-1] += data + " "
        elif {"h1", "h2", "h3"} & set(self._open):
            self.headings[-1] += data

    @property
    def words(self) -> str:
        """The text with single spaces."""
        return " ".join(self.text.split())

    @property
    def titles(self) -> list[str]:
        """The texts of bars, and what pictures say."""
        return re.findall(r"<title>([^<]*)</title>", self.html) + [
            attrs.get("aria-label") or "" for tag, attrs in self.tags if tag == "svg"
        ]

    @property
    def links(self) -> list[tuple[str, str]]:
        """All that would load something or lead elsewhere."""
        return [
            (tag, name)
            for tag, attrs in self.tags
            for name in attrs
            if name in {"src", "href", "xlink:href", "action", "srcset", "data", "style"} or name.startswith("on")
        ] + [("css", match) for match in re.findall(r"url\(|@import", self.html)]
