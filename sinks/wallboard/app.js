// The wall-screen: one stream in, one page at a time out. No frameworks, no build step, nothing from elsewhere.
import { Agents } from "./agents.js";
import { arrange, attribute, byId, el, text } from "./dom.js";
import { Edges } from "./edges.js";
import { LANGUAGES, choose, load, phrases } from "./lang.js";
import { PAGES, read } from "./options.js";
import { Quality } from "./quality.js";
import { OneQueue } from "./queue.js";
import { Queues } from "./queues.js";
import { Rotation } from "./rotation.js";
import { Changes, Speaker } from "./say.js";
import { Sound } from "./sound.js";
import { ORDERS, State, keyOf, levelOf, quiet } from "./state.js";
import { listen } from "./stream.js";
import { Table } from "./table.js";

const RELOAD_AFTER_MS = 30000; // a new build is loaded, but not over and over while two boards differ
const IDLE_MS = 3000; // the pointer is hidden when it rests for so long

const o = read(location.search, LANGUAGES);
const language = choose(o.lang, navigator.languages ?? []);
const t = await load(language);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const still = () => o.motion === "off" || calm.matches;
const state = new State();
const ctx = { o, t, say: phrases(t), state, still: () => still() || rotation.paused };
const rotation = new Rotation(o.rotate, o.rotate[0]?.[0] ?? o.page, still);
const pages = new Map();
const edges = new Edges(ctx);
const changes = new Changes();
const speaker = new Speaker(ctx);
const sound = new Sound(o.sound === "breach");
const message = el("p", "message");
let build = null;
let current = null;

function dress() {
  const root = document.documentElement;
  const light = matchMedia("(prefers-color-scheme: light)");
  root.lang = language;
  root.style.setProperty("--zoom", o.zoom);
  root.classList.toggle("kiosk", o.kiosk);
  root.classList.toggle("still", still());
  const paint = () => {
    root.dataset.theme = o.theme === "auto" ? (light.matches ? "light" : "dark") : o.theme;
  };
  light.addEventListener("change", paint);
  calm.addEventListener("change", () => root.classList.toggle("still", still()));
  paint();
}

// The queues that the address asks for; all of them where it asks for none.
function chosen() {
  const of = (entry) => (!o.queue.length || o.queue.includes(entry.queue)) && (!o.channel.length || o.channel.includes(entry.channel));
  return [...state.queues.values()].filter(of);
}

function pageOf(name) {
  const kind = o.view === "table" ? `table ${name}` : name;
  if (!pages.has(kind)) {
    const made = o.view === "table" ? new Table(ctx, name) : new { queues: Queues, queue: OneQueue, agents: Agents, quality: Quality }[name](ctx);
    pages.set(kind, made);
  }
  return pages.get(kind);
}

// The page's name, and the queue that it is about.
function wanted(entries) {
  if (o.view === "table") return [rotation.page, null];
  if (rotation.page === "queue" || (rotation.page === "queues" && entries.length === 1)) {
    const over = rotation.key && state.queues.get(rotation.key);
    return ["queue", over || [...entries].sort(ORDERS.risk)[0]];
  }
  return [rotation.page, null];
}

function draw() {
  if (!state.head) return;
  const entries = chosen();
  const [name, queue] = wanted(entries);
  const empty = state.head.ready && entries.length === 0 && ["queue", "queues"].includes(name) && o.view !== "table";
  if (!state.head.ready || empty) {
    const missing = o.queue.length && state.queues.size > 0;
    text(message, state.head.ready ? (missing ? t("no_queue", { name: o.queue.join(", ") }) : t("nothing")) : t("fresh.reading"));
    edges.draw(o.title ?? (state.head.title || t("title.queues")), entries);
    arrange(byId("main"), [message]);
    current = null;
    return;
  }
  current = pageOf(name);
  if (name === "queue" && queue) current.draw(queue);
  else current.draw(entries);
  document.body.dataset.page = name;
  edges.draw(current.title(), queue && name === "queue" ? [queue] : entries);
  arrange(byId("main"), [current.root]);
  current.fit?.();
  controls(name);
  const { kind, age } = state.freshness();
  const now = wholeSecond();
  if (now !== null) current.tick(kind === "live" ? now : Math.floor((state.now() - age) / 1000) * 1000); // as it was then
}

// The floor's clock in whole seconds: whoever counts on by it steps together with all others.
function wholeSecond() {
  const now = state.now();
  return now === null ? null : Math.floor(now / 1000) * 1000;
}

