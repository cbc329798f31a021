// view=table: the same numbers as a real table, for screen readers and for those who rather read.
import { arrange, attribute, el, figure, text } from "./dom.js";
import { NONE, count, duration, percent } from "./format.js";
import { ORDERS, keyOf, levelAt, levelOf, limitsOf } from "./state.js";

const QUEUE = ["queue", "channel", "state", "oldest_wait", "waiting", "service_level", "abandonment", "expected_wait"];
const GROUP = ["group", "free", "in_session", "busy", "away", "rest", "learning", "occupancy", "slots_free"];
const QUALITY = ["satisfaction", "survey_response", "first_contact_resolution", "complaints_open"];
const WORDS = ["queue", "channel", "state", "group", "value"];
const STATUS = ["free", "in_session", "busy", "away", "rest", "learning"];

export class Table {
  constructor(ctx, kind) {
    this.ctx = ctx;
    this.kind = kind;
    this.columns = { agents: GROUP, quality: ["", "value"] }[kind] ?? QUEUE;
    this.rows = new Map();
    this.caption = el("caption");
    this.heads = this.columns.map(() => el("th"));
    for (const head of this.heads) head.scope = "col";
    this.body = el("tbody");
    this.root = el("div", "page as-table", el("table", "", this.caption, el("thead", "", el("tr", "", ...this.heads)), this.body));
    attribute(this.root, "tabindex", 0); // so that it can be scrolled by keys
  }

  title() {
    const { o, t, state } = this.ctx;
    return o.title ?? (state.head.title || t(`title.${this.kind === "queue" ? "queues" : this.kind}`));
  }

  draw(entries) {
    const { t, say } = this.ctx;
    const what = { agents: "groups", quality: "quality" }[this.kind] ?? "queues";
    text(this.caption, t(`table.${what}`));
    this.columns.forEach((column, i) => {
      const word = WORDS.includes(column) ? t(column) : STATUS.includes(column) ? t(`status.${column}`) : column && say.kpi(column);
      text(this.heads[i], word);
    });
    const rows = { groups: () => this.groups(), quality: () => this.quality(), queues: () => this.queues(entries) }[what]();
    arrange(this.body, rows);
    const present = new Set(rows);
    for (const [key, row] of this.rows) if (!present.has(row.element)) this.rows.delete(key);
  }

  row(key, cells, level = 0) {
    let row = this.rows.get(key);
    if (!row) {
      row = cells.map((_, i) => el(i === 0 ? "th" : "td"));
      row[0].scope = "row";
      row.element = el("tr", "", ...row);
      this.rows.set(key, row);
    }
    cells.forEach(([value, offends], i) => figure(row[i], value, offends));
    attribute(row.element, "data-level", level);
    return row;
  }

  queues(entries) {
    const { o, say, t } = this.ctx;
    return [...entries].sort(ORDERS[o.sort]).map((entry) => {
      const level = levelOf(entry);
      const ratio = (kpi) => [percent(entry[kpi], limitsOf(entry, kpi)), levelAt(entry, kpi)];
      const expected = entry.expected_s === null ? NONE : duration(entry.expected_s * 1000);
      const row = this.row(keyOf(entry.queue, entry.channel), [
        [entry.queue], [entry.channel], [say.level(level) || t("level.0")], [NONE, levelAt(entry, "oldest_wait")],
        [count(entry.waiting), levelAt(entry, "waiting")], ratio("service_level"), ratio("abandonment"), [expected],
      ], level);
      row.entry = entry;
      return row.element;
    });
  }

  groups() {
    const { o, state } = this.ctx;
    const all = [...state.groups.values()].filter((entry) => !o.group.length || o.group.includes(entry.group));
    return all.sort((a, b) => (a.group < b.group ? -1 : 1)).map((entry) => {
      const found = { ...entry, rest: entry.break + entry.meal, learning: entry.training + entry.meeting };
      const busy = entry.occupancy === null ? NONE : percent(entry.occupancy, limitsOf(entry, "occupancy"));
      const cells = [[entry.group], ...STATUS.map((part) => [count(found[part])]), [busy, levelAt(entry, "occupancy")], [count(entry.slots_free)]];
      return this.row(entry.group, cells, levelOf(entry)).element;
    });
  }

  quality() {
    const { say, state } = this.ctx;
    if (!state.quality) return [];
    return QUALITY.map((kpi) => {
      const found = state.quality[kpi];
      const value = kpi === "complaints_open" ? count(found ?? 0) : percent(found.today ?? Object.values(found)[0] ?? [0, 0], [state.quality.goals[kpi]]);
      return this.row(kpi, [[say.kpi(kpi)], [value]], state.quality.bad[kpi]?.[0]?.level ?? 0).element;
    });
  }

  tick(now) {
    for (const row of this.rows.values()) {
      if (!row.entry) continue;
      const { oldest } = row.entry;
      figure(row[3], oldest === null ? NONE : duration(now - oldest), levelAt(row.entry, "oldest_wait"));
    }
    return false;
  }
}
