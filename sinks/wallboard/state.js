// What the board last said, put together from snapshots and patches, and what follows from it.

export const OLD_MS = 15000; // readings older than this: OLD DATA
export const SILENT_MS = 10000; // no message for so long: CONNECTION LOST
const JUMP_MS = 1500;

export const keyOf = (queue, channel) => JSON.stringify([queue, channel]);
const KEYS = {
  queues: (entry) => keyOf(entry.queue, entry.channel),
  groups: (entry) => JSON.stringify([entry.group]),
  agents: (entry) => JSON.stringify([entry.agent]),
};

export class State {
  constructor() {
    this.head = this.floor = this.quality = this.clock = null;
    this.queues = new Map();
    this.groups = new Map();
    this.agents = new Map();
    this.heardAt = performance.now(); // on the monotonic clock
    this.offset = null; // the floor's clock less the monotonic one
  }

  // Take a message: "snapshot" is everything, "patch" what differs, "beat" the clock only.
  take(kind, body) {
    const at = performance.now();
    this.heardAt = at;
    this.clock = body.clock;
    const offset = body.clock.now === null ? null : body.clock.now - at;
    const jump = this.offset === null || offset === null || Math.abs(offset - this.offset) > JUMP_MS;
    this.offset = jump ? offset : this.offset + (offset - this.offset) / 8; // what the network takes is evened out
    for (const section of ["head", "floor", "quality"]) {
      if (Object.hasOwn(body, section)) this[section] = body[section];
    }
    for (const [section, key] of Object.entries(KEYS)) {
      if (kind === "snapshot") this[section] = new Map();
      for (const entry of body[section] ?? []) this[section].set(key(entry), entry);
      for (const gone of body.gone?.[section] ?? []) this[section].delete(JSON.stringify(gone));
    }
  }

  // The floor's clock now; a replay's stands still between messages.
  now() {
    if (this.offset === null) return null;
    return this.head?.live === false ? this.clock.now : performance.now() + this.offset;
  }

  silence() {
    return performance.now() - this.heardAt;
  }

  // "connecting", "reading", "lost", "old" or "live", and how old the newest reading is.
  freshness() {
    const silent = this.silence();
    if (silent > SILENT_MS) return { kind: "lost", age: silent };
    if (!this.head) return { kind: "connecting", age: 0 };
    const age = (this.clock.readings_age_ms ?? 0) + silent;
    if (!this.head.ready) return { kind: "reading", age };
    return { kind: age > OLD_MS ? "old" : "live", age };
  }
}

export const levelOf = (entry) => entry.level ?? 0;
export const standing = (entry, kpi) => entry.standings?.[kpi] ?? null;
export const levelAt = (entry, kpi) => standing(entry, kpi)?.level ?? 0;
export const limitsOf = (entry, kpi) => [standing(entry, kpi)?.warn ?? null, standing(entry, kpi)?.breach ?? null];

// The judgement to show instead of a ratio over the shown window: the number that offends is that of the window which was judged.
export function offending(entry, kpi, shown) {
  const judged = standing(entry, kpi);
  return judged?.level > 0 && judged.value !== undefined && judged.window !== shown ? judged : null;
}

// The indicators that make a queue's level, those first that stand so for longest.
export function offenders(entry) {
  const level = levelOf(entry);
  if (level === 0) return [];
  const found = Object.entries(entry.standings ?? {}).filter(([, judged]) => judged.level === level);
  return found.sort((a, b) => a[1].since - b[1].since).map(([kpi]) => kpi);
}

// Whether all that makes its level is in its quiet hours: shown, but not heard.
export const quiet = (entry) => offenders(entry).every((kpi) => entry.standings[kpi].quiet === true);

// Since when it stands as it does: what is worst for longest comes first.
export function since(entry) {
  const [first] = offenders(entry);
  return first ? entry.standings[first].since : Infinity;
}

const byName = (a, b) => (a.queue < b.queue ? -1 : a.queue > b.queue ? 1 : a.channel < b.channel ? -1 : a.channel > b.channel ? 1 : 0);
const rank = (entry) => entry.rank ?? Infinity;
const byRank = (a, b) => (rank(a) === rank(b) ? byName(a, b) : rank(a) - rank(b));
const bySince = (a, b) => (since(a) === since(b) ? byRank(a, b) : since(a) - since(b));
export const ORDERS = {
  config: byRank,
  name: byName,
  risk: (a, b) => levelOf(b) - levelOf(a) || bySince(a, b), // changes with states only, not with each number
};

export function counted(entries) {
  const counts = [0, 0, 0];
  for (const entry of entries) counts[levelOf(entry)] += 1;
  return { fine: counts[0], warn: counts[1], breach: counts[2] };
}
