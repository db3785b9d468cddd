"""Where all text is laid out: 80 columns in a file, up to 100 on a terminal, and nothing that a terminal obeys."""

from collections.abc import Iterator
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

WIDEST = 100


class _Screen(Console):
    """A console that passes no control character on which stands in a name, a title or a path."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield what is to be printed, without what a terminal would obey."""
        for segment in super().render(renderable, options):
            if not segment.control and not segment.text.isprintable():
                text = "".join(sign for sign in segment.text if sign.isprintable() or sign == "\n")
                segment = segment._replace(text=text)
            yield segment


def console_on(stream: IO[str]) -> Console:
    """Return a console of at most 100 columns; 80 where the stream is no terminal."""
    console = _Screen(file=stream, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST) if console.is_terminal else 80
    return console


def printed(console: Console, *parts: RenderableType, soft_wrap: bool = False) -> str:
    """Return parts as a console would print them, one below the other, without spaces at the ends of lines."""
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=soft_wrap)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
