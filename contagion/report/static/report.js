"use strict";
/* What moves in a report: a clock with its player, the network at the clock, charts with one cursor, tables as CSV.
   The page is complete without this file: it changes attributes of what is there and lays canvases over still pictures. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [START, END] = data.span;
  const PLAY_S = 30; // the whole span takes that long
  const FADE = (END - START) / 60; // how long an edge stays lit
  const STEP_MS = 1000; // from failure to failure, for who wants no motion
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const element = (id) => document.getElementById(id);

  /** How many of the sorted `times` are at or before `t`. */
  function until(times, t) {
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= t) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** 2307.0438 -> "0:38:27.044", as everywhere in the program. */
  function clockText(seconds, digits = 3) {
    const scale = 10 ** digits;
    const whole = Math.round(Math.abs(seconds) * scale);
    const minutes = Math.floor(whole / scale / 60);
    const rest = (whole / scale - minutes * 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    const sign = seconds < 0 && whole ? "-" : "";
    return `${sign}${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
  }

  /* ---- the clock: one number, and who watches it ---- */

  let clock = END;
  const watchers = [];

  function seek(t) {
    clock = Math.min(END, Math.max(START, t));
    for (const watch of watchers) watch(clock);
  }

  /* ---- the network: attributes of the SVG that is there ---- */

  function byIndex(svg, name) {
    const found = [];
    for (const part of svg.querySelectorAll(`.${name}`)) found[Number(part.dataset[name])] = part;
    return found;
  }

  /** Return a function of the clock that brings nodes to their states: only what was crossed is touched. */
  function states(svg, { nodes, states: changes }) {
    const parts = byIndex(svg, "node");
    const times = changes.map(([t]) => t);
    const now = nodes.map(() => 0);
    const before = changes.map(([, node, state]) => {
      const old = now[node];
      now[node] = state;
      return old;
    });
    let done = changes.length; // the picture in the file is that of the end
    function draw(node) {
      const part = parts[node];
      if (!part) return;
      part.dataset.state = now[node];
      part.querySelector("use").setAttribute("href", `#state-${now[node]}`);
    }
    return (t) => {
      const target = until(times, t);
      const touched = new Set();
      for (; done < target; done++) {
        now[changes[done][1]] = changes[done][2];
        touched.add(changes[done][1]);
      }
      while (done > target) {
        done--;
        now[changes[done][1]] = before[done];
        touched.add(changes[done][1]);
      }
      touched.forEach(draw);
    };
  }

  /** Return a function of the clock that lights the edges along which something has just passed. */
  function lights(svg, { pulses }) {
    const parts = byIndex(svg, "edge");
    const times = pulses.map(([t]) => t);
    const heaviest = pulses.reduce((most, [, , weight]) => Math.max(most, weight), 0) || 1;
    let lit = new Map();
    return (t) => {
      const levels = new Map();
      for (let i = until(times, t) - 1; i >= 0 && times[i] > t - FADE; i--) {
        const [, edge, weight] = pulses[i];
        const fresh = 1 - (t - times[i]) / FADE;
        const level = Math.ceil(4 * fresh * (0.5 + 0.5 * Math.sqrt(weight / heaviest)));
        if (level > (levels.get(edge) ?? 0)) levels.set(edge, level);
      }
      for (const edge of lit.keys()) if (!levels.has(edge)) parts[edge]?.removeAttribute("data-lit");
      for (const [edge, level] of levels) if (lit.get(edge) !== level) parts[edge]?.setAttribute("data-lit", level);
      lit = levels;
    };
  }

  /* ---- the player ---- */

  function player() {
    const { failures } = data;
    const times = failures.map(([t]) => t);
    const [play, range, output] = [element("play"), element("clock"), element("now")];
    let playing = false;
    let seen = 0;

    const next = () => times[until(times, clock)];
    const previous = () => times[until(times, clock) - 1 - repeats()];
    /** How many failures are at the clock itself: a step back goes before all of them. */
    function repeats() {
      let n = 0;
      for (let i = until(times, clock) - 1; i >= 0 && times[i] === clock; i--) n++;
      return n;
    }
    function jump(t) {
      stop();
      if (t !== undefined) seek(t);
    }
    function stop() {
      playing = false;
      play.textContent = "Play";
      output.setAttribute("aria-live", "polite");
    }
    function start() {
      if (clock >= END) seek(START);
      playing = true;
      play.textContent = "Pause";
      output.setAttribute("aria-live", "off"); // sixty announcements a second help nobody
      seen = performance.now();
      if (calm.matches) setTimeout(hop, STEP_MS);
      else requestAnimationFrame(frame);
    }
    function frame(at) {
      if (!playing) return;
      seek(clock + (Math.max(0, at - seen) / 1000 / PLAY_S) * (END - START));
      seen = at;
      if (clock < END) requestAnimationFrame(frame);
      else stop();
    }
    function hop() {
      if (!playing) return;
      seek(next() ?? END);
      if (clock < END) setTimeout(hop, STEP_MS);
      else stop();
    }
    function tell(t) {
      const count = until(times, t);
      const last = count ? `failure ${count} of ${times.length}: ${failures[count - 1][2]}` : "before the first failure";
      const text = `${clockText(t)} · ${times.length ? last : "no failure"}`;
      output.value = text;
      range.value = t;
      range.setAttribute("aria-valuetext", text);
    }
    const toggle = () => (playing ? stop() : start());
    function key(event) {
      if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("a, summary, table")) return;
      const own = event.target.tagName; // a button is pressed by space and a slider moved by arrows without us
      if (event.key === " " && own !== "BUTTON") toggle();
      else if (event.key === "ArrowRight" && own !== "INPUT") jump(next());
      else if (event.key === "ArrowLeft" && own !== "INPUT") jump(previous());
      else return;
      event.preventDefault();
    }

    Object.assign(range, { min: START, max: END, step: "any" });
    play.addEventListener("click", toggle);
    element("previous").addEventListener("click", () => jump(previous()));
    element("next").addEventListener("click", () => jump(next()));
    range.addEventListener("input", () => jump(Number(range.value)));
    element("time").addEventListener("keydown", key);
    watchers.push(tell);
    stop();
    element("player").hidden = false;
    return jump;
  }

  /* ---- charts ---- */

  // The same patterns as the classes series-1 to series-8 of the style sheet.
  const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [6, 2], [1, 4], [14, 4], [4, 4, 1, 4]];
  const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];
  const INCREMENTS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, ...SECONDS];
  for (let days = 1; days < 10000; days *= 10) INCREMENTS.push(86400 * days, 172800 * days, 432000 * days);
  const number = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 6 });
  const numberText = (value) => (value == null ? "–" : number.format(value));
  const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const slot = (index) => index % DASHES.length;

  function axes(unit) {
    const line = { stroke: colour("--line"), width: 1 };
    const common = { stroke: colour("--muted"), grid: line, ticks: line, font: "12px system-ui, sans-serif" };
    const ticks = (_, at, __, ___, step) => at.map((t) => (step < 1 ? clockText(t) : clockText(t, 0)));
    const width = (_, texts) => 14 + 7 * Math.max(2, ...(texts ?? []).map((text) => text?.length ?? 0));
    return [
      { ...common, incrs: INCREMENTS, values: ticks, space: 70 },
      {
        ...common, label: unit, labelSize: 18, labelFont: "12px system-ui, sans-serif", size: width,
        values: (_, at) => at.map((value) => (value == null ? "" : number.format(value))),
      },
    ];
  }

  function series({ label, steps }, index) {
    return {
      label, stroke: colour(`--series-${slot(index) + 1}`), width: 1.75, dash: DASHES[slot(index)],
      paths: steps ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
      points: { show: false }, value: (_, value) => numberText(value),
    };
  }

  /** Show each series' dash pattern in the legend, where uPlot has a square of its colour. */
  function keys(plot) {
    plot.root.querySelectorAll(".u-legend .u-marker").forEach((marker, index) => {
      const name = "http://www.w3.org/2000/svg";
      const svg = document.createElementNS(name, "svg");
      const line = svg.appendChild(document.createElementNS(name, "line"));
      Object.entries({ x1: 0, x2: 36, y1: 5, y2: 5 }).forEach(([key, value]) => line.setAttribute(key, value));
      svg.setAttribute("class", "key");
      line.setAttribute("class", `series-${slot(index) + 1}`);
      marker.replaceWith(svg);
    });
  }

  function chart(spec, jump) {
    const box = element(`chart-${spec.id}`).querySelector(".live");
    box.hidden = false;
    const hand = Object.assign(document.createElement("div"), { className: "hand" });
    const shown = (value) => (spec.log && value <= 0 ? null : value);
    const height = () => (box.clientWidth < 500 ? 200 : 260);
    const point = () => {
      const x = plot.valToPos(clock, "x");
      hand.hidden = !(x >= 0 && x <= plot.over.clientWidth);
      hand.style.transform = `translateX(${x}px)`;
    };
    const options = {
      width: box.clientWidth, height: height(), axes: axes(spec.unit),
      scales: { x: { time: false, range: (_, low, high) => [low, high] }, y: { distr: spec.log ? 3 : 1 } },
      series: [{ label: "time", value: (_, t) => (t == null ? "–" : clockText(t)) }, ...spec.series.map(series)],
      cursor: { sync: { key: "clock", scales: ["x", null], setSeries: false }, y: false },
      legend: { markers: { show: true } }, hooks: { draw: [() => plot && point()] },
    };
    let plot = null;
    plot = new uPlot(options, [spec.t, ...spec.series.map(({ values }) => values.map(shown))], box);
    plot.over.append(hand);
    plot.over.addEventListener("click", () => jump(plot.posToVal(plot.cursor.left, "x")));
    keys(plot);
    watchers.push(point);
    new ResizeObserver(() => {
      if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: height() });
    }).observe(box);
    dark.addEventListener("change", () => plot.redraw(false));
  }

  /* ---- tables as files ---- */

  function csv(table) {
    const text = (cell) => (cell.dataset.value ?? cell.textContent).trim();
    const quoted = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    return [...table.rows].map((row) => [...row.cells].map((cell) => quoted(text(cell))).join(",")).join("\r\n") + "\r\n";
  }

  function download(event) {
    const link = event.target.closest("a.csv");
    if (!link || !link.getAttribute("href")?.startsWith("#")) return;
    event.preventDefault();
    const url = URL.createObjectURL(new Blob([csv(link.closest("details, figure, section").querySelector("table"))], { type: "text/csv" }));
    Object.assign(document.createElement("a"), { href: url, download: link.download }).click();
    URL.revokeObjectURL(url);
  }

  /* ---- paper shows the end ---- */

  function paper() {
    let kept = END;
    addEventListener("beforeprint", () => {
      kept = clock;
      seek(END);
    });
    addEventListener("afterprint", () => seek(kept));
  }

  document.documentElement.classList.add("live");
  const svg = document.querySelector("#network svg");
  if (svg) watchers.push(states(svg, data.network), lights(svg, data.network));
  const jump = player();
  for (const spec of data.charts) chart(spec, jump);
  document.addEventListener("click", download);
  paper();
  seek(END);
})();
