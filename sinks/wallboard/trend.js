// The last hour of one queue as a line, with its limits: for people who look rather than read.
import { attribute, el, svg, text } from "./dom.js";
import { duration } from "./format.js";

const STEP_MS = 10000;
const STEPS = 360;
const AGAIN_MS = 300000; // the board's own memory is asked for anew so often
const WIDTH = 1000;
const HEIGHT = 100;

export class Trend {
  constructor(ctx) {
    this.ctx = ctx;
    this.waits = new Map(); // number of the 10 s step → longest wait in s
    this.label = el("p", "label");
    this.top = el("span", "scale");
    this.line = svg("polyline", { class: "line" });
    this.limits = ["warn", "breach"].map((level) => svg("line", { class: `limit ${level}`, x1: 0, x2: WIDTH }));
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.drawing.append(...this.limits, this.line);
    this.root = el("section", "card trend", el("div", "row", this.label, this.top), this.drawing);
    this.step = 0;
    this.limitsOf = {};
    this.place = "";
    this.askedAt = -Infinity;
  }

  async ask(entry) {
    const place = JSON.stringify([entry.queue, entry.channel]);
    const anew = place !== this.place;
    if (!anew && performance.now() - this.askedAt < AGAIN_MS) return;
    if (anew) this.waits.clear();
    this.place = place;
    this.askedAt = performance.now();
    try {
      const answer = await fetch(`/api/v1/trend?${new URLSearchParams({ queue: entry.queue, channel: entry.channel })}`);
      if (!answer.ok || place !== this.place) return;
      const body = await answer.json();
      body.oldest_wait_s.forEach((s, i) => {
        if (s !== null) this.note(body.start_ms / STEP_MS + i, s);
      });
      this.draw();
    } catch {
      this.askedAt = performance.now() - AGAIN_MS + STEP_MS; // the board is away: in a moment again
    }
  }

  note(step, s) {
    this.waits.set(step, Math.max(s, this.waits.get(step) ?? 0));
  }

  tick(now, entry) {
    const step = Math.floor(now / STEP_MS);
    this.note(step, entry.oldest === null ? 0 : Math.max(0, (now - entry.oldest) / 1000));
    for (const known of this.waits.keys()) if (known <= step - STEPS) this.waits.delete(known);
    this.step = step;
    this.limitsOf = entry.standings?.oldest_wait ?? {};
    this.draw();
  }

  draw() {
    const { t } = this.ctx;
    const { step, limitsOf: { warn = null, breach = null } } = this;
    const limit = breach ?? warn;
    const highest = Math.max(60, 1.2 * (limit ?? 0), ...this.waits.values());
    const y = (s) => (HEIGHT - (s / highest) * (HEIGHT - 2) - 1).toFixed(1);
    const points = [];
    for (let i = 0; i < STEPS; i += 1) {
      const s = this.waits.get(step - STEPS + 1 + i);
      if (s !== undefined) points.push(`${((i * WIDTH) / (STEPS - 1)).toFixed(1)},${y(s)}`);
    }
    attribute(this.line, "points", points.join(" "));
    [warn, breach].forEach((s, i) => {
      this.limits[i].style.display = s === null ? "none" : "";
      if (s !== null) for (const end of ["y1", "y2"]) attribute(this.limits[i], end, y(s));
    });
    text(this.label, [t("trend"), limit === null ? "" : t("limit", { limit: duration(limit * 1000) })].filter(Boolean).join(", "));
    text(this.top, duration(highest * 1000));
  }
}
