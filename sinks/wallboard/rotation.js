// Which page is shown: the asked one, the next of the rotation, or for 30 s the one with a new breach.

export const TAKEOVER_MS = 30000;

export class Rotation {
  // steps: [[page, seconds]]; `first` is shown without any.
  constructor(steps, first, still) {
    this.steps = steps.length ? steps : [[first, Infinity]];
    this.at = Math.max(0, this.steps.findIndex(([page]) => page === first));
    this.still = still; // nothing turns by itself, when somebody wants it so
    this.paused = false;
    this.since = performance.now();
    this.over = null; // a page that has taken over: {page, key, until}
  }

  get turns() {
    return this.steps.length > 1;
  }

  get page() {
    return this.over ? this.over.page : this.steps[this.at][0];
  }

  // The queue that has taken over, if one has.
  get key() {
    return this.over?.key ?? null;
  }

  step(by) {
    this.over = null;
    this.at = (this.at + by + this.steps.length) % this.steps.length;
    this.since = performance.now();
  }

  show(page) {
    this.over = null;
    const found = this.steps.findIndex(([each]) => each === page);
    if (found >= 0) this.at = found;
    else this.steps[this.at] = [page, this.steps[this.at][1]];
    this.since = performance.now();
  }

  // New breaches: one queue gets its own page, several all queues.
  breach(keys) {
    if (!this.turns || this.paused || this.still() || keys.length === 0) return;
    const until = performance.now() + TAKEOVER_MS;
    this.over = keys.length === 1 && !this.over ? { page: "queue", key: keys[0], until } : { page: "queues", key: null, until };
  }

  // Returns whether the page has changed.
  tick() {
    const now = performance.now();
    if (this.over && now >= this.over.until) {
      this.over = null;
      this.since = now;
      return true;
    }
    if (!this.turns || this.paused || this.over || this.still()) return false;
    if (now - this.since < this.steps[this.at][1] * 1000) return false;
    this.step(1);
    return true;
  }
}
