"""Code that the dashboards share: the look of the panels, the variables, and the layout in rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from monitoring.dashboards.drilldown import STORES, drill_down, from_row, from_series, title_of
from monitoring.expressions import BAR, FILTERS, Series

# The variable of every dashboard that holds the Prometheus to query, and the question that Grafana's "Upload JSON" asks to fill it.
SOURCE, INPUT = "datasource", "DS_PROMETHEUS"
DATASOURCE = common_models.DataSourceRef(type_val="prometheus", uid=f"${{{SOURCE}}}")
WIDTH = 24  # columns of Grafana's grid
# The narrowest bar. Each bar is one step of a query, and an idle daemon sends once a minute.
NARROWEST_BAR = "1m"
# The shortest step of a graph. An idle daemon sends once a minute, so each step holds a sample.
NARROWEST_STEP = "2m"
# A value has the same color in every panel.
MEANINGS = {
    "passed": "green", "success": "green", "completed": "green", "added": "green", "merged": "purple", "created": "green",
    "failed": "red", "error": "orange", "deleted": "red", "interrupted": "purple", "invalid": "red", "denied": "yellow",
    "rejected": "yellow", "skipped": "blue", "read": "green", "none": "orange", "write_5m": "blue", "write_1h": "purple",
    "commits": "blue", "branches": "green", "feature": "green", "task": "blue",
}  # fmt: skip
TAG = "claude-code"
TITLES = {
    "claude-executive": "Claude Code · Executive",
    "claude-agents": "Claude Code · Agent performance",
    "claude-technical": "Claude Code · Technical",
    "claude-quality": "Claude Code · Quality",
}


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel.

    Attributes:
        expr: The PromQL expression.
        legend: Grafana's legend format.
    """

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel that a ``Board`` can take in.

    Attributes:
        built: the panel's builder.
        keys: the labels of its bars, lines or rows.
        is_table: whether it has rows.
    """

    built: Any
    keys: tuple[str, ...] = ()
    is_table: bool = False


def _keys(queries: Sequence[Query]) -> tuple[str, ...]:
    """Return the labels in the legends."""
    return tuple(dict.fromkeys(re.findall(r"\{\{(\w+)\}\}", " ".join(query.legend for query in queries))))


def chosen(metric: Metric, *matchers: str) -> Series:
    """Return a metric's series, filtered by the dashboard's variables."""
    labels = [label for label in FILTERS if label in metric.all_labels]
    return Series(metric, *(f'{label}=~"${label}"' for label in labels), *matchers)


Thresholds = Sequence[tuple[float | None, str]]
CALM: Thresholds = ((None, "blue"),)
GOOD: Thresholds = ((None, "green"),)


def _thresholds(steps: Thresholds) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


def _targets(
    panel: Any, queries: Sequence[Query], *, instant: bool, as_table: bool = False, exemplars: bool = False
) -> None:
    for position, query in enumerate(queries):
        target = prometheus.Dataquery().datasource(DATASOURCE).expr(query.expr).ref_id(chr(ord("A") + position))
        target = target.instant() if instant else target.range()
        if as_table:
            target = target.format(prometheus_models.PromQueryFormat.TABLE)
        elif query.legend:
            target = target.legend_format(query.legend)
        if exemplars:
            target = target.exemplar(True)
        panel.with_target(target)


def _framed(panel: Any, title: str, description: str, unit: str, decimals: int | None = None) -> Any:
    panel.title(title).description(description).datasource(DATASOURCE).unit(unit)
    return panel if decimals is None else panel.decimals(decimals)


def number(
    title: str,
    description: str,
    query: Query,
    unit: str = "short",
    *,
    steps: Thresholds = CALM,
    decimals: int | None = None,
) -> Panel:
    """Return a panel with one figure for the whole time range."""
    panel = _framed(stat.Panel(), title, description, unit, decimals)
    _targets(panel, [query], instant=True)
    return Panel(
        panel.thresholds(_thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .no_value("–")
    )


def bars(title: str, description: str, queries: Sequence[Query], unit: str = "short") -> Panel:
    """Return a panel with stacked bars. They add up to the figure for the whole time range."""
    # A series without growth is neither in a bar nor in the legend.
    panel = _time_series(title, description, [Query(f"({query.expr}) > 0", query.legend) for query in queries], unit)
    panel = (
        panel.draw_style(common_models.GraphDrawStyle.BARS)
        .interval(NARROWEST_BAR)
        .fill_opacity(80)
        .line_width(0)
        .bar_width_factor(0.9)
        .stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
        .min(0)
    )
    return Panel(panel, _keys(queries))


def lines(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str = "short",
    *,
    steps: Thresholds = (),
    top: float | None = None,
    exemplars: bool = False,
) -> Panel:
    """Return a panel with values over time. With ``exemplars``, it also shows single observations, which lead to their traces."""
    panel = _time_series(title, description, queries, unit, exemplars=exemplars)
    panel = (
        panel.draw_style(common_models.GraphDrawStyle.LINE)
        .line_interpolation(common_models.LineInterpolation.STEP_AFTER)
        .line_width(2)
        .fill_opacity(12)
        .interval(NARROWEST_STEP)
        .show_points(common_models.VisibilityMode.AUTO)
        .span_nulls(300_000.0)  # milliseconds: one missed minute does not make a gap
        .min(0)
    )
    if top is not None:
        panel = panel.max(top)
    if steps:
        panel = panel.thresholds(_thresholds(steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        )
    return Panel(panel, _keys(queries))


def _time_series(title: str, description: str, queries: Sequence[Query], unit: str, *, exemplars: bool = False) -> Any:
    panel = _framed(timeseries.Panel(), title, description, unit)
    _targets(panel, queries, instant=False, exemplars=exemplars)
    for word, color in MEANINGS.items():
        fixed = models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})
        if any("{{" in query.legend or word in query.legend for query in queries):
            panel.override_by_regexp(f"^(.* )?{word}$", [fixed])
    return (
        panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .no_value("Nothing in this time range")
    )


def ranking(
    title: str,
    description: str,
    query: Query,
    unit: str = "short",
    *,
    steps: Thresholds = CALM,
    top: float | None = None,
) -> Panel:
    """Return a panel with horizontal bars, the longest first."""
    panel = _framed(bargauge.Panel(), title, description, unit)
    ranked = Query(f"sort_desc(({query.expr}) > 0)", query.legend)
    _targets(panel, [ranked], instant=True)
    panel = (
        panel.orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .min(0)
        .no_value("Nothing in this time range")
    )
    return Panel(panel if top is None else panel.max(top), _keys([query]))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: an expression and the format of its values."""

    title: str
    expr: str
    unit: str = "short"
    decimals: int | None = None


