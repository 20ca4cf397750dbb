"""Draw one dashboard as Grafana lays it out: the same grid, titles, units, thresholds and expressions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from monitoring.expressions import fill

mpl.use("Agg")

COLUMNS = 24
PIXELS_PER_ROW = 38.0
WIDTH_PX = 1600.0
MARGIN_PX = 8.0
DPI = 100
BACKGROUND, PANEL, EDGE, TEXT, FAINT = "#111217", "#181b1f", "#2c3235", "#d8d9da", "#8e9197"
PALETTE = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#37872d", "#fade2a", "#447ebc")
NAMED = {
    "green": "#73bf69", "orange": "#ff9830", "red": "#f2495c", "blue": "#8ab8ff", "purple": "#b877d9", "yellow": "#f2cc0c",
}  # fmt: skip
# Bars in a panel: about as many as Grafana draws at this width.
STEPS = 84

Ask = Callable[..., Any]
Points = list[tuple[float, float]]  # (Unix seconds, value)


def written(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value as Grafana writes it in a unit."""
    if math.isnan(value):
        return "–"
    match unit:
        case "currencyUSD":
            return f"${value:,.{2 if decimals is None else decimals}f}"
        case "percentunit":
            return f"{100 * value:.{1 if decimals is None else decimals}f}%"
        case "percent":
            return f"{value:.{0 if decimals is None else decimals}f}%"
        case "sci":
            return f"{value:.2e}" if value else "0"
        case "s":
            return _duration(value)
    for size, suffix in ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}" if value % 1 else f"{value:.0f}"


def _duration(seconds: float) -> str:
    for size, suffix in ((86_400, " days"), (3600, " h"), (60, " min")):
        if seconds >= size:
            return f"{seconds / size:.3g}{suffix}"
    return f"{seconds:.3g} s" if seconds >= 1 or not seconds else f"{1000 * seconds:.3g} ms"


