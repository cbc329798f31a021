// Page "all queues": a tile each up to twelve; beyond, the worst as tiles and all of them as a mosaic.
import { arrange, attribute, el, figure, fit, text } from "./dom.js";
import { countsText } from "./edges.js";
import { NONE, count, duration, percent, percentOf } from "./format.js";
import { ORDERS, keyOf, levelAt, levelOf, limitsOf, offenders, offending } from "./state.js";

const REORDER_MS = 10000; // the order changes no oftener
const TURN_MS = 10000; // so long each page of breaches stays
const FEW = 100; // up to so many the cells of the mosaic are large
const ON_TILE = ["oldest_wait", "waiting", "service_level", "abandonment"];

class Tile {
  constructor() {
    this.name = el("span", "name");
    this.state = el("span", "state");
    this.oldest = el("b", "oldest");
    this.waiting = el("b", "waiting");
    this.labels = [el("span"), el("span")];
    this.level = el("b");
    this.goal = el("span");
    this.lost = el("b");
    this.lostLabel = el("span");
    this.heroes = el("div", "heroes", this.oldest, this.waiting);
    this.seconds = el("div", "seconds", el("p", "", this.level, " ", this.goal), el("p", "", this.lost, " ", this.lostLabel));
    this.lengths = "";
    this.element = el(
      "section", "tile",
      el("h2", "", this.name, this.state),
      this.heroes,
      el("div", "labels", ...this.labels),
      this.seconds,
    );
  }

  draw(ctx, entry, title) {
    const { t, say } = ctx;
    const level = levelOf(entry);
    const [worst] = offenders(entry);
    this.entry = entry;
    attribute(this.element, "data-level", level);
    const unseen = worst && !ON_TILE.includes(worst);
    const state = unseen ? `${say.level(level).slice(0, 1)} ${say.kpi(worst)}` : say.level(level);
    if (this.name.textContent !== title || this.state.textContent !== state) this.unfitted = true;
    text(this.name, title);
    this.state.replaceChildren(...(state ? [state.slice(0, 1), el("span", unseen ? "word reason" : "word", state.slice(1))] : []));
    figure(this.waiting, count(entry.waiting), levelAt(entry, "waiting"));
    text(this.labels[0], say.kpi("oldest_wait"));
    text(this.labels[1], say.kpi("waiting"));
    this.ratio(ctx, "service_level", this.level, this.goal, t("within", { s: entry.answer_s }));
    this.ratio(ctx, "abandonment", this.lost, this.lostLabel, t("short.abandonment"));
  }

  ratio({ say, state }, kpi, value, label, words) {
    const limits = limitsOf(this.entry, kpi);
    const judged = offending(this.entry, kpi, state.head.window);
    figure(value, judged ? percentOf(judged.value, limits) : percent(this.entry[kpi], limits), levelAt(this.entry, kpi));
    text(label, judged ? say.window(judged.window) : words);
  }

  tick(now) {
    const { oldest } = this.entry;
    figure(this.oldest, oldest === null ? NONE : duration(now - oldest), levelAt(this.entry, "oldest_wait"));
    this.fit();
  }

  // Numbers shrink where they must. Long names: the word goes (what no number shows breaks into small lines), its mark stays, then the name is cut.
  fit() {
    if (!this.element.isConnected) return;
    const lengths = [this.oldest, this.waiting, this.level, this.goal, this.lost, this.lostLabel].map((each) => each.textContent.length).join();
    if (lengths === this.lengths && !this.unfitted) return;
    this.lengths = lengths;
    this.unfitted = false;
    fit(this.heroes);
    fit(this.seconds);
    this.element.classList.remove("short");
    this.element.classList.toggle("short", this.name.scrollWidth > this.name.clientWidth);
  }
}

// Columns and rows for so many tiles, of at most `columns` x `rows`.
export function grid(n, columns, rows) {
  const shapes = [[1, 1], [2, 1], [2, 2], [3, 2], [3, 3], [4, 3]];
  const found = shapes.find(([c, r]) => c * r >= n && c <= columns && r <= rows);
  return found ?? [columns, Math.min(rows, Math.ceil(n / columns))];
}

// Rows of tiles that have room above the mosaic of so many cells, in u: edges 170, a tile with its gap 294.
export function rowsAbove(n, zoom) {
  const cell = n > FEW ? 29 : 52;
  const mosaic = 42 + cell * Math.ceil(n / Math.floor(1864 / zoom / cell));
  return Math.max(1, Math.floor((1080 / zoom - 170 - mosaic) / 294));
}

export class Queues {
  constructor(ctx) {
    this.ctx = ctx;
    this.tiles = new Map();
    this.cells = new Map();
    this.order = [];
    this.orderedAt = -Infinity;
    this.turn = 0;
    this.turnedAt = 0;
    this.counts = el("p", "counts");
    this.mosaic = el("div", "mosaic");
    this.part = el("span", "part");
    this.grid = el("div", "tiles");
    this.below = el("div", "below", el("p", "", this.counts, " ", this.part), this.mosaic);
    this.root = el("div", "page queues", this.grid, this.below);
    new ResizeObserver(() => {
      for (const tile of this.tiles.values()) tile.unfitted = true;
      this.fit();
    }).observe(this.grid);
  }

