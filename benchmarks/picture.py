"""Results as one picture: ratios beside what they are to reach, limits, and the rates of everybody.

Decides that ratios are on a logarithmic scale around 1, where twice as fast is as far from the peer as half as fast.
A bar is a median, its whisker the 90 % interval, the black mark the target; colours repeat what the words beside say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.contest import Result
from benchmarks.ratios import Estimate, Verdict
from benchmarks.svg import Drawing
from benchmarks.targets import OURS, Standing

WIDTH: Final = 1110.0
# Columns: names end here, bars are between these two, words follow.
_NAME_END, _BAR_START, _BAR_END, _WORDS = 400.0, 415.0, 815.0, 830.0
_ROW, _BAR = 24.0, 12.0

_COLOURS: Final = {Verdict.MET: "#2f7f5f", Verdict.OPEN: "#d99a00", Verdict.MISSED: "#c0392b"}
_OURS, _THEIRS, _GRID, _AXIS, _INK, _SOFT = "#1f5f99", "#a9b4bf", "#e3e6ea", "#7a838c", "#222222", "#666e77"
# Of limits: as far as the axis goes.
_LIMIT_SPAN: Final = 1.6


def draw(title: str, subtitle: str, results: Sequence[Result], standings: Sequence[Standing]) -> str:
    """Return the picture as SVG."""
    drawing = Drawing(WIDTH)
    drawing.text(24, 36, title, size=20, is_bold=True)
    drawing.text(24, 56, subtitle, size=11, fill=_SOFT)
    measured = [standing for standing in standings if standing.estimate is not None]
    _draw_ratios(drawing, [standing for standing in measured if standing.target.is_ratio])
    _draw_limits(drawing, [standing for standing in measured if not standing.target.is_ratio])
    _draw_rates(drawing, [result for result in results if len(result.labels()) > 1])
    return drawing.render()


def _draw_ratios(drawing: Drawing, standings: Sequence[Standing]) -> None:
    if not standings:
        return
    top = _head(drawing, "Ratios to peers", "our figure : theirs, medians of pairs; right of 1 is more than the peer")
    values = [value for one in standings for value in (_of(one).low, _of(one).high, one.target.value, 0.5, 2.0)]
    low, high = math.floor(math.log2(min(values))), math.ceil(math.log2(max(values)))
    scale = _Scale(low, high)
    bottom = top + _ROW * len(standings)
    for power in range(low, high + 1):
        x = scale.at(2.0**power)
        drawing.line((x, top), (x, bottom), _AXIS if power == 0 else _GRID)
        drawing.text(x, bottom + 14, f"{2.0**power:g}", size=10, anchor="middle", fill=_SOFT)
    for number, standing in enumerate(standings):
        y = top + _ROW * number
        name = f"{standing.target.contest}: {standing.target.ours} : {standing.peer}"
        if standing.target.is_limit:
            name += f", {standing.target.figure.title}"
        _row(drawing, y, name, _words(standing), is_bold=True)
        _bar(drawing, y, standing, [scale.at(value) for value in (1.0, *_three(standing), standing.target.value)])


def _draw_limits(drawing: Drawing, standings: Sequence[Standing]) -> None:
    if not standings:
        return
    top = _head(drawing, "Limits", "our figure as a part of what is allowed, which is the black mark")
    width = (_BAR_END - _BAR_START) / _LIMIT_SPAN
    for number, standing in enumerate(standings):
        y = top + _ROW * number
        target = standing.target
        _row(drawing, y, f"{target.contest}: {target.ours}, {target.figure.title}", _words(standing), is_bold=True)
        parts = [value / target.value for value in _three(standing)]
        # What is far beyond ends at the edge; the words say how far.
        places = [_BAR_START + width * min(part, _LIMIT_SPAN) for part in (0.0, *parts, 1.0)]
        _bar(drawing, y, standing, places)


def _draw_rates(drawing: Drawing, results: Sequence[Result]) -> None:
    if not results:
        return
    _head(drawing, "Everybody", "medians, whiskers are 90 % intervals; each group has its own scale")
    for result in results:
        top = drawing.height + 14
        drawing.text(24, top + 12, f"{result.name}: {result.title}", size=12, is_bold=True)
        top += 20
        found = {label: estimate for label in result.labels() if (estimate := result.estimate(label, result.figure))}
        longest = max(estimate.high for estimate in found.values())
        for number, (label, estimate) in enumerate(found.items()):
            y = top + (_ROW - 4) * number
            is_ours = label.startswith(OURS)
            _row(drawing, y, label, result.figure.format(estimate.median), is_bold=is_ours)
            ends = [_BAR_START + (_BAR_END - _BAR_START) * value / longest for value in _values(estimate)]
            drawing.rect(_BAR_START, y + 6, ends[0] - _BAR_START, _BAR, _OURS if is_ours else _THEIRS)
            _whisker(drawing, y, ends[1], ends[2])
        for label, why in result.absent.items():
            y = drawing.height + 12
            drawing.text(_NAME_END, y, label, size=11, anchor="end", fill=_SOFT)
            drawing.text(_BAR_START, y, f"{why:.90}", size=11, fill=_SOFT)


class _Scale:
    """A logarithmic axis from one power of two to another."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def at(self, value: float) -> float:
        return _BAR_START + (_BAR_END - _BAR_START) * (math.log2(value) - self._low) / (self._high - self._low)


def _head(drawing: Drawing, title: str, explanation: str) -> float:
    """Write the head of a section; returns where its rows begin."""
    y = drawing.height + 40
    drawing.text(24, y, title, size=15, is_bold=True)
    drawing.text(24, y + 16, explanation, size=11, fill=_SOFT)
    return y + 26


def _row(drawing: Drawing, y: float, name: str, words: str, *, is_bold: bool) -> None:
    drawing.text(_NAME_END, y + 16, name, size=11.5, anchor="end", fill=_INK if is_bold else _SOFT)
    drawing.text(_WORDS, y + 16, words, size=11.5, fill=_INK if is_bold else _SOFT)


def _bar(drawing: Drawing, y: float, standing: Standing, places: Sequence[float]) -> None:
    """Draw a bar from its origin to the median, its interval, and the target: five places on the x axis."""
    origin, middle, low, high, target = places
    drawing.rect(min(origin, middle), y + 6, abs(middle - origin), _BAR, _COLOURS[standing.verdict])
    _whisker(drawing, y, low, high)
    drawing.line((target, y + 2), (target, y + _ROW - 2), "#000000", 2.5)


def _whisker(drawing: Drawing, y: float, low: float, high: float) -> None:
    drawing.line((low, y + 12), (high, y + 12), _INK)
    for x in (low, high):
        drawing.line((x, y + 9), (x, y + 15), _INK)


def _words(standing: Standing) -> str:
    found, target = _of(standing), standing.target
    sign = "<=" if target.is_limit else ">="
    value = f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"
    return f"{value}, {sign} {target.value:g}{'' if target.is_ratio else f' {target.figure.unit}'}: {standing.verdict}"


def _of(standing: Standing) -> Estimate:
    assert standing.estimate is not None, "only what was measured is drawn"
    return standing.estimate


def _three(standing: Standing) -> tuple[float, float, float]:
    return _values(_of(standing))


def _values(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.median, estimate.low, estimate.high


def subtitle_of(facts: Mapping[str, str | int | float]) -> str:
    """Return the line that says where and when."""
    return (
        f"{facts['cores']} cores ({facts['processor']}), Linux {facts['kernel']}, network: {facts['network']}, "
        f"load before: {facts['load']:.1f}, fdtcp {facts['fdtcp']}"
    )
