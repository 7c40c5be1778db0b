"""A page of a report in tests: what a browser would see of it."""

import json
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

EMPTY = ('meta', 'img', 'br', 'hr')


class Page(HTMLParser):
    """The elements of a page, every one of which is closed.

    Attributes:
      elements: in their order. text: the words that are seen. data: what stands in it for its curves.
    """

    def __init__(self, text: str):
        super().__init__()
        self._tree, self._open = TreeBuilder(), []
        self.data: list[Any] = []
        self.handle_starttag('page', [])
        self.feed(text)
        self.close()
        self.handle_endtag('page')
        assert not self._open, self._open
        root = self._tree.close()
        self.elements = list(root.iter())
        self.text = ' '.join(' '.join(root.itertext()).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(self._tree.start(tag, {name: value or '' for name, value in attrs}))
        if tag in EMPTY:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag, tag
        self._tree.end(tag)

    def handle_data(self, data: str) -> None:
        within = self._open[-1]
        if within.tag not in ('style', 'script'):
            self._tree.data(data)
        elif within.get('type') == 'application/json':
            self.data.append(json.loads(data))

    def of_tag(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def of_class(self, name: str) -> list[Element]:
        return [element for element in self.elements if name in element.get('class', '').split()]