  title() {
    return this.ctx.o.title ?? (this.ctx.state.head.title || this.ctx.t("title.queues"));
  }

  // Entries in an order that changes at most every 10 s, and then only with states.
  ordered(entries, wanted) {
    const now = performance.now();
    const present = new Map(entries.map((entry) => [keyOf(entry.queue, entry.channel), entry]));
    const sorted = [...present.keys()].sort((a, b) => ORDERS[wanted](present.get(a), present.get(b)));
    const differs = sorted.some((key, i) => this.order[i] !== key);
    if (differs && now - this.orderedAt >= REORDER_MS) {
      this.order = sorted;
      this.orderedAt = now;
    } else {
      const kept = this.order.filter((key) => present.has(key));
      this.order = [...kept, ...sorted.filter((key) => !kept.includes(key))];
    }
    return this.order.map((key) => present.get(key));
  }

  draw(entries) {
    const { o } = this.ctx;
    const columns = Math.max(1, Math.floor(4 / o.zoom));
    const rows = Math.max(1, Math.floor(3 / o.zoom));
    const all = entries.length <= columns * rows;
    const list = this.ordered(entries, all ? o.sort : "risk");
    const few = rowsAbove(entries.length, o.zoom);
    const shown = all ? list : this.worst(list, columns * few);
    const [across, down] = all ? grid(shown.length, columns, rows) : [columns, few];
    this.grid.style.setProperty("--columns", across);
    this.grid.style.setProperty("--rows", down);
    this.grid.style.setProperty("--grow", Math.min(columns / across, all ? rows / down : 1, 1.9).toFixed(3));
    const names = new Map();
    for (const { queue } of entries) names.set(queue, (names.get(queue) ?? 0) + 1);
    arrange(this.grid, shown.map((entry) => this.tile(entry, names).element));
    const present = new Set(entries.map((entry) => keyOf(entry.queue, entry.channel)));
    for (const key of this.tiles.keys()) if (!present.has(key)) this.tiles.delete(key);
    this.below.hidden = all;
    if (!all) this.drawMosaic(entries);
    this.fit();
  }

  tile(entry, names) {
    const key = keyOf(entry.queue, entry.channel);
    const tile = this.tiles.get(key) ?? new Tile();
    this.tiles.set(key, tile);
    tile.draw(this.ctx, entry, names.get(entry.queue) > 1 ? `${entry.queue} · ${entry.channel}` : entry.queue);
    return tile;
  }

  // The worst that have room; more breaches than that take turns.
  worst(list, room) {
    const breaches = list.filter((entry) => levelOf(entry) === 2);
    const turns = Math.max(1, Math.ceil(breaches.length / room));
    this.turns = turns;
    this.turn %= turns;
    if (turns === 1) {
      text(this.part, "");
      return [...breaches, ...list.filter((entry) => levelOf(entry) !== 2)].slice(0, room);
    }
    const from = this.turn * room;
    const part = breaches.slice(from, from + room);
    text(this.part, this.ctx.t("some", { from: `■ ${from + 1}`, to: from + part.length, n: breaches.length }));
    return part;
  }

  // Show the next of the pages of breaches, or one before.
  step(by) {
    this.turn = (this.turn + by + (this.turns ?? 1)) % (this.turns ?? 1);
    this.turnedAt = performance.now();
  }

  drawMosaic(entries) {
    const inOrder = [...entries].sort(ORDERS.config);
    text(this.counts, `${this.ctx.t("all", { n: entries.length })} ${countsText(this.ctx.t, entries)}`);
    this.mosaic.classList.toggle("many", entries.length > FEW);
    const cells = inOrder.map((entry) => {
      const key = keyOf(entry.queue, entry.channel);
      const cell = this.cells.get(key) ?? el("span", "cell");
      this.cells.set(key, cell);
      attribute(cell, "data-level", levelOf(entry));
      attribute(cell, "title", entry.queue);
      return cell;
    });
    arrange(this.mosaic, cells);
    attribute(this.mosaic, "aria-hidden", true);
    const present = new Set(cells);
    for (const [key, cell] of this.cells) if (!present.has(cell)) this.cells.delete(key);
  }

  // Returns whether the page wants to be drawn anew.
  tick(now) {
    for (const tile of this.tiles.values()) if (tile.element.isConnected) tile.tick(now);
    const due = (this.turns ?? 1) > 1 && !this.ctx.still() && performance.now() - this.turnedAt >= TURN_MS;
    if (due) this.step(1);
    return due;
  }

  fit() {
    for (const tile of this.tiles.values()) tile.fit();
  }
}
