"""Runs of which pages are made, and pages taken apart: what a test of the report starts from."""

import csv
import io
import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import contagion as cg
from contagion.report import html
from contagion.runs import Run
from tests.scenarios import CASCADE

VOID = {"meta", "input", "br", "link", "img"}


@dataclass
class Element:
    """An element with its attributes, the elements below it and all text in it."""

    name: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def all(self, name: str = "", class_: str = "", **attributes: str) -> list["Element"]:
        """Return what is at or below this element with a name, a class and attributes."""
        own = not name or name == self.name
        own = own and (not class_ or class_ in self.attributes.get("class", "").split())
        own = own and all(self.attributes.get(key) == value for key, value in attributes.items())
        return [self] * own + [e for child in self.children for e in child.all(name, class_, **attributes)]

    def one(self, name: str = "", class_: str = "", **attributes: str) -> "Element":
        """Return the only such element."""
        (found,) = self.all(name, class_, **attributes)
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def parsed(page: str) -> Element:
    """Return a page as elements; AssertionError where they are not nested."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert parser.open == [parser.root], [element.name for element in parser.open]
    return parser.root


def rows_of(link: Element) -> list[list[str]]:
    """Return the rows behind the link to a CSV."""
    head, _, text = link.attributes["href"].partition(",")
    assert head == "data:text/csv;charset=utf-8"
    return list(csv.reader(io.StringIO(unquote(text))))


@cache
def cascade() -> Run:
    """Return the run of two borrowers, who follow each other."""
    return cg.run(cg.loads(CASCADE))


@cache
def page_of_cascade() -> Element:
    """Return its page."""
    return parsed(html(cascade()))


def renamed(old: str, new: str) -> Any:
    """Return the run of two borrowers with one of them called otherwise."""
    text = CASCADE.replace(f"[nodes.{old}]", f"[nodes.'{new}']").replace(f'"{old}"', f"'{new}'")
    return cg.run(cg.loads(text), twins=False)


def blocks(page: str, name: str) -> list[str]:
    """Return what stands inside every inline block of a kind, byte for byte, data blocks left out."""
    return re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
