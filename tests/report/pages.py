"""Reports, and their pages read back."""

import re
from html.parser import HTMLParser

import pytest

from hybrid_seq_gnn.report.__main__ import main
from tests.commands import refused

VOID = {"meta", "link", "br", "hr", "img", "input"}
RESAMPLES = "200"


class Page(HTMLParser):
    """A page that complains about tags that do not match, and keeps its tables and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tables, self.links, self.words = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def table(self, *header):
        """Rows of all tables that begin with these columns."""
        return [row for table in self.tables if table[0][: len(header)] == [*header] for row in table[1:]]


def report(folder, *arguments, draw=False):
    """The page of a report. Drawing takes most of the time, so only tests that look at figures draw them."""
    with pytest.MonkeyPatch.context() as patch:
        if not draw:
            patch.setattr("hybrid_seq_gnn.report.page.Section.figure", stand_in)
        main([*map(str, arguments), "--output", str(folder), "--resamples", RESAMPLES])
    return Page((folder / "report.html").read_text())


def stand_in(section, name, caption, draw, *numbers):
    """A caption without its figure."""
    section.add("text", caption, name=name)
    return True


def error(*arguments):
    return refused(main, *arguments)