def grid(title: str, description: str, keys: Sequence[str], columns: Sequence[Column], sort: str) -> Panel:
    """Return a table with a row for each combination of ``keys``, sorted by the column ``sort``, greatest first."""
    panel = _framed(table.Panel(), title, description, "short")
    _targets(panel, [Query(column.expr) for column in columns], instant=True, as_table=True)
    names = {f"Value #{chr(ord('A') + position)}": column.title for position, column in enumerate(columns)}
    if len(columns) == 1:
        names = {"Value": columns[0].title}
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: index for index, name in enumerate((*keys, *names))},
                "renameByName": names | {key: title_of(key) for key in keys},
            },
        )
    )
    for column in columns:
        properties = [models.DynamicConfigValue(id_val="unit", value=column.unit)]
        if column.decimals is not None:
            properties.append(models.DynamicConfigValue(id_val="decimals", value=column.decimals))
        panel.override_by_name(column.title, properties)
    panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)]).no_value("–")
    return Panel(panel, tuple(keys), is_table=True)


# What every dashboard marks on its graphs: name, color, text, and an expression that has an element while it is so.
ANNOTATIONS = (
    ("Alerts", "red", "{{alertname}} {{agent}} {{project}}", 'ALERTS{alertname=~"Claude.+", alertstate="firing"}'),
    ("Compactions", "yellow", "compaction {{agent}} {{project}}", f"{chosen(catalog.COMPACTIONS).grown(BAR, ['agent', 'project'])} > 0"),
    (
        "Releases of the client", "purple", "Claude Code {{version}}",
        f"{chosen(catalog.CLIENT_INFO).now(by=['version'])} unless {chosen(catalog.CLIENT_INFO).before('30d', ['version'])}",
    ),
)  # fmt: skip


