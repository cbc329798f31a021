// Header and footer: title, the floor in three numbers or what is wrong, clock, freshness; window, zone, formula, notes.
import { byId, el, figure, text } from "./dom.js";
import { NONE, count, percent } from "./format.js";
import { counted } from "./state.js";

const QUIET_MS = 120000; // no event for so long is worth a grey note

export class Edges {
  constructor(ctx) {
    this.ctx = ctx;
    this.numbers = {};
    for (const name of ["waiting", "service_level", "free"]) {
      const label = el("span", "label");
      const value = el("b");
      this.numbers[name] = { label, value };
      byId("totals").append(el("p", "", label, " ", value));
    }
    this.hour = el("b");
    this.second = el("span");
    byId("clock").append(this.hour, this.second);
    byId("clock").hidden = ctx.o.clock === "off";
    this.zone = null;
  }

  // The floor's three numbers; of chosen queues their sums.
  draw(title, entries) {
    const { o, t, say, state } = this.ctx;
    const { head, floor } = state;
    text(byId("title"), title);
    if (document.title !== title) document.title = title;
    const { waiting, service_level, free } = this.numbers;
    text(waiting.label, say.kpi("waiting"));
    text(service_level.label, t("service_level_of", { window: say.window(head.window) }));
    text(free.label, t("agents_free"));
    const chosen = o.queue.length > 0 || o.channel.length > 0;
    const sum = (of) => entries.reduce((total, entry) => total + of(entry), 0);
    const ratio = chosen ? [0, 1].map((i) => sum((entry) => entry.service_level[i])) : floor?.service_level;
    figure(waiting.value, floor ? count(chosen ? sum((entry) => entry.waiting) : floor.waiting) : NONE);
    figure(service_level.value, ratio ? percent(ratio) : NONE);
    figure(free.value, floor ? count(floor.free) : NONE);
    text(byId("about"), [say.trailing(head.window), o.zone ?? head.zone, this.formula(entries)].filter(Boolean).join(" · "));
    text(byId("note"), this.notes().join(" · "));
  }

  formula(entries) {
    const { t } = this.ctx;
    const formulas = new Set(entries.map((entry) => entry.formula));
    const limits = new Set(entries.map((entry) => entry.answer_s));
    if (formulas.size === 0) return "";
    if (formulas.size > 1) return t("formula.mixed");
    return t(`formula.${[...formulas][0]}`, { s: limits.size === 1 ? [...limits][0] : t("mixed_s") });
  }

  notes() {
    const { o, t, say, state } = this.ctx;
    const { head, clock } = state;
    const bad = [...o.bad];
    if (o.window && head.windows.length && !head.windows.includes(o.window)) bad.push(["window", o.window]);
    const found = bad.length ? [t("bad", { what: bad.map(([name, value]) => `${name}=${value}`).join(", ") })] : [];
    if (o.names === "id" && !head.agents_allowed) found.push(t("names_off"));
    const quiet = clock.data_age_ms;
    if (head.ready && head.live && quiet !== null && quiet > QUIET_MS) found.push(t("quiet", { age: say.age(quiet) }));
    return found;
  }

  // Each second: the clock, and whether what is shown is known to be true.
  tick() {
    const { t, say, state } = this.ctx;
    const { kind, age } = state.freshness();
    const now = state.now();
    const words = { lost: () => t("lost"), old: () => t("old", { time: this.time(now - age), age: say.age(age) }) }[kind]?.() ?? "";
    document.body.dataset.fresh = kind;
    byId("banner").hidden = words === "";
    byId("totals").hidden = words !== "" || document.body.dataset.page === "queue";
    text(byId("banner"), words && `⚠ ${words}`);
    const replay = kind === "live" && state.head.live === false;
    text(byId("fresh-text"), t(replay ? "fresh.replay" : `fresh.${kind}`));
    if (now !== null) this.clock(now);
    return kind;
  }

  clock(now) {
    const [hour, second, half] = this.parts(now);
    text(this.hour, hour);
    text(this.second, `:${second}${half ? ` ${half}` : ""}`);
  }

  time(ms) {
    const [hour, second, half] = this.parts(ms);
    return `${hour}:${second}${half ? ` ${half}` : ""}`;
  }

  parts(ms) {
    const zone = this.ctx.o.zone ?? this.ctx.state.head?.zone ?? "UTC";
    if (this.zone !== zone) {
      const twelve = this.ctx.o.clock === "12";
      const options = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: twelve ? "h12" : "h23" };
      try {
        this.format = new Intl.DateTimeFormat("en-US", { ...options, timeZone: zone });
      } catch {
        this.format = new Intl.DateTimeFormat("en-US", { ...options, timeZone: "UTC" });
      }
      this.zone = zone;
    }
    const found = Object.fromEntries(this.format.formatToParts(ms).map(({ type, value }) => [type, value]));
    return [`${found.hour}:${found.minute}`, found.second, found.dayPeriod];
  }
}

// "■ 6 breach · ▲ 18 warn · 276 fine"
export function countsText(t, entries) {
  const { breach, warn, fine } = counted(entries);
  return t("counts", { breach: `■ ${breach}`, warn: `▲ ${warn}`, fine });
}
