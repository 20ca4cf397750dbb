// The script of the page. Everything is readable without it: it draws charts, sorts tables, follows what runs, and switches colours.
"use strict";

const root = document.documentElement;
root.classList.add("scripted");

// -- colours --------------------------------------------------------------------------------------------------------------------

const THEMES = { "": ["Auto", "◐", "as the system"], light: ["Light", "○", "light"], dark: ["Dark", "●", "dark"] };

function prepareTheme() {
  const button = document.querySelector(".theme");
  const show = () => {
    const [name, sign, words] = THEMES[root.dataset.theme ?? ""];
    button.querySelector(".theme-name").textContent = name;
    button.firstElementChild.textContent = sign;
    button.setAttribute("aria-label", `${name}: colours ${words}`);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const order = ["", "light", "dark"];
    const next = order[(order.indexOf(root.dataset.theme ?? "") + 1) % order.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    document.cookie = `theme=${next}; path=/; SameSite=Strict; max-age=31536000`;
    show();
    charts.forEach((draw) => draw());
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((draw) => draw()));
  show();
}

const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

// -- numbers --------------------------------------------------------------------------------------------------------------------

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

function figure(value, unit) {
  if (unit === "usd") return dollars(value);
  if (unit === "seconds") return duration(value);
  if (value < 10000) return grouped.format(value);
  return value < 999950 ? `${oneDigit.format(value / 1e3)}k` : `${oneDigit.format(value / 1e6)}M`;
}

function dollars(value) {
  if (value > 0 && value < 0.0001) return "<$0.0001";
  const digits = value > 0 && value < 1 ? 4 : 2;
  return `$${value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

// As claude_hooks_otel/formats.py: the two largest units.
function duration(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  for (const [unit, below, size, part] of [["d", "h", 86400, 3600], ["h", "m", 3600, 60], ["m", "s", 60, 1]]) {
    if (left >= size) {
      const rest = Math.floor((left % size) / part);
      return `${Math.floor(left / size)}${unit}${rest ? ` ${rest}${below}` : ""}`;
    }
  }
  return `${left}s`;
}

function short(value, unit) {
  if (value === 0) return "0";
  if (unit === "seconds") return value >= 60 ? duration(value) : `${+value.toPrecision(3)}s`;
  const sign = unit === "usd" ? "$" : "";
  if (value >= 1e9) return `${sign}${+(value / 1e9).toFixed(1)}G`;
  if (value >= 1e6) return `${sign}${+(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${sign}${+(value / 1e3).toFixed(1)}k`;
  return `${sign}${+value.toPrecision(4)}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

function moment(label, isLong) {
  if (label.includes(" ")) return isLong ? label : label.slice(11);
  const [year, month, day] = label.split("-").map(Number);
  const weekday = DAYS[new Date(Date.UTC(year, month - 1, day)).getUTCDay()];
  return isLong ? `${weekday}, ${day} ${MONTHS[month - 1]} ${year}` : `${day} ${MONTHS[month - 1]}`;
}

// -- charts ---------------------------------------------------------------------------------------------------------------------

const charts = [];

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function axis(more) {
  return {
    stroke: colour("muted"), font: "12px " + getComputedStyle(document.body).fontFamily,
    ticks: { show: false }, grid: { stroke: colour("line"), width: 1 }, ...more,
  };
}

function prepareCharts() {
  for (const holder of document.querySelectorAll("[data-chart]")) {
    const data = JSON.parse(document.getElementById(holder.dataset.chart).textContent);
    const make = data.kind === "bars" ? bars : course;
    let plot = null;
    const draw = () => {
      plot?.destroy();
      plot = make(holder, data);
    };
    draw();
    charts.push(draw);
    new ResizeObserver(() => {
      const width = holder.querySelector(".plot").clientWidth;
      if (plot && width && width !== plot.width) plot.setSize({ width, height: plot.height });
    }).observe(holder);
  }
}

function legend(holder, names, tones) {
  const list = holder.querySelector(".legend");
  list.replaceChildren(...names.map((name, place) => {
    const item = element("li");
    item.append(element("span", `swatch series-${tones[place]}`), element("span", "", name));
    return item;
  }));
}

function bars(holder, data) {
  const tones = data.series.map((_, place) => data.tones?.[place] ?? (data.series[place].name === "others" ? "6" : String(place + 1)));
  const colours = tones.map((tone) => colour(`series-${tone}`));
  const count = data.labels.length;
  // The sum up to each group. The largest sum is drawn first, and the smaller ones on top of it.
  const sums = [];
  data.series.forEach((series, place) => sums.push(series.values.map((value, x) => value + (place ? sums[place - 1][x] : 0))));
  const order = sums.map((_, place) => place).reverse();
  const plotHolder = holder.querySelector(".plot");
  legend(holder, data.series.map((series) => series.name), tones);
  const isNarrow = plotHolder.clientWidth < 560;
  const options = {
    width: plotHolder.clientWidth, height: isNarrow ? 210 : 260, padding: [12, 8, 0, 0], legend: { show: false },
    cursor: { points: { show: false }, y: false, drag: { x: false, y: false } },
    scales: { x: { time: false, range: [-0.6, count - 0.4] }, y: { range: (_, low, high) => [0, (high || 1) * 1.06] } },
    axes: [
      axis({ size: 30, grid: { show: false }, splits: () => places(count, isNarrow ? 4 : 10), values: (_, found) => found.map((x) => moment(data.labels[x] ?? "", false)) }),
      axis({ size: 58, space: 44, values: (_, found) => found.map((y) => short(y, data.unit)) }),
    ],
    series: [{}, ...order.map((place) => ({
      fill: colours[place], stroke: colours[place], width: 0, points: { show: false },
      paths: uPlot.paths.bars({ size: [0.72, 46], radius: [place === data.series.length - 1 ? 0.12 : 0, 0] }),
    }))],
    hooks: { setCursor: [(u) => tip(holder, u, data, tones)] },
  };
  const plot = new uPlot(options, [data.labels.map((_, x) => x), ...order.map((place) => sums[place])], plotHolder);
  if (data.links) {
    holder.classList.add("clickable");
    plot.over.addEventListener("click", () => {
      const x = plot.cursor.idx;
      if (x !== null && x !== undefined) location.assign(data.links[x]);
    });
  }
  plot.over.addEventListener("mouseleave", () => { holder.querySelector(".tip").hidden = true; });
  return plot;
}

function places(count, most) {
  const step = Math.max(1, Math.ceil(count / most));
  return Array.from({ length: Math.ceil(count / step) }, (_, place) => place * step);
}

function tip(holder, plot, data, tones) {
  const box = holder.querySelector(".tip");
  const x = plot.cursor.idx;
  if (x === null || x === undefined || plot.cursor.left < 0) {
    box.hidden = true;
    return;
  }
  const lines = [element("b", "", moment(data.labels[x], true))];
  let whole = 0;
  data.series.forEach((series, place) => {
    whole += series.values[x];
    if (series.values[x]) lines.push(line(tones[place], series.name, figure(series.values[x], data.unit)));
  });
  if (!whole) lines.push(element("div", "", "nothing"));
  else if (lines.length > 2) {
    const sum = line(null, "total", figure(whole, data.unit));
    sum.classList.add("whole");
    lines.push(sum);
  }
  put(holder, plot, box, lines);
}

function line(tone, name, text) {
  const made = element("div");
  if (tone) made.append(element("span", `swatch series-${tone}`));
  made.append(element("span", "", name), element("span", "", text));
  return made;
}

function put(holder, plot, box, lines) {
  box.replaceChildren(...lines);
  box.hidden = false;
  const left = plot.over.offsetLeft + plot.cursor.left + holder.querySelector(".plot").offsetLeft;
  const isRight = left + box.offsetWidth + 28 > holder.clientWidth;
  box.style.left = `${Math.max(4, isRight ? left - box.offsetWidth - 14 : left + 14)}px`;
  box.style.top = "14px";
}

// Whole steps of time, in seconds, between two times. A step of a day begins at midnight here.
function moments(low, high, step, most) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  const whole = steps.find((each) => each >= step && (high - low) / each <= most) ?? Math.ceil((high - low) / most / 86400) * 86400;
  const shift = new Date(low * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let at = Math.ceil((low - shift) / whole) * whole + shift; at <= high; at += whole) found.push(at);
  return found;
}

// As exact as it takes to tell neighbours apart, with the date where a day begins.
function clock(found) {
  const hasSeconds = found.some((at) => at % 60);
  const spansDays = found.length > 1 && found[found.length - 1] - found[0] >= 86400;
  const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(hasSeconds ? { second: "2-digit" } : {}) };
  return found.map((at) => {
    const date = new Date(at * 1000);
    const day = `${date.getDate()} ${MONTHS[date.getMonth()]}`;
    const text = date.toLocaleTimeString("en-GB", time);
    return spansDays ? (text === "00:00" ? day : `${day} ${text}`) : text;
  });
}

function course(holder, data) {
  const [cost, context] = data.series;
  const plotHolder = holder.querySelector(".plot");
  legend(holder, [cost.name, context.name], ["1", "2"]);
  const zone = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const options = {
    width: plotHolder.clientWidth, height: 210, padding: [12, 4, 0, 0], legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false },
    scales: { y: { range: (_, low, high) => [0, (high || 1) * 1.08] }, tokens: { range: (_, low, high) => [0, (high || 1) * 1.08] } },
    axes: [
      axis({ size: 30, grid: { show: false }, space: 90, splits: (u, _, low, high, step) => moments(low, high, step, u.width < 560 ? 4 : 8), values: (_, found) => clock(found) }),
      axis({ size: 58, values: (_, found) => found.map((value) => short(value, "usd")) }),
      axis({ size: 58, side: 1, scale: "tokens", grid: { show: false }, values: (_, found) => found.map((value) => short(value, "tokens")) }),
    ],
    series: [
      {},
      { stroke: colour("series-1"), width: 2, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
      { stroke: colour("series-2"), width: 1.5, scale: "tokens", paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
    ],
    hooks: {
      setCursor: [(u) => {
        const x = u.cursor.idx;
        const box = holder.querySelector(".tip");
        if (x === null || x === undefined || u.cursor.left < 0) { box.hidden = true; return; }
        const when = element("b", "", new Date(data.times[x] * 1000).toLocaleTimeString("en-GB", zone));
        put(holder, u, box, [when, line("1", cost.name, dollars(cost.values[x])), line("2", context.name, figure(context.values[x], "tokens"))]);
      }],
    },
  };
  const plot = new uPlot(options, [data.times, cost.values, context.values], plotHolder);
  plot.over.addEventListener("mouseleave", () => { holder.querySelector(".tip").hidden = true; });
  return plot;
}

// -- tables ---------------------------------------------------------------------------------------------------------------------

function prepareTables() {
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    if (heads.some((head) => head.querySelector("a"))) continue; // the server sorts it
    heads.forEach((head, column) => {
      const button = element("button", "", head.textContent.trim());
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => sort(table, heads, column));
    });
  }
}

function sort(table, heads, column) {
  const isNumber = heads[column].classList.contains("number");
  const before = heads[column].getAttribute("aria-sort");
  const isDown = before ? before === "ascending" : isNumber;
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", isDown ? "descending" : "ascending");
  const value = (row) => {
    const cell = row.cells[column];
    return isNumber ? Number(cell.dataset.value ?? -Infinity) : (cell.dataset.value ?? cell.textContent);
  };
  const rows = [...table.tBodies[0].rows].sort((one, other) => {
    const [first, second] = [value(one), value(other)];
    const order = isNumber ? first - second : String(first).localeCompare(String(second));
    return isDown ? -order : order;
  });
  table.tBodies[0].append(...rows);
}

// -- forms and keys -------------------------------------------------------------------------------------------------------------

function prepareForms() {
  for (const form of document.querySelectorAll("form")) {
    form.addEventListener("submit", () => {
      for (const field of form.elements) if (field.name && !field.value) field.disabled = true; // short addresses
    });
  }
  for (const choice of document.querySelectorAll(".filters select")) {
    choice.addEventListener("change", () => choice.form.requestSubmit());
  }
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, select, textarea");
    const search = document.querySelector("input[type=search]");
    if (event.key === "/" && !isTyping && search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape") {
      for (const open of document.querySelectorAll(".custom[open]")) open.open = false;
    }
  });
}

