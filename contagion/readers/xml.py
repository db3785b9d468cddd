"""GraphML and GEXF as lists of nodes and edges with the line of each, read in one pass and without a tree.

Expat, which Python brings, is asked for elements alone. A document type declaration is refused where it begins,
before any entity in it could be expanded or fetched, so there is nothing for an entity bomb to do; depth and size
are limited. Only directed graphs are read: who owes whom has a direction.
"""

from typing import NamedTuple
from xml.parsers import expat

from contagion.errors import BadInput, Problem

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 32
MAX_TEXT = 10_000
"""Characters in one value."""
_OWN = ("id", "source", "target")
_VALUES = {"data": "key", "attvalue": "for"}


class Element(NamedTuple):
    """A node or an edge: its line, its path where there is no line, and its attributes by name, as text."""

    line: int
    path: str
    facts: dict[str, str]


class RawGraph(NamedTuple):
    """What a file says before anything is checked: nodes have an ``id``, edges a ``source`` and a ``target``."""

    nodes: list[Element]
    edges: list[Element]


def parse_xml(raw: bytes, file: str) -> RawGraph:
    """Return the nodes and edges of a GraphML or GEXF file; BadInput, with the line, where it is none.

    >>> text = b'<graphml><graph edgedefault="directed"><node id="a"/><edge source="a" target="b"/></graph></graphml>'
    >>> parse_xml(text, "a.graphml").edges[0].facts
    {'source': 'a', 'target': 'b'}
    """
    return _Walk(file).graph(raw)


class _Refused(Exception):
    """Something that is not read, found while parsing."""


class _Walk:
    """Expat's calls, and what they have brought so far."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.path: list[str] = []
        self.titles: dict[tuple[str, str], str] = {}
        self.declared: list[tuple[str, str]] = []
        self.defaults: dict[tuple[str, str], str] = {}
        self.kind = ""
        self.key = ""
        self.text = ""
        self.open: Element | None = None
        self.found = RawGraph([], [])
        self.graphs = 0

    def graph(self, raw: bytes) -> RawGraph:
        """Return what is in the file."""
        try:
            self.parser.Parse(raw, True)
        except _Refused as error:
            raise self._bad(self.parser.CurrentLineNumber, str(error)) from None
        except expat.ExpatError as error:
            what = f"is not well-formed XML: {expat.errors.messages[error.code]}; is the file cut off?"
            raise self._bad(error.lineno, what) from None
        except (ValueError, LookupError) as error:  # an encoding that there is not, or that says more than a byte
            raise self._bad(1, f"has an encoding that is not read: {error}; save it as UTF-8") from None
        if not self.graphs:
            raise self._bad(0, "has no graph; expected GraphML or GEXF")
        return self.found

    def _doctype(self, *_: object) -> None:
        raise _Refused("has a document type declaration, which may hide anything; expected none; remove it")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        self.path.append(tag)
        if len(self.path) == 1 and tag not in ("graphml", "gexf"):
            raise _Refused(f"begins with <{tag[:40]}>; expected <graphml> or <gexf>")
        if len(self.path) > MAX_DEPTH:
            raise _Refused(f"is nested more than {MAX_DEPTH} levels deep")
        if tag == "graph":
            self._directed(attributes)
        elif tag == "attributes":
            self.kind = attributes.get("class", "")
        elif tag == "attribute":
            self._declare((self.kind,), attributes.get("id", ""), attributes.get("title", ""))
        elif tag == "key":
            kinds = ("node", "edge") if attributes.get("for") in (None, "all") else (attributes["for"],)
            self._declare(kinds, attributes.get("id", ""), attributes.get("attr.name", ""))
        elif tag == "default":
            self.text = ""
        elif tag in ("node", "edge"):
            self._element(tag, attributes)
        elif tag in _VALUES and self.open is not None:
            self.key, self.text = self._title(attributes.get(_VALUES[tag], "")), ""
            if tag == "attvalue":
                self._state(self.open, attributes.get("value", ""))
        elif tag in ("hyperedge", "port"):
            raise _Refused(f"has a <{tag}>; expected nodes and edges only")

    def _directed(self, attributes: dict[str, str]) -> None:
        self.graphs += 1
        direction = attributes.get("edgedefault") or attributes.get("defaultedgetype") or "undirected"
        if self.graphs > 1:
            raise _Refused("has a second graph; expected one")
        if direction != "directed":
            raise _Refused(f"is {direction}; expected a directed graph, for a debt has a direction")

    def _declare(self, kinds: tuple[str, ...], key: str, title: str) -> None:
        self.declared = [(kind, title) for kind in kinds]
        self.titles |= {(kind, key): title for kind in kinds}

    def _element(self, tag: str, attributes: dict[str, str]) -> None:
        if self.open is not None:
            raise _Refused(f"has a <{tag}> inside another; expected a flat list")
        undirected = attributes.get("directed") in ("false", "0") or attributes.get("type", "directed") != "directed"
        if tag == "edge" and undirected:
            raise _Refused("has an edge without a direction; expected directed edges")
        unsaid = {title: value for (kind, title), value in self.defaults.items() if kind == tag and title not in _OWN}
        self.open = Element(self.parser.CurrentLineNumber, tag, unsaid | attributes)
        (self.found.nodes if tag == "node" else self.found.edges).append(self.open)

    def _title(self, key: str) -> str:
        kind = self.open.path if self.open else ""
        title = self.titles.get((kind, key))
        if title is None:
            raise _Refused(f"has a value for the attribute {key[:40]!r}, which is not declared; is the file cut off?")
        return title

    def _characters(self, text: str) -> None:
        if self.path[-1] not in ("data", "default"):
            return
        self.text += text
        if len(self.text) > MAX_TEXT:
            raise _Refused(f"has a value of more than {MAX_TEXT:,} characters")

    def _end(self, tag: str) -> None:
        tag = self.path.pop()
        if tag == "data" and self.open is not None:
            self._state(self.open, self.text.strip())
        elif tag == "default":
            self.defaults |= dict.fromkeys(self.declared, self.text.strip())
        elif tag in ("node", "edge"):
            self.open = None

    def _state(self, element: Element, value: str) -> None:
        if self.key not in _OWN:  # else a value could pretend to be an end of the edge
            element.facts[self.key] = value

    def _bad(self, line: int, what: str) -> BadInput:
        return BadInput([Problem(self.file, line, 0, "", what)])
