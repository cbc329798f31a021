// Page "quality": four numbers of the day or week, each with its goal, the seven days before, and who falls short.
import { attribute, el, figure, text } from "./dom.js";
import { NONE, count, limitOf, percent, percentOf } from "./format.js";
import { MARKS } from "./lang.js";

const COMPARE_MS = 60000;
const WINDOWS = { satisfaction: "today", survey_response: "today", first_contact_resolution: "7d" };

class Card {
  constructor() {
    this.label = el("p", "label");
    this.value = el("b");
    this.note = el("p", "label note");
    this.bad = el("p", "bad");
    this.root = el("section", "card", this.label, el("p", "value", this.value), this.note, this.bad);
  }

  draw(label, value, level, notes, bad) {
    attribute(this.root, "data-level", level);
    text(this.label, level > 0 ? `${label} ${MARKS[level]}` : label);
    figure(this.value, value);
    text(this.note, notes.filter(Boolean).join(" · "));
    text(this.bad, bad);
  }
}

export class Quality {
  constructor(ctx) {
    this.ctx = ctx;
    this.cards = Object.fromEntries([...Object.keys(WINDOWS), "complaints_open"].map((kpi) => [kpi, new Card()]));
    this.root = el("div", "page quality", ...Object.values(this.cards).map((card) => card.root));
    this.before = {};
    this.askedAt = -Infinity;
  }

  title() {
    return this.ctx.o.title ?? this.ctx.t("title.quality");
  }

  draw() {
    const { t, say, state } = this.ctx;
    const { quality } = state;
    if (!quality) return;
    this.compare();
    for (const [kpi, wanted] of Object.entries(WINDOWS)) {
      const window_ = Object.hasOwn(quality[kpi], wanted) ? wanted : Object.keys(quality[kpi])[0];
      const ratio = quality[kpi][window_] ?? [0, 0];
      const goal = quality.goals[kpi];
      const before = this.before[kpi];
      const notes = [
        goal === null ? "" : t("goal.plain", { limit: limitOf(goal) }),
        Number.isFinite(before) ? t("last_week", { value: percentOf(before, [goal]) }) : "",
        kpi !== "satisfaction" && ratio[1] > 0 ? t("of", { n: ratio[0], all: ratio[1] }) : "",
      ];
      const label = `${say.kpi(kpi)}, ${say.window(window_ ?? "")}`;
      this.card(kpi, label, percent(ratio, [goal]), notes);
    }
    this.card("complaints_open", say.kpi("complaints_open"), count(quality.complaints_open ?? 0), []);
  }

  // A card stands as its worst queue does, and names it.
  card(kpi, label, value, notes) {
    const bad = this.ctx.state.quality.bad[kpi] ?? [];
    const names = bad.slice(0, 3).map(({ queue, level, value: at }) => {
      const share = kpi === "complaints_open" ? count(at ?? 0) : at === null ? NONE : percentOf(at);
      return `${MARKS[level]} ${queue} ${share}`;
    });
    this.cards[kpi].draw(label, value, bad[0]?.level ?? 0, notes, names.join("   "));
  }

  async compare() {
    if (performance.now() - this.askedAt < COMPARE_MS) return;
    this.askedAt = performance.now();
    for (const kpi of Object.keys(WINDOWS)) {
      try {
        const answer = await fetch(`/api/v1/comparisons?${new URLSearchParams({ kpi })}`);
        if (!answer.ok) continue;
        const base = (await answer.json()).floor?.kpis?.[kpi]?.["7d/before"]?.base;
        this.before[kpi] = base;
      } catch {
        // the board is away: what it said before stays
      }
    }
    this.draw();
  }

  tick() {
    return false;
  }
}