function told() {
  if (build && state.head.build !== build && performance.now() > RELOAD_AFTER_MS) location.reload();
  build ??= state.head.build;
  if (state.head.ready) {
    const changed = changes.take(chosen());
    speaker.note(changed);
    const breaches = changed.filter((entry) => levelOf(entry) === 2);
    for (const entry of breaches) if (!quiet(entry)) sound.breach(keyOf(entry.queue, entry.channel));
    rotation.breach(breaches.map((entry) => keyOf(entry.queue, entry.channel)));
  }
  if (current === null || state.freshness().kind !== "old") draw();
  edges.tick();
}

// Each whole second of the floor's clock, so that all waits step together.
function tick() {
  const kind = edges.tick();
  speaker.tick(kind);
  const turned = rotation.tick();
  const whole = wholeSecond();
  const again = current !== null && whole !== null && kind === "live" && current.tick(whole);
  if (turned || again) draw();
  const now = state.now();
  const rest = now === null ? 0 : ((now % 1000) + 1000) % 1000;
  setTimeout(tick, 1000 - rest + 5);
}

const buttons = {};
function button(name, press) {
  buttons[name] = el("button");
  buttons[name].type = "button";
  buttons[name].addEventListener("click", press);
  byId("controls").append(buttons[name]);
}

function controls(name) {
  const shown = { allow: sound.blocked, mute: sound.wanted && !sound.blocked && !o.kiosk, pause: rotation.turns && !still(), full: !o.kiosk };
  for (const [each, visible] of Object.entries(shown)) buttons[each].hidden = !visible;
  text(buttons.allow, t("sound.allow"));
  text(buttons.mute, t(sound.muted ? "sound.off" : "sound.on"));
  text(buttons.pause, t(rotation.paused ? "resume" : "pause"));
  text(buttons.full, t("full"));
  attribute(buttons.pause, "aria-pressed", rotation.paused);
  for (const dot of byId("dots").children) attribute(dot, "aria-current", dot.dataset.page === name ? "page" : null);
}

function pause() {
  rotation.paused = !rotation.paused;
  rotation.since = performance.now();
  draw();
}

function mute() {
  sound.muted = !sound.muted;
  draw();
}

async function full() {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await document.documentElement.requestFullscreen?.();
}

function step(by) {
  if (rotation.turns) rotation.step(by);
  else rotation.show(PAGES[(PAGES.indexOf(rotation.page) + by + PAGES.length) % PAGES.length]);
  draw();
}

function turn(by) {
  current?.step?.(by);
  draw();
}

const KEYS = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => turn(1), ArrowUp: () => turn(-1),
  " ": pause, f: full, F: full, m: mute, M: mute,
};

function listenToPeople() {
  addEventListener("keydown", (event) => {
    const pressed = event.key === " " && event.target instanceof HTMLButtonElement; // a button takes it itself
    const scrolls = o.view === "table" && event.key.startsWith("Arrow") && !["ArrowLeft", "ArrowRight"].includes(event.key);
    if (event.ctrlKey || event.altKey || event.metaKey || pressed || scrolls || !Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, () => sound.allow().then(draw), { passive: true });
  let rest = 0;
  addEventListener("pointermove", () => {
    clearTimeout(rest);
    document.documentElement.classList.remove("resting");
    rest = setTimeout(() => document.documentElement.classList.add("resting"), IDLE_MS);
  });
}

function begin() {
  dress();
  button("allow", () => sound.allow().then(draw));
  button("pause", pause);
  button("mute", mute);
  button("full", full);
  for (const name of PAGES) {
    const dot = el("button", "dot");
    dot.type = "button";
    dot.dataset.page = name;
    attribute(dot, "aria-label", t(`page.${name}`));
    attribute(dot, "title", t(`page.${name}`));
    dot.addEventListener("click", () => {
      rotation.show(name);
      draw();
    });
    byId("dots").append(dot);
  }
  for (const each of Object.values(buttons)) each.hidden = true;
  text(message, t("fresh.connecting"));
  arrange(byId("main"), [message]);
  text(byId("title"), o.title ?? t("title.queues"));
  listenToPeople();
  const asked = new URLSearchParams();
  if (o.window) asked.set("window", o.window);
  if (o.names === "id") asked.set("names", "id");
  listen(`/api/v1/stream${asked.size ? `?${asked}` : ""}`, state, told);
  tick();
}

begin();
