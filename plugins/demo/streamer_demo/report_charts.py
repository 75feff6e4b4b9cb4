"""The charts of the PDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from reportlab.graphics.charts.barcharts import HorizontalBarChart, VerticalBarChart
from reportlab.graphics.charts.legends import Legend
from reportlab.graphics.shapes import Drawing, String
from reportlab.lib.colors import Color, HexColor

from .aggregation import Tally
from .money import EXPONENTS

NET = HexColor("#3B7DD8")
REFUNDED = HexColor("#E0893B")
TEXT = HexColor("#33414F")
GRID = HexColor("#DDE3EA")
_FONT = "Helvetica"
_MOST_BARS = 120
_LABEL_ROOM = 4.4
_LABEL_GAP = 8
_TICKS = 6


def over_time(periods: dict[str, Tally], currency: str, width: float, height: float) -> Drawing:
    """Net and refunded amounts stacked per period, in points.

    If there are too many periods for separate bars, neighbouring ones are combined.
    """
    drawing = Drawing(width, height)
    step = max(1, math.ceil(len(periods) / _MOST_BARS))
    net = _sums([tally.net for tally in periods.values()], step, currency)
    refunded = _sums([tally.refunded for tally in periods.values()], step, currency)
    chart = VerticalBarChart()
    chart.x, chart.y, chart.width, chart.height = 52, 34, round(width - 60), round(height - 62)
    labels = _labels(list(periods)[::step], chart.width)
    chart.data = [net, refunded]
    chart.categoryAxis.style = "stacked"
    chart.categoryAxis.categoryNames = labels
    chart.categoryAxis.visibleTicks = False
    chart.categoryAxis.strokeColor = GRID
    chart.categoryAxis.labels.setProperties({"fontName": _FONT, "fontSize": 7, "fillColor": TEXT, "dy": -4})
    chart.groupSpacing = 1 if len(labels) > _MOST_BARS / 3 else 4
    _value_axis(chart, max(map(sum, zip(net, refunded, strict=True)), default=0))
    for number, color in enumerate((NET, REFUNDED)):
        chart.bars[number].fillColor = color
        chart.bars[number].strokeColor = None
    drawing.add(chart)
    drawing.add(_legend(52, height - 6, [(NET, f"Net, {currency}"), (REFUNDED, f"Refunded, {currency}")]))
    if step > 1:
        drawing.add(_text(width - 8, height - 13, f"each bar is {step} periods", 7.5, "end"))
    return drawing


def shares(tallies: dict[str, Tally], currency: str, width: float, height: float) -> Drawing:
    """The gross amount of each key as a bar, the largest at the top, with its share of the total."""
    drawing = Drawing(width, height)
    whole = sum(tally.gross for tally in tallies.values()) or 1
    keys = list(tallies)[::-1]
    chart = HorizontalBarChart()
    chart.x, chart.y, chart.width, chart.height = 74, 4, round(width - 118), round(height - 8)
    chart.data = [[_major(tallies[key].gross, currency) for key in keys]]
    chart.categoryAxis.categoryNames = [key.replace("_", " ") for key in keys]
    chart.categoryAxis.visibleTicks = False
    chart.categoryAxis.strokeColor = GRID
    chart.categoryAxis.labels.setProperties({"fontName": _FONT, "fontSize": 7.5, "fillColor": TEXT, "dx": -3})
    chart.valueAxis.valueMin = 0
    chart.valueAxis.visible = False
    chart.bars[0].fillColor = NET
    chart.bars[0].strokeColor = None
    chart.groupSpacing = 4
    chart.barLabels.setProperties({"fontName": _FONT, "fontSize": 7.5, "fillColor": TEXT, "boxAnchor": "w", "dx": 4})
    chart.barLabelFormat = "values"
    chart.barLabelArray = [[f"{tallies[key].gross / whole:.1%}" for key in keys]]
    drawing.add(chart)
    return drawing


def _sums(amounts: list[int], step: int, currency: str) -> list[float]:
    return [_major(sum(amounts[start : start + step]), currency) for start in range(0, len(amounts), step)]


def _labels(keys: list[str], width: float) -> list[str]:
    """The keys that fit next to each other."""
    room = len(keys[0]) * _LABEL_ROOM + _LABEL_GAP
    every = max(1, math.ceil(len(keys) * room / width))
    return [key if number % every == 0 else "" for number, key in enumerate(keys)]


def _value_axis(chart: VerticalBarChart, highest: float) -> None:
    axis = chart.valueAxis
    axis.valueMin = 0
    axis.valueMax, axis.valueStep = _scale(highest)
    axis.labelTextFormat = _short
    axis.visibleAxis = False
    axis.visibleTicks = False
    axis.visibleGrid = True
    axis.gridStrokeColor = GRID
    axis.gridStrokeWidth = 0.5
    axis.labels.setProperties({"fontName": _FONT, "fontSize": 7, "fillColor": TEXT})


def _scale(highest: float) -> tuple[float, float]:
    """The top of an axis and its step: 1, 2 or 5 times a power of ten, at most six steps."""
    if highest <= 0:
        return 1.0, 1.0
    power = 10.0 ** math.floor(math.log10(highest / _TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if highest <= power * factor * _TICKS)
    return math.ceil(highest / step) * step, step


def _short(value: float) -> str:
    for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _legend(x: float, y: float, entries: Sequence[tuple[Color, str]]) -> Legend:
    legend = Legend()
    legend.x, legend.y = round(x), round(y)
    legend.alignment = "right"
    legend.columnMaximum = 1
    legend.deltax = 90
    legend.dxTextSpace = 4
    legend.dx = legend.dy = 7
    legend.fontName, legend.fontSize, legend.fillColor = _FONT, 7.5, TEXT
    legend.strokeColor = None
    legend.colorNamePairs = list(entries)
    return legend


def nothing(text: str, width: float, height: float) -> Drawing:
    """An empty frame with a sentence in it."""
    drawing = Drawing(width, height)
    drawing.add(_text(width / 2, height / 2, text, 10, "middle"))
    return drawing


def _text(x: float, y: float, text: str, size: float, anchor: Literal["middle", "end"]) -> String:
    label = String(x, y, text)
    label.fontName, label.fontSize, label.fillColor, label.textAnchor = _FONT, size, TEXT, anchor
    return label


def _major(minor: int, currency: str) -> float:
    scale: int = 10 ** EXPONENTS[currency]
    return minor / scale
