"""The few shapes that a chart needs, as SVG text.

Decides nothing about what is drawn; numbers are pixels, y grows downwards.
"""

from __future__ import annotations

from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

FONT: Final = "DejaVu Sans, Helvetica, Arial, sans-serif"

Anchor = Literal["start", "middle", "end"]


class Drawing:
    """A drawing of a fixed width that grows downwards as things are put into it."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.height = 0.0
        self._shapes: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Draw a filled rectangle."""
        self._add("rect", y + height, x=x, y=y, width=width, height=height, fill=fill)

    def line(self, start: tuple[float, float], end: tuple[float, float], stroke: str, width: float = 1.0) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        self._add("line", max(y1, y2), x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width)

    def text(
        self, x: float, y: float, text: str, *, size: float = 12, anchor: Anchor = "start", fill: str = "#222222",
        is_bold: bool = False,
    ) -> None:  # fmt: skip
        """Write one line; y is that of its base."""
        weight = {"font_weight": "bold"} if is_bold else {}
        self._add("text", y + size / 2, escape(text), x=x, y=y, font_size=size, text_anchor=anchor, fill=fill, **weight)

    def render(self) -> str:
        """Return the whole as a file."""
        height = round(self.height + _MARGIN)
        size = f'width="{self.width:g}" height="{height}" viewBox="0 0 {self.width:g} {height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family={quoteattr(FONT)}>'
        return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *self._shapes, "</svg>", ""])

    def _add(self, shape: str, bottom: float, content: str = "", **attributes: float | str) -> None:
        self.height = max(self.height, bottom)
        words = " ".join(f"{name.replace('_', '-')}={quoteattr(_value(value))}" for name, value in attributes.items())
        self._shapes.append(f"<{shape} {words}>{content}</{shape}>" if content else f"<{shape} {words}/>")


# Below what was drawn last.
_MARGIN: Final = 16


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
