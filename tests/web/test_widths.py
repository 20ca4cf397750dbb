"""On every view and every width, all text can be read: nothing is cut, but for what scrolls and shows that it does."""

from __future__ import annotations

from typing import Any

import pytest

from claude_hooks_otel.formats import dollars, duration, number
from tests.web.conftest import PAGES, Served, Visit

pytestmark = pytest.mark.web

WIDTHS = (320, 390, 768, 1024, 1200, 1320, 1440, 1920)

# A chart follows the width of the window with the next frame.
DRAWN = (
    "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
)
# The texts that end outside of the window or of a box that hides what is too wide. Inside of an area that scrolls, they can be reached, if
# the area shows a shadow at the edge behind which something is.
CUT = """() => {
  const found = [];
  const own = (each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const wide = document.documentElement.clientWidth;
  for (const each of document.querySelectorAll("body *")) {
    if (!own(each) || each.closest(".unseen, .skip, script, noscript, style, option, svg") || !each.checkVisibility({ visibilityProperty: true })) continue;
    const rects = [...each.childNodes].filter((node) => node.nodeType === 3 && node.textContent.trim()).map((node) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      return range.getBoundingClientRect();
    });
    const text = { left: Math.min(...rects.map((rect) => rect.left)), right: Math.max(...rects.map((rect) => rect.right)) };
    for (let box = each; box && box !== document.body; box = box.parentElement) {
      const style = getComputedStyle(box);
      if (style.display === "inline") continue;
      if (["auto", "scroll"].includes(style.overflowX)) {
        const isHinted = box.scrollWidth <= box.clientWidth || style.backgroundAttachment.includes("local");
        if (!isHinted) found.push(`scrolls without a hint: ${box.className}`);
        break;
      }
      const edge = box.getBoundingClientRect();
      if (style.overflowX !== "visible" && style.overflowX !== "clip" && (text.right > edge.right + 1 || text.left < edge.left - 1)) {
        if (!(each.title || box.title)) found.push(`cut by .${box.className}: ${each.textContent.trim().slice(0, 60)}`);
        break;
      }
      if (box.parentElement === document.body && (text.right > wide + 1 || text.left < -1)) found.push(`outside: ${each.textContent.trim().slice(0, 60)}`);
    }
  }
  return [...new Set(found)];
}"""


def _cut(tab: Visit, path: str) -> list[str]:
    found = []
    page = tab.open(path)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(DRAWN)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found += [f"{path} at {width}: the page is {overflow} pixels too wide"] if overflow > 0 else []
        found += [f"{path} at {width}: {fault}" for fault in page.evaluate(CUT)]
    return found


def test_no_text_is_cut_at_any_width(week: Served, budgeted: Served, empty: Served, visit: Any) -> None:
    longest = max(week.table("sessions", "sessions", "?range=all"), key=lambda row: row["requests"])["session_id"]
    paths = (*PAGES, f"/sessions/{longest}", "/?last=7d", "/sessions?agent=backend", "/?agent=nobody", "/nowhere")
    tab = visit(week)
    found = [fault for path in paths for fault in _cut(tab, path)]
    found += [fault for path in ("/",) for fault in _cut(visit(budgeted), path)]
    empty_tab = visit(empty)
    found += [fault for path in PAGES for fault in _cut(empty_tab, path)]
    assert found == [], "\n".join(found)


def test_tables_beside_each_other_need_no_scrolling(week: Served, visit: Any) -> None:
    page = visit(week).open("/")
    for width in (1200, 1320, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        hidden = page.eval_on_selector_all(
            ".pair .scroll", "all => all.map(each => each.scrollWidth - each.clientWidth)"
        )
        assert hidden == [0, 0], width


def test_the_times_below_the_chart_of_a_session_are_not_repeated(week: Served, visit: Any) -> None:
    tab = visit(week)
    rows = [row for row in week.table("sessions", "sessions", "?range=all") if row["requests"] > 1]
    shortest = min(rows, key=lambda row: row["seen_ns"] - row["began_ns"])
    page = tab.open(f"/sessions/{shortest['session_id']}")
    for length in (3, 40, 170, 900, 7200, 90_000, 400_000):
        for most in (4, 8):
            labels = page.evaluate(f"clock(moments(1795177807, 1795177807 + {length}, 1, {most}))")
            assert 1 < len(labels) <= most + 1
            assert len(set(labels)) == len(labels), labels


def test_the_script_and_the_package_write_numbers_alike(week: Served, visit: Any) -> None:
    page = visit(week).open("/")
    seconds = (0, 59.9, 60, 188, 3600, 8160, 86_399, 352_800)
    assert page.evaluate("all => all.map(duration)", list(seconds)) == [duration(each) for each in seconds]
    amounts = (0, 0.00001, 0.0213, 0.5, 12.5, 1234.5)
    assert page.evaluate("all => all.map(dollars)", list(amounts)) == [dollars(each) for each in amounts]
    counts = (0, 1234, 9999, 10_000, 45_678, 999_949, 999_950, 12_345_678)
    assert page.evaluate("all => all.map((each) => figure(each, 'count'))", list(counts)) == [
        number(each) for each in counts
    ]