class Board:
    """A dashboard that fills its rows from left to right.

    Args:
        uid: The identifier in Grafana's URLs.
        description: What the dashboard shows.
        span: The default length of the time range, such as ``7d``.
    """

    def __init__(self, uid: str, description: str, span: str) -> None:
        self._uid = uid
        self._x = self._y = self._height = 0
        self._next_id = 1
        self._built = (
            dashboard.Dashboard(TITLES[uid])
            .uid(uid)
            .description(description)
            .tags([TAG])
            .readonly()
            .timezone("browser")
            .time(f"now-{span}", "now")
            .refresh("1m")
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
        )
        # Upload JSON fills the placeholder in. Where nobody fills it in, Grafana takes the first data source of this type.
        self._built.with_variable(
            dashboard.DatasourceVariable(SOURCE)
            .label("Data source")
            .type("prometheus")
            .current(models.VariableOption(text=f"${{{INPUT}}}", value=f"${{{INPUT}}}", selected=True))
        )
        for name in FILTERS:  # of all counters: programs have no sessions, and some models no price
            self._built.with_variable(
                dashboard.QueryVariable(name)
                .label(name.capitalize())
                .datasource(DATASOURCE)
                .query(f'label_values({{__name__=~"claude_.+_total"}}, {name})')
                .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
                .sort(models.VariableSort.ALPHABETICAL_ASC)
                .multi(True)
                .include_all(True)
                .all_value(".*")
                .current(models.VariableOption(text="All", value="$__all", selected=True))
            )
        for name, kind in STORES.items():  # hidden: they are only for links
            source = dashboard.DatasourceVariable(name).label(name.capitalize()).type(kind)
            self._built.with_variable(source.hide(models.VariableHide.HIDE_VARIABLE))
        for name, color, title, expression in ANNOTATIONS:
            marks = dashboard.AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(color)
            self._built.annotation(marks.expr(expression).title_format(title).step("60s"))
        for other, title in TITLES.items():
            if other != uid:
                self._built.link(
                    dashboard.DashboardLink(title.split("· ")[1])
                    .type(models.DashboardLinkType.LINK)
                    .url(f"/d/{other}")
                    .keep_time(True)
                    .include_vars(True)
                )

    def row(self, title: str) -> Self:
        """Begin a section."""
        self._break()
        position = models.GridPos(h=1, w=WIDTH, x=0, y=self._y)
        self._built.with_row(dashboard.Row(title).id(self._identity()).grid_pos(position))
        self._y += 1
        return self

    def add(self, panel: Panel, width: int, height: int = 8) -> Self:
        """Put a panel to the right of the last one, or below if there is no room."""
        if self._x + width > WIDTH:
            self._break()
        position = models.GridPos(h=height, w=width, x=self._x, y=self._y)
        self._built.with_panel(self._linked(panel).id(self._identity()).grid_pos(position))
        self._x += width
        self._height = max(self._height, height)
        return self

    def _linked(self, panel: Panel) -> Any:
        """Return the builder of a panel, with its links."""
        if not panel.is_table:
            links = drill_down(self._uid, panel.keys, from_series)
            return panel.built.data_links([dashboard.DashboardLink(link.title).url(link.url) for link in links])
        in_row = [link._asdict() for link in drill_down(self._uid, panel.keys, from_row)]
        for key in panel.keys:
            panel.built.override_by_name(title_of(key), [models.DynamicConfigValue(id_val="links", value=in_row)])
        return panel.built

    def _identity(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _break(self) -> None:
        self._y += self._height
        self._x = self._height = 0

    def build(self) -> models.Dashboard:
        """Return the finished dashboard."""
        return self._built.build()