// -- live -----------------------------------------------------------------------------------------------------------------------

function tick() {
  for (const time of document.querySelectorAll("time[data-since]")) time.textContent = duration(Date.now() / 1000 - Number(time.dataset.since));
}

function prepareLive() {
  const state = document.querySelector("[data-live]");
  if (!state) return;
  const place = document.getElementById("live");
  const source = new EventSource(state.dataset.live);
  source.addEventListener("live", (event) => {
    place.innerHTML = JSON.parse(event.data); // a template of the server has drawn it, with everything escaped
    place.dataset.updated = String(Date.now());
    tick();
  });
  source.addEventListener("open", () => { state.textContent = "Connected: it updates by itself."; });
  source.addEventListener("error", () => { state.textContent = "The connection was lost. It tries again."; });
  addEventListener("pagehide", () => source.close());
  tick();
  setInterval(tick, 1000);
}

async function prepareChecks() {
  const place = document.querySelector("[data-load]");
  if (!place) return;
  place.setAttribute("aria-busy", "true");
  place.querySelector(".empty").textContent = "The checks of doctor run. They take a few seconds.";
  try {
    const answer = await fetch(place.dataset.load);
    if (!answer.ok) throw new Error(answer.statusText);
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    place.replaceChildren(...parsed.getElementById("checks").childNodes);
  } catch {
    place.querySelector(".empty").textContent = "The checks could not run. Is `claude-hooks-otel serve` still running?";
  }
  place.setAttribute("aria-busy", "false");
}

document.querySelector(".pages [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
prepareTheme();
prepareTables();
prepareForms();
prepareCharts();
prepareLive();
prepareChecks();
