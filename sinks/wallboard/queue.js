// Page "one queue": who has waited longest, how many wait, and how the window went.
import { attribute, el, figure, fit, text } from "./dom.js";
import { NONE, count, duration, limitOf, mean, percent, percentOf } from "./format.js";
import { MARKS } from "./lang.js";
import { levelAt, limitsOf, offending, standing } from "./state.js";
import { Trend } from "./trend.js";

const COMPARE_MS = 60000;

class Card {
  constructor() {
    this.label = el("p", "label");
    this.value = el("b");
    this.beside = el("span", "beside");
    this.note = el("p", "label note");
    this.meter = el("div", "meter", el("i"), el("u"));
    this.root = el("section", "card", this.label, el("p", "value", this.value, " ", this.beside), this.meter, this.note);
    this.meter.hidden = true;
  }

  draw(label, value, level, { beside = "", note = "" } = {}) {
    attribute(this.root, "data-level", level);
    text(this.label, level > 0 ? `${label} ${MARKS[level]}` : label);
    figure(this.value, value, level);
    text(this.beside, beside);
    text(this.note, note);
    this.fit();
  }

  fit() {
    const texts = this.label.textContent + this.note.textContent;
    if (texts === this.fitted || !this.root.isConnected) return;
    this.fitted = texts;
    fit(this.label);
    fit(this.note);
  }

  // A share of a goal as a bar: `share` filled, a mark at `goal`.
  bar(share, goal) {
    this.meter.hidden = share === null;
    if (share === null) return;
    this.meter.firstChild.style.setProperty("width", `${(100 * share).toFixed(1)}%`);
    this.meter.lastChild.hidden = goal === null;
    if (goal !== null) this.meter.lastChild.style.setProperty("left", `${(100 * goal).toFixed(1)}%`);
  }
}

export class OneQueue {
  constructor(ctx) {
    this.ctx = ctx;
    this.oldestLabel = el("span", "label");
    this.state = el("span", "state");
    this.oldest = el("b", "huge");
    this.waitingLabel = el("p", "label");
    this.waiting = el("b", "huge");
    this.next = el("p", "next");
    const top = el("div", "row", this.oldestLabel, this.state);
    this.top = top;
    this.hero = el("section", "card hero", top, this.oldest, this.waitingLabel, this.waiting, this.next);
    this.cards = [new Card(), new Card(), new Card(), new Card()];
    this.trend = new Trend(ctx);
    this.root = el("div", "page queue", this.hero, ...this.cards.map((card) => card.root), this.trend.root);
    this.compared = { place: "", at: -Infinity, sides: {} };
  }

  title() {
    return this.entry ? this.entry.queue : "";
  }

  draw(entry) {
    const { t, say } = this.ctx;
    this.entry = entry;
    this.trend.ask(entry);
    this.compare(entry);
    const level = Math.max(levelAt(entry, "oldest_wait"), levelAt(entry, "waiting"));
    attribute(this.hero, "data-level", level);
    text(this.oldestLabel, say.kpi("oldest_wait"));
    const limit = standing(entry, "oldest_wait")?.[level === 2 ? "breach" : "warn"] ?? null;
    const beyond = levelAt(entry, "oldest_wait") === level && limit !== null ? ` > ${duration(limit * 1000)}` : "";
    text(this.state, level > 0 ? say.level(level) + beyond : "");
    text(this.waitingLabel, say.kpi("waiting"));
    figure(this.waiting, count(entry.waiting), levelAt(entry, "waiting"));
    const { expected_s: expected } = entry;
    const waits = expected > 0 ? t("next_waits", { d: duration(expected * 1000) }) : t("next_waits_not");
    text(this.next, expected === null ? t("next_unknown") : waits);
    this.fit();
    this.drawCards(entry);
  }

  drawCards(entry) {
    const { t, say, state } = this.ctx;
    const window_ = say.window(state.head.window);
    const [level, lost, free, speed] = this.cards;
    this.ratio(level, entry, "service_level", (limit) => t("goal.up", { limit, s: entry.answer_s }));
    this.ratio(lost, entry, "abandonment", (limit) => t("goal.down", { limit }));
    const slots = levelAt(entry, "slots_free");
    const beside = entry.capacity === null ? "" : `/ ${count(entry.capacity)}`;
    free.draw(say.kpi("slots_free"), count(entry.slots_free), slots, { beside, note: t("slots", { n: count(entry.active) }) });
    const kpi = entry.text ? "first_response" : "speed_of_answer";
    const sides = this.compared.sides;
    const note = ["yesterday", "week_ago"]
      .filter((side) => Number.isFinite(sides[side]))
      .map((side) => t(side, { value: duration(Math.round(sides[side]) * 1000) }));
    speed.draw(`${say.kpi(kpi)}, ${window_}`, mean(entry[kpi], limitsOf(entry, kpi)), levelAt(entry, kpi), { note: note.join(" · ") });
  }

  ratio(card, entry, kpi, goalText) {
    const { t, say, state } = this.ctx;
    const [top, bottom] = entry[kpi];
    const goal = standing(entry, kpi)?.warn ?? null;
    const limits = limitsOf(entry, kpi);
    const shown = percent(entry[kpi], limits);
    const judged = offending(entry, kpi, state.head.window);
    const of = bottom > 0 ? t("of", { n: top, all: bottom }) : "";
    const note = [goal === null ? "" : goalText(limitOf(goal)), judged ? `${say.window(state.head.window)}: ${shown}` : of];
    const label = `${say.kpi(kpi)}, ${say.window(judged?.window ?? state.head.window)}`;
    card.draw(label, judged ? percentOf(judged.value, limits) : shown, levelAt(entry, kpi), { note: note.filter(Boolean).join(" · ") });
    card.bar(bottom > 0 && kpi === "service_level" ? (judged?.value ?? top / bottom) : null, goal);
  }

  sizes() {
    return [this.oldest, this.waiting, this.state, this.next].map((each) => each.textContent.length).join();
  }

  fit() {
    if (!this.root.isConnected) return;
    this.lengths = this.sizes();
    for (const row of [this.top, this.oldest, this.waiting, this.next]) fit(row);
    for (const card of this.cards) card.fit();
  }

  // Yesterday and a week ago, up to the same time: what the board compares each quarter-hour.
  async compare(entry) {
    const kpi = entry.text ? "first_response" : "speed_of_answer";
    const place = JSON.stringify([entry.queue, entry.channel]);
    if (place === this.compared.place && performance.now() - this.compared.at < COMPARE_MS) return;
    const compared = { place, at: performance.now(), sides: place === this.compared.place ? this.compared.sides : {} };
    this.compared = compared;
    try {
      const asked = new URLSearchParams({ queue: entry.queue, channel: entry.channel, kpi });
      const answer = await fetch(`/api/v1/comparisons?${asked}`);
      if (!answer.ok) return;
      const kpis = (await answer.json()).queues[0]?.kpis ?? {};
      const sides = Object.values(kpis)[0] ?? {};
      compared.sides = { yesterday: sides["today/yesterday"]?.base, week_ago: sides["today/week_ago"]?.base };
      this.drawCards(this.entry);
    } catch {
      // the board is away: what it said before stays
    }
  }

  tick(now) {
    const { oldest } = this.entry;
    figure(this.oldest, oldest === null ? NONE : duration(now - oldest), levelAt(this.entry, "oldest_wait"));
    if (this.lengths !== this.sizes()) this.fit();
    this.trend.tick(now, this.entry);
    return false;
  }
}
