// The wall-screen: one stream of snapshots in, tiles out. Names are only ever set as text.
"use strict";

const OLD_MS = 15000; // readings older than this: OLD DATA
const SILENT_MS = 10000; // no message for so long: CONNECTION LOST
const QUIET_MS = 120000; // no event for so long is worth a grey note
const SETTLE = 3; // a tile appears once its queue was in so many messages: a channel may be unknown for a moment
const MAX_TILES = 24; // what can still be read; the rest is counted in the footer

const byId = (id) => document.getElementById(id);
const tiles = new Map(); // key → {element, parts, queue}
const wanted = new URLSearchParams(location.search);
const seen = new Map(); // key → messages in a row that had this queue
let snapshot = null;
let heardAt = 0; // monotonic, of the last message
let page = "";

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function count(n) {
  return n < 1000 ? String(n) : `${(Math.floor(n / 100) / 10).toFixed(1)}k`;
}

function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  return `${Math.floor(s / 3600)}h${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
}

// Rounded down, so that 79.96 % never shows as the goal of 80 %.
function percent([top, bottom]) {
  if (!(bottom > 0)) return "–";
  const share = (100 * top) / bottom;
  return share >= 10 ? `${Math.floor(share + 1e-9)}%` : `${(Math.floor(share * 10 + 1e-9) / 10).toFixed(1)}%`;
}

// For what should be low: rounded up.
function percentUp([top, bottom]) {
  if (!(bottom > 0)) return "–";
  const share = (100 * top) / bottom;
  return share >= 10 ? `${Math.ceil(share - 1e-9)}%` : `${(Math.ceil(share * 10 - 1e-9) / 10).toFixed(1)}%`;
}

function shownWindow() {
  const asked = wanted.get("window");
  if (asked && snapshot.windows.includes(asked)) return asked;
  return snapshot.windows.includes("30m") ? "30m" : snapshot.windows[0];
}

// The floor's clock now: the server's, carried on by the monotonic clock of this machine.
function floorNow() {
  return snapshot.live ? snapshot.now + (performance.now() - heardAt) : snapshot.now;
}

function keyOf(queue) {
  return JSON.stringify([queue.queue, queue.channel]);
}

// Queues that are there to stay; at the first message all of them.
function settled(queues) {
  const first = seen.size === 0;
  const present = new Set(queues.map(keyOf));
  for (const key of seen.keys()) if (!present.has(key)) seen.delete(key);
  for (const key of present) seen.set(key, first ? SETTLE : (seen.get(key) ?? 0) + 1);
  return queues.filter((queue) => seen.get(keyOf(queue)) >= SETTLE);
}

function make(key) {
  const element = byId("tile").content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const name of ["name", "channel", "oldest", "waiting", "level", "goal", "lost"]) {
    parts[name] = element.querySelector(`.${name}`);
  }
  const tile = { element, parts };
  tiles.set(key, tile);
  return tile;
}

function layout(shown) {
  const n = shown.length;
  const columns = n <= 1 ? 1 : n <= 4 ? 2 : n <= 9 ? 3 : n <= 12 ? 4 : n <= 20 ? 5 : 6;
  const main = byId("tiles");
  main.style.setProperty("--columns", String(columns));
  const elements = shown.map((queue) => {
    const key = keyOf(queue);
    const tile = tiles.get(key) || make(key);
    tile.queue = queue;
    return tile.element;
  });
  if (elements.length !== main.children.length || elements.some((e, i) => main.children[i] !== e)) {
    main.replaceChildren(...elements);
  }
  const present = new Set(elements);
  for (const [key, tile] of tiles) if (!present.has(tile.element)) tiles.delete(key);
}

function draw() {
  const window_ = shownWindow();
  const queues = settled(snapshot.queues);
  layout(queues.slice(0, MAX_TILES));
  for (const { parts, queue } of tiles.values()) {
    text(parts.name, queue.queue);
    text(parts.channel, queue.channel);
    text(parts.waiting, count(queue.waiting));
    text(parts.level, percent(queue.windows[window_].service_level));
    text(parts.goal, `≤ ${queue.answer_s} s`);
    text(parts.lost, percentUp(queue.windows[window_].abandonment));
  }
  const floor = snapshot.floor;
  text(byId("title"), snapshot.title || "All queues");
  if (floor) {
    text(byId("floor-waiting"), count(floor.waiting));
    text(byId("floor-level"), percent(floor.service_level[window_]));
    text(byId("floor-available"), count(floor.agents.available));
  }
  for (const element of document.querySelectorAll(".window")) text(element, window_);
  const formulas = [...new Set(queues.map((queue) => queue.formula))];
  text(byId("about"), [`window ${window_}`, snapshot.zone, ...formulas.slice(0, 3)].join(" · "));
  const more = queues.length - MAX_TILES;
  text(byId("note"), more > 0 ? `${more} more queues: /api/v1/snapshot` : quiet());
  tick();
}

function quiet() {
  const age = snapshot.data_age_ms;
  return age !== null && age > QUIET_MS ? `Quiet: no event for ${duration(age)}` : "";
}

function clockText(ms) {
  try {
    return new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: snapshot.zone }).format(ms);
  } catch {
    return new Date(ms).toISOString().slice(11, 19);
  }
}

function freshness() {
  const silent = performance.now() - heardAt;
  if (silent > SILENT_MS) return ["lost", "CONNECTION LOST, retrying"];
  const age = (snapshot.oldest_reading_ms ?? 0) + silent;
  if (snapshot.ready && age > OLD_MS) {
    return ["old", `OLD DATA: nothing new since ${clockText(snapshot.made_at + silent - age)} (${duration(age)})`];
  }
  return snapshot.ready ? ["", "live"] : ["", "reading what came before"];
}

function tick() {
  if (!snapshot) return;
  const [state, words] = freshness();
  document.body.className = state;
  const banner = byId("banner");
  banner.hidden = state === "";
  text(banner, state ? words : "");
  text(byId("fresh-text"), state === "old" ? "old data" : state === "lost" ? "no connection" : words);
  if (state || snapshot.now === null) return; // what is shown stands still while it is not known to be true
  const now = floorNow();
  const clock = clockText(now);
  text(byId("hour-minute"), clock.slice(0, 5));
  text(byId("second"), clock.slice(5));
  for (const { parts, queue } of tiles.values()) {
    text(parts.oldest, queue.oldest_entered_at === null ? "–" : duration(now - queue.oldest_entered_at));
  }
}

function listen() {
  const stream = new EventSource("/api/v1/stream");
  stream.addEventListener("snapshot", (message) => {
    snapshot = JSON.parse(message.data);
    heardAt = performance.now();
    if (page && page !== snapshot.version) location.reload();
    page = snapshot.version;
    draw();
  });
  stream.addEventListener("error", () => {
    if (stream.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    setTimeout(listen, 1000 + Math.random() * 4000);
  });
}

listen();
setInterval(tick, 250);
