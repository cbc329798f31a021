// Page "agents": five counts, and a row per group: who does what, how busy, what is free. Single agents only where allowed.
import { arrange, attribute, el, figure, text } from "./dom.js";
import { NONE, count, percent } from "./format.js";
import { MARKS } from "./lang.js";
import { levelAt, levelOf, limitsOf } from "./state.js";

const TURN_MS = 10000;
const ROWS = 8; // groups that can be read at once; more take turns
const ROWS_BESIDE_NAMES = 5;
const CELLS = 60;
const BAR = ["free", "in_session", "busy", "away", "rest", "learning"]; // a fixed order, each its shade

const parts = (entry) => ({ ...entry, rest: entry.break + entry.meal, learning: entry.training + entry.meeting });

class Row {
  constructor() {
    this.name = el("th", "name");
    this.name.scope = "row";
    this.pieces = BAR.map((part) => el("span", `piece ${part}`));
    this.bar = el("div", "bar", ...this.pieces);
    this.occupancy = el("b");
    this.slots = el("b");
    this.mark = el("span", "mark");
    this.note = el("span", "label");
    this.busy = el("span", "pill", this.occupancy, this.mark);
    const cells = [el("td", "", this.bar), el("td", "", this.busy, this.note), el("td", "right", this.slots)];
    this.element = el("tr", "", this.name, ...cells);
  }

  draw(ctx, entry) {
    const { t } = ctx;
    const found = parts(entry);
    text(this.name, entry.group);
    BAR.forEach((part, i) => {
      const n = found[part];
      this.pieces[i].hidden = n === 0;
      this.pieces[i].style.setProperty("flex-grow", n);
      text(this.pieces[i], count(n));
      attribute(this.pieces[i], "title", `${t(`status.${part}`)}: ${n}`);
    });
    const level = levelAt(entry, "occupancy");
    const few = entry.occupancy === null;
    attribute(this.busy, "data-level", level);
    text(this.occupancy, few ? NONE : percent(entry.occupancy, limitsOf(entry, "occupancy")));
    text(this.mark, MARKS[level] && ` ${MARKS[level]}`);
    text(this.note, few && entry.staffed > 0 ? t("too_few") : "");
    figure(this.slots, count(entry.slots_free), levelAt(entry, "slots_free"));
  }
}

export class Agents {
  constructor(ctx) {
    this.ctx = ctx;
    this.counts = BAR.slice(0, 5).map((part) => {
      const value = el("b");
      const label = el("p", "label");
      return { part, value, label, root: el("section", `card count ${part}`, value, label) };
    });
    this.heads = [el("th"), el("th"), el("th"), el("th", "right")];
    for (const head of this.heads) head.scope = "col";
    this.rows = new Map();
    this.body = el("tbody");
    this.part = el("p", "label part");
    const table = el("table", "", el("thead", "", el("tr", "", ...this.heads)), this.body);
    this.names = el("div", "names");
    this.root = el(
      "div", "page agents",
      el("div", "five", ...this.counts.map((each) => each.root)),
      el("section", "card groups", table, this.part),
      this.names,
    );
    this.turn = 0;
    this.turnedAt = 0;
  }

  title() {
    return this.ctx.o.title ?? this.ctx.t("title.agents");
  }

  draw() {
    const { o, t, say, state } = this.ctx;
    const all = [...state.groups.values()].filter((entry) => !o.group.length || o.group.includes(entry.group));
    const sum = (part) => all.reduce((total, entry) => total + parts(entry)[part], 0);
    const floor = state.floor ? parts(state.floor) : {};
    for (const { part, value, label } of this.counts) {
      figure(value, count((o.group.length ? sum(part) : floor[part]) ?? 0));
      text(label, t(`status.${part}`));
    }
    ["group", "", "occupancy", "slots_free"].forEach((name, i) => {
      text(this.heads[i], name === "group" ? t("group") : name ? say.kpi(name) : "");
    });
    const rows = Math.max(2, Math.floor((state.agents.size ? ROWS_BESIDE_NAMES : ROWS) / o.zoom));
    this.turns = Math.max(1, Math.ceil(all.length / rows));
    this.turn %= this.turns;
    const sorted = all.sort((a, b) => (a.group < b.group ? -1 : 1));
    const shown = this.turns > 1 ? sorted.slice(this.turn * rows, (this.turn + 1) * rows) : sorted;
    arrange(this.body, shown.map((entry) => this.row(entry).element));
    for (const group of this.rows.keys()) if (!state.groups.has(JSON.stringify([group]))) this.rows.delete(group);
    const breaches = all.filter((entry) => levelOf(entry) === 2).length;
    const from = this.turn * rows + 1;
    const some = t("some", { from, to: from + shown.length - 1, n: all.length });
    text(this.part, this.turns > 1 ? `${some}${breaches ? ` · ■ ${breaches}` : ""}` : "");
    this.drawNames();
  }

  row(entry) {
    const row = this.rows.get(entry.group) ?? new Row();
    this.rows.set(entry.group, row);
    row.draw(this.ctx, entry);
    return row;
  }

  // Single agents by id: only what the board sends, which is nothing unless its settings say so.
  drawNames() {
    const { o, t, state } = this.ctx;
    const agents = o.names === "id" ? [...state.agents.values()].sort((a, b) => (a.agent < b.agent ? -1 : 1)) : [];
    this.names.hidden = agents.length === 0;
    const cells = agents.slice(0, CELLS).map(({ agent, status, sessions }) => {
      const doing = sessions > 0 ? `${t("status.in_session")} ${sessions}` : t(`status.${status}`);
      return el("p", `person ${sessions > 0 ? "in_session" : status}`, el("b", "", agent), " ", el("span", "label", doing));
    });
    if (agents.length > CELLS) cells.push(el("p", "label", t("more", { n: agents.length - CELLS })));
    this.names.replaceChildren(...cells);
  }

  step(by) {
    this.turn = (this.turn + by + (this.turns ?? 1)) % (this.turns ?? 1);
    this.turnedAt = performance.now();
  }

  tick() {
    const due = (this.turns ?? 1) > 1 && !this.ctx.still() && performance.now() - this.turnedAt >= TURN_MS;
    if (due) this.step(1);
    return due;
  }
}