class Picture:
    """A picture of one dashboard.

    Args:
        path: The dashboard's JSON file.
        instant: Evaluates an expression at a time. Returns the value of each label set.
        over_time: Evaluates an expression at each step from a start to an end. Returns the points of each label set.
        start: The start of the time range, in Unix seconds.
        end: The end of the time range, in Unix seconds.
    """

    def __init__(self, path: Path, instant: Ask, over_time: Ask, start: float, end: float) -> None:
        self.board = json.loads(path.read_text(encoding="utf-8"))
        self._instant, self._over_time = instant, over_time
        self.start, self.end = start, end

    def save(self, path: Path) -> None:
        """Evaluate every expression and write the PNG."""
        panels = self.board["panels"]
        self._rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) + 1.6
        height_px = self._rows * PIXELS_PER_ROW
        self._figure = Figure(figsize=(WIDTH_PX / DPI, height_px / DPI), dpi=DPI, facecolor=BACKGROUND)
        self._height_px = height_px
        self._text(MARGIN_PX * 2, 26, self.board["title"], 15, TEXT, weight="bold")
        begin, end = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M") for at in (self.start, self.end))
        self._text(WIDTH_PX - MARGIN_PX * 2, 26, f"{begin}  to  {end}  UTC", 9, FAINT, ha="right")
        for panel in panels:
            self._panel(panel)
        self._figure.savefig(path, facecolor=BACKGROUND)

    # -- layout --------------------------------------------------------------------------------------------------------

    def _text(self, x: float, y: float, text: str, size: float, color: str, **more: Any) -> None:
        self._figure.text(x / WIDTH_PX, 1 - y / self._height_px, text, fontsize=size, color=color, va="center", **more)

    def _box(self, grid: Mapping[str, int]) -> tuple[float, float, float, float]:
        unit = WIDTH_PX / COLUMNS
        top = (grid["y"] + 1.4) * PIXELS_PER_ROW
        return (
            grid["x"] * unit + MARGIN_PX / 2, top + MARGIN_PX / 2,
            grid["w"] * unit - MARGIN_PX, grid["h"] * PIXELS_PER_ROW - MARGIN_PX,
        )  # fmt: skip

    def _axes(self, x: float, y: float, width: float, height: float) -> Axes:
        box = (x / WIDTH_PX, 1 - (y + height) / self._height_px, width / WIDTH_PX, height / self._height_px)
        axes = self._figure.add_axes(box)
        axes.set_facecolor("none")
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(colors=FAINT, labelsize=8, length=0)
        return axes

    def _panel(self, panel: Mapping[str, Any]) -> None:
        x, y, width, height = self._box(panel["gridPos"])
        if panel["type"] == "row":
            self._text(x + 8, y + height / 2, f"▾  {panel['title']}", 11, TEXT, weight="bold")
            return
        self._figure.add_artist(
            FancyBboxPatch(
                (x / WIDTH_PX, 1 - (y + height) / self._height_px), width / WIDTH_PX, height / self._height_px,
                boxstyle="square,pad=0", facecolor=PANEL, edgecolor=EDGE, linewidth=0.8, zorder=-10,
            )
        )  # fmt: skip
        self._text(x + 10, y + 15, panel["title"], 9.5, TEXT)
        inside = (x + 10, y + 30, width - 20, height - 40)
        getattr(self, f"_{panel['type']}")(panel, inside)

    # -- data ----------------------------------------------------------------------------------------------------------

    def _fill(self, expr: str, bar: float = 1) -> str:
        return fill(expr, self.end - self.start, bar)

    def _now(self, target: Mapping[str, Any]) -> dict[tuple[tuple[str, str], ...], float]:
        found = self._instant(self._fill(target["expr"]), self.end)
        return {tuple(sorted(labels)): value for labels, value in found.items()}

    @staticmethod
    def _legend(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
        text: str = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), target.get("legendFormat", ""))
        return text or " ".join(labels.values())

    @staticmethod
    def _defaults(panel: Mapping[str, Any]) -> dict[str, Any]:
        defaults: dict[str, Any] = panel["fieldConfig"]["defaults"]
        return defaults

    @classmethod
    def _color(cls, panel: Mapping[str, Any], value: float) -> str:
        chosen = "green"
        for step in cls._defaults(panel).get("thresholds", {}).get("steps", ()):
            if step.get("value") is None or value >= step["value"]:
                chosen = step["color"]
        return NAMED[chosen]

    def _nothing(self, panel: Mapping[str, Any], inside: tuple[float, ...]) -> None:
        x, y, width, height = inside
        note = self._defaults(panel).get("noValue", "No data")
        self._text(x + width / 2, y + height / 2, note, 10, FAINT, ha="center")

    # -- kinds of panel ------------------------------------------------------------------------------------------------

    def _stat(self, panel: Mapping[str, Any], inside: tuple[float, ...]) -> None:
        x, y, width, height = inside
        found = self._now(panel["targets"][0])
        if not found or all(math.isnan(value) for value in found.values()):
            self._nothing(panel, inside)
            return
        value = next(iter(found.values()))
        defaults = self._defaults(panel)
        text = written(value, defaults.get("unit", "short"), defaults.get("decimals"))
        self._text(x + width / 2, y + height / 2, text, 24, self._color(panel, value), ha="center", weight="bold")

    def _bargauge(self, panel: Mapping[str, Any], inside: tuple[float, ...]) -> None:
        x, y, width, height = inside
        target = panel["targets"][0]
        found = sorted(
            ((value, labels) for labels, value in self._now(target).items() if not math.isnan(value)), reverse=True
        )
        found = [entry for entry in found if entry[0] > 0][:10] or found[:10]
        if not found:
            self._nothing(panel, inside)
            return
        defaults = self._defaults(panel)
        top = defaults.get("max") or max(value for value, _ in found) or 1
        names = [self._legend(target, dict(labels)) for _, labels in found]
        left = min(0.45 * width, 16 + 7.2 * max(map(len, names)))
        right = 70.0
        step = min(34.0, height / len(found))
        for row, ((value, _), name) in enumerate(zip(found, names, strict=True)):
            middle = y + (row + 0.5) * step
            self._text(x + left - 8, middle, name[:34], 8.5, TEXT, ha="right")
            for share, color, alpha in ((1.0, EDGE, 0.5), (max(value / top, 0.004), self._color(panel, value), 0.9)):
                box = (
                    (x + left) / WIDTH_PX, 1 - (middle + step * 0.32) / self._height_px,
                    share * (width - left - right) / WIDTH_PX, step * 0.64 / self._height_px,
                )  # fmt: skip
                bar = FancyBboxPatch(
                    box[:2], *box[2:], boxstyle="square,pad=0", facecolor=color, edgecolor="none", alpha=alpha
                )
                self._figure.add_artist(bar)
            text = written(value, defaults.get("unit", "short"), defaults.get("decimals"))
            self._text(x + width - right + 8, middle, text, 8.5, self._color(panel, value), weight="bold")

    def _table(self, panel: Mapping[str, Any], inside: tuple[float, ...]) -> None:
        x, y, width, height = inside
        organize = next(step["options"] for step in panel["transformations"] if step["id"] == "organize")
        names, order = organize["renameByName"], organize["indexByName"]
        units = {
            override["matcher"]["options"]: {entry["id"]: entry["value"] for entry in override["properties"]}
            for override in panel["fieldConfig"].get("overrides", ())
        }
        rows: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
        for target in panel["targets"]:
            column = f"Value #{target['refId']}" if len(panel["targets"]) > 1 else "Value"
            for labels, value in self._now(target).items():
                rows.setdefault(labels, {})[column] = value
        if not rows:
            self._nothing(panel, inside)
            return
        sort = panel["options"]["sortBy"][0]["displayName"]
        by = next(name for name, title in names.items() if title == sort)
        ordered = sorted(rows.items(), key=lambda row: -row[1].get(by, 0.0))[: max(1, int((height - 26) / 24))]
        columns = sorted(order, key=lambda name: order[name])
        keys = [name for name in columns if not name.startswith("Value")]
        weights = [1.5 if name in keys else max(0.8, len(names.get(name, name)) / 9) for name in columns]
        edges = [x + width * sum(weights[:position]) / sum(weights) for position in range(len(columns) + 1)]
        for position, name in enumerate(columns):
            self._text(edges[position] + 4, y + 12, names.get(name, name), 8.5, "#6e9fff", weight="bold")
        for row, (labels, values) in enumerate(ordered):
            middle = y + 38 + row * 24
            for position, name in enumerate(columns):
                title = names.get(name, name)
                if name in keys:
                    text = dict(labels).get(name, "")[:22]
                else:
                    unit = units.get(title, {})
                    text = (
                        written(values[name], unit.get("unit", "short"), unit.get("decimals"))
                        if name in values
                        else "–"
                    )
                self._text(edges[position] + 4, middle, text, 9, TEXT)

    def _timeseries(self, panel: Mapping[str, Any], inside: tuple[float, ...]) -> None:
        x, y, width, height = inside
        bar = max(60.0, (self.end - self.start) / STEPS)
        found = self._answers(panel, bar)
        if not found:
            self._nothing(panel, inside)
            return
        defaults = self._defaults(panel)
        colors = self._colors(panel, [name for name, _ in found])
        axes = self._axes(x + 50, y + 2, width - 56, height - 42)
        if defaults.get("custom", {}).get("drawStyle") == "bars":
            _stack_bars(axes, found, colors, bar)
        else:
            _draw_lines(axes, found, colors, bar)
            self._draw_thresholds(axes, defaults)
        axes.set_xlim(datetime.fromtimestamp(self.start, UTC), datetime.fromtimestamp(self.end, UTC))
        axes.set_ylim(bottom=0, top=defaults.get("max"))
        locator = AutoDateLocator(maxticks=max(3, int(width / 110)))
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
        axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
        unit = defaults.get("unit", "short")
        axes.yaxis.set_major_formatter(lambda value, _: written(value, unit))
        axes.grid(axis="y", color=EDGE, linewidth=0.7)
        axes.set_axisbelow(True)
        self._legend_line(inside, colors)

    def _answers(self, panel: Mapping[str, Any], bar: float) -> list[tuple[str, Points]]:
        """Return the legend and the points of every series that is not zero throughout, sorted by legend."""
        found: list[tuple[str, Points]] = []
        for target in panel["targets"]:
            answer = self._over_time(self._fill(target["expr"], bar), self.start + bar, self.end, bar)
            found += [(self._legend(target, dict(labels)), values) for labels, values in answer.items()]
        return sorted((name, values) for name, values in found if any(value for _, value in values))

    @staticmethod
    def _colors(panel: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
        """Return the color of each legend: the palette's, unless the panel overrides it."""
        colors = {name: PALETTE[position % len(PALETTE)] for position, name in enumerate(names)}
        for override in panel["fieldConfig"].get("overrides", ()):
            for name in colors:
                if override["matcher"]["id"] == "byRegexp" and re.search(override["matcher"]["options"], name):
                    colors[name] = NAMED[override["properties"][0]["value"]["fixedColor"]]
        return colors

    @staticmethod
    def _draw_thresholds(axes: Axes, defaults: Mapping[str, Any]) -> None:
        if "thresholdsStyle" not in defaults.get("custom", {}):
            return
        for step in defaults.get("thresholds", {}).get("steps", ()):
            if step.get("value") is not None:
                axes.axhline(step["value"], color=NAMED[step["color"]], linewidth=1, linestyle="--", alpha=0.7)

    def _legend_line(self, inside: tuple[float, ...], colors: Mapping[str, str]) -> None:
        x, y, width, height = inside
        cursor = x + 50
        for name, color in colors.items():
            size = 15 + 7.3 * len(name) + 16
            if cursor + size > x + width:
                self._text(cursor, y + height - 4, "…", 8.5, FAINT)
                break
            self._text(cursor, y + height - 4, "▬", 8.5, color)
            self._text(cursor + 15, y + height - 4, name, 8.5, FAINT)
            cursor += size


def _stack_bars(axes: Axes, found: Sequence[tuple[str, Points]], colors: Mapping[str, str], bar: float) -> None:
    floor: dict[float, float] = {}
    for name, values in found:
        grown = [(at, value) for at, value in values if value > 0]
        axes.bar(
            [datetime.fromtimestamp(at - bar / 2, UTC) for at, _ in grown], [value for _, value in grown],
            width=0.86 * bar / 86_400, bottom=[floor.get(at, 0.0) for at, _ in grown],
            color=colors[name], alpha=0.85, linewidth=0,
        )  # fmt: skip
        for at, value in grown:
            floor[at] = floor.get(at, 0.0) + value


def _draw_lines(axes: Axes, found: Sequence[tuple[str, Points]], colors: Mapping[str, str], bar: float) -> None:
    for name, values in found:
        times: list[datetime] = []
        points: list[float] = []
        for before, (at, value) in zip([values[0], *values], values, strict=False):
            if at - before[0] > 2.5 * bar:  # Grafana does not connect points over such a gap either.
                times.append(datetime.fromtimestamp(before[0] + bar, UTC))
                points.append(float("nan"))
            times.append(datetime.fromtimestamp(at, UTC))
            points.append(value)
        axes.plot(times, points, drawstyle="steps-post", color=colors[name], linewidth=1.6, marker="o", markersize=2)
        axes.fill_between(times, points, step="post", color=colors[name], alpha=0.10, linewidth=0)
