// For screen readers: changes of state only, in words, no oftener than every 5 s; what is stale at once.
import { byId, text } from "./dom.js";
import { duration, percentOf } from "./format.js";
import { keyOf, levelOf, offenders } from "./state.js";

const PAUSE_MS = 5000;
const MOST = 5; // told at once; the rest is counted

// Which queues came to another level since the last look; of the first look none.
export class Changes {
  constructor() {
    this.levels = null;
  }

  take(entries) {
    const now = new Map(entries.map((entry) => [keyOf(entry.queue, entry.channel), levelOf(entry)]));
    const before = this.levels;
    this.levels = now;
    if (before === null) return [];
    return entries.filter((entry) => {
      const key = keyOf(entry.queue, entry.channel);
      return (before.get(key) ?? 0) !== now.get(key);
    });
  }
}

export class Speaker {
  constructor(ctx) {
    this.ctx = ctx;
    this.waiting = new Map(); // key → entry
    this.spokeAt = -Infinity;
    this.kind = "";
  }

  note(changed) {
    for (const entry of changed) this.waiting.set(keyOf(entry.queue, entry.channel), entry);
  }

  tick(kind) {
    this.alarm(kind);
    if (this.waiting.size === 0 || performance.now() - this.spokeAt < PAUSE_MS) return;
    const told = [...this.waiting.values()];
    this.waiting.clear();
    this.spokeAt = performance.now();
    const words = told.slice(0, MOST).map((entry) => this.sentence(entry));
    if (told.length > MOST) words.push(this.ctx.t("more", { n: told.length - MOST }));
    text(byId("said"), words.join(". "));
  }

  sentence(entry) {
    const { t, say, state } = this.ctx;
    const level = levelOf(entry);
    const [kpi] = offenders(entry);
    if (!kpi) return t("spoken.state", { name: entry.queue, what: say.kpi("oldest_wait"), level: t("spoken.0") });
    return t("spoken.state", { name: entry.queue, what: `${say.kpi(kpi)} ${this.value(entry, kpi, state)}`.trim(), level: t(`spoken.${level}`) });
  }

  value(entry, kpi, state) {
    if (kpi === "oldest_wait") return entry.oldest === null ? "" : duration(state.now() - entry.oldest);
    const { value, unit, warn, breach } = entry.standings[kpi];
    if (value === undefined) return "";
    if (unit === "ratio") return percentOf(value, [warn, breach]);
    return unit === "seconds" ? duration(value * 1000) : String(value);
  }

  alarm(kind) {
    if (kind === this.kind) return;
    const before = this.kind;
    this.kind = kind;
    const { t } = this.ctx;
    if (kind === "lost") text(byId("alarm"), t("lost"));
    else if (kind === "old") text(byId("alarm"), t("fresh.old"));
    else if (before === "lost" || before === "old") text(byId("alarm"), t(before === "lost" ? "back" : "fresh.live"));
  }
}
