"use strict";
/* What moves in a report: a clock with its player, the network at the clock, charts with one cursor.
   The page is complete without this file: it changes attributes of what is there and lays canvases over still pictures. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [START, END] = data.span;
  const PLAY_S = 30; // the whole span takes that long
  const FADE = (END - START) / 60; // how long an edge stays lit
  const STEP_MS = 1000; // from failure to failure, for who wants no motion
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const hovers = matchMedia("(hover: hover)");
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

  /** Let the clock run, or hop to what `next` says for who wants no motion. Returns how to start and stop it. */
  function motion(next) {
    const play = element("play");
    const output = element("now");
    let waiting = null; // how to cancel the step to come, while it plays
    let seen = 0;

    function stop() {
      waiting?.();
      waiting = null;
      play.textContent = "Play";
      output.setAttribute("aria-live", "polite");
    }
    function wait() {
      if (clock >= END) return stop();
      if (calm.matches) {
        const id = setTimeout(hop, STEP_MS);
        waiting = () => clearTimeout(id);
      } else {
        const id = requestAnimationFrame(frame);
        waiting = () => cancelAnimationFrame(id);
      }
    }
    function frame(at) {
      seek(clock + (Math.max(0, at - seen) / 1000 / PLAY_S) * (END - START));
      seen = at;
      wait();
    }
    function hop() {
      seek(next() ?? END);
      wait();
    }
    function start() {
      if (clock >= END) seek(START);
      play.textContent = "Pause";
      output.setAttribute("aria-live", "off"); // sixty announcements a second help nobody
      seen = performance.now();
      wait();
    }
    return { stop, toggle: () => (waiting ? stop() : start()) };
  }

  /** Connect slider, buttons and keys to the clock. Returns what sets it by hand. */
  function player() {
    const { failures } = data;
    const times = failures.map(([t]) => t);
    const range = element("clock");
    const next = () => times[until(times, clock)];
    /** The last failure before the clock: several may be at the clock itself. */
    function previous() {
      let place = until(times, clock) - 1;
      while (place >= 0 && times[place] === clock) place--;
      return times[place];
    }
    const { stop, toggle } = motion(next);
    function jump(t) {
      stop();
      if (t !== undefined) seek(t);
    }
    function tell(t) {
      const count = until(times, t);
      const last = count ? `failure ${count} of ${times.length}: ${failures[count - 1][2]}` : "before the first failure";
      const text = `${clockText(t)} · ${times.length ? last : "no failure"}`;
      element("now").value = text;
      range.value = t;
      range.setAttribute("aria-valuetext", text);
    }
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
    element("play").addEventListener("click", toggle);
    element("previous").addEventListener("click", () => jump(previous()));
    element("next").addEventListener("click", () => jump(next()));
    range.addEventListener("input", () => jump(Number(range.value)));
    element("time").addEventListener("keydown", key);
    watchers.push(tell);
    element("player").hidden = false;
    return jump;
  }

  /** The network can be reached by the keyboard, for the keys of the player. */
  function reachable(picture) {
    picture.tabIndex = 0;
    picture.setAttribute("role", "group");
    picture.setAttribute("aria-label", "The network at the clock. Space plays, left and right go to a failure.");
  }

  /* ---- charts ---- */

  const DASHES = [[], [6, 3], [2, 3], [9, 3, 2, 3]]; // as .d0 to .d3 of the style sheet
  const COLOURS = 8; // --s0 to --s7
  const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];
  const INCREMENTS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, ...SECONDS];
  for (let days = 1; days < 10000; days *= 10) INCREMENTS.push(86400 * days, 172800 * days, 432000 * days);
  const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
  const numberText = (value) => (value == null ? "–" : (Math.abs(value) < 1e6 ? plain : compact).format(value));
  const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** Powers of ten between `low` and `high`, at most six: their multiples would hatch the picture. */
  function decades(_, __, low, high) {
    const all = [];
    for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power++) all.push(10 ** power);
    return all.filter((___, index) => index % Math.ceil(all.length / 6) === 0);
  }

  function axes(log) {
    const line = { stroke: colour("--line"), width: 1 };
    const common = { stroke: colour("--quiet"), grid: line, ticks: line, font: "12px system-ui, sans-serif" };
    const ticks = (_, at, __, ___, step) => at.map((t) => (step < 1 ? clockText(t) : clockText(t, 0)));
    return [
      { ...common, incrs: INCREMENTS, values: ticks, space: 70, size: 36 },
      {
        ...common, size: 68, values: (_, at) => at.map(numberText),
        ...(log && { splits: decades, filter: (_, at) => at }),
      },
    ];
  }

  /** A line, and where the data has what happened within each step, two unseen ones with a band between them. */
  function curves({ label, values, low, high, steps }, index, bars) {
    const stroke = colour(`--s${index % COLOURS}`);
    const points = { show: false };
    const line = {
      label, stroke, points, width: index < DASHES.length ? 1.75 : 3, dash: DASHES[index % DASHES.length], value: (_, value) => numberText(value),
      paths: steps || bars ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
      ...(bars && { fill: () => `${stroke()}40` }),
    };
    const edge = { points, width: 0, class: "edge-of-band", paths: uPlot.paths.stepped({ align: -1 }) };
    const all = [{ curve: line, values }];
    if (low) all.push({ curve: edge, values: high, band: () => `${stroke()}38` }, { curve: edge, values: low });
    return all;
  }

  /** Show each line's dashes in the legend, where uPlot has a square of its colour. */
  function keys(plot) {
    plot.root.querySelectorAll(".u-legend .edge-of-band").forEach((row) => row.remove());
    plot.root.querySelectorAll(".u-legend .u-marker").forEach((marker, place) => {
      if (place === 0) return marker.remove(); // the time has no line
      const name = "http://www.w3.org/2000/svg";
      const svg = document.createElementNS(name, "svg");
      const line = svg.appendChild(document.createElementNS(name, "line"));
      Object.entries({ x1: 0, x2: 36, y1: 5, y2: 5 }).forEach(([key, value]) => line.setAttribute(key, value));
      svg.setAttribute("class", "key");
      line.setAttribute("class", `line s${(place - 1) % COLOURS} d${(place - 1) % DASHES.length}`);
      marker.replaceWith(svg);
    });
  }

  function options(spec, all, hooks) {
    const scale = spec.log ? { distr: 3 } : spec.kind === "bars" ? { range: (_, __, high) => [0, high * 1.05 || 1] } : {};
    const bands = all.flatMap(({ band }, place) => (band ? [{ series: [place + 1, place + 2], fill: band }] : []));
    const [first, last] = [spec.t[0], spec.t.at(-1)];
    const span = (_, low, high) => (low === first && high === last ? data.span : [low, high]); // all alike, until zoomed
    return {
      axes: axes(spec.log), bands, hooks, scales: { x: { time: false, range: span }, y: scale },
      series: [{ label: "time", value: (_, t) => (t == null ? "–" : clockText(t)) }, ...all.map(({ curve }) => curve)],
      cursor: { sync: { key: "clock", scales: ["x", null], setSeries: false }, y: false },
    };
  }

  function chart(spec, jump) {
    const figure = element(`chart-${spec.id}`);
    const box = figure.querySelector(".live");
    box.hidden = false;
    const size = () => ({ width: box.clientWidth, height: box.clientWidth < 700 ? 210 : 270 });
    const all = spec.series.flatMap((one, index) => curves(one, index, spec.kind === "bars"));
    const columns = all.map(({ values }) => (spec.log ? values.map((value) => (value > 0 ? value : null)) : values));
    const hand = Object.assign(document.createElement("div"), { className: "hand" });
    /** Move the hand to the clock; the legend says what was there, unless the reader points elsewhere. Asks for no layout. */
    function point() {
      const x = plot.valToPos(clock, "x");
      hand.hidden = !(x >= 0 && x <= plot.bbox.width / uPlot.pxRatio);
      hand.style.transform = `translateX(${x}px)`;
      const idx = Math.max(0, until(spec.t, clock) - 1);
      if (!(plot.cursor.left >= 0) && plot.legend.idx !== idx) plot.setLegend({ idx });
    }
    /** A band goes and comes with its line. */
    function follow(_, index, { show }) {
      for (let place = index; show != null && all[place]?.curve.class; place++) plot.setSeries(place + 1, { show }, false);
    }
    const made = () => plot && point(); // uPlot draws and moves its cursor before it has returned
    const hooks = { draw: [made], setCursor: [made], setSeries: [follow] };
    let plot = null;
    plot = new uPlot({ ...size(), ...options(spec, all, hooks) }, [spec.t, ...columns], box);
    plot.over.append(hand);
    plot.over.addEventListener("click", () => {
      jump(plot.posToVal(plot.cursor.left, "x"));
      if (!hovers.matches) plot.setCursor({ left: -1, top: -1 }); // a finger that has gone points at nothing
    });
    keys(plot);
    figure.classList.add("moving"); // its still picture is for paper now
    watchers.push(point);
    new ResizeObserver(() => box.clientWidth && box.clientWidth !== plot.width && plot.setSize(size())).observe(box);
    dark.addEventListener("change", () => plot.redraw(false));
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

  const svg = document.querySelector("#network svg");
  if (svg) watchers.push(states(svg, data.network), lights(svg, data.network));
  reachable(element("network"));
  const jump = player();
  for (const spec of data.charts) chart(spec, jump);
  paper();
  seek(END);
})();
