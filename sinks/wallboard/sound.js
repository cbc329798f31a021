// Two tones for a new breach, only on request: at most one per queue in 30 s, one in 10 s overall.

const QUEUE_MS = 30000;
const ANY_MS = 10000;
const TONES_HZ = [660, 880];
const TONE_S = 0.18;
const LOUDNESS = 0.25;

export class Sound {
  constructor(wanted) {
    this.wanted = wanted;
    this.muted = false;
    this.last = new Map();
    this.lastAny = -Infinity;
    this.played = 0;
    this.context = wanted ? new AudioContext() : null;
  }

  // Browsers want a gesture before a page may sound; kiosks can be told not to.
  get blocked() {
    return this.wanted && this.context.state === "suspended";
  }

  async allow() {
    if (this.wanted) await this.context.resume();
  }

  breach(key) {
    const now = performance.now();
    if (!this.wanted || this.muted || this.blocked) return;
    if (now - this.lastAny < ANY_MS || now - (this.last.get(key) ?? -Infinity) < QUEUE_MS) return;
    this.lastAny = now;
    this.last.set(key, now);
    this.play();
  }

  play() {
    this.played += 1;
    TONES_HZ.forEach((hertz, i) => {
      const tone = this.context.createOscillator();
      const volume = this.context.createGain();
      const at = this.context.currentTime + i * TONE_S;
      tone.frequency.value = hertz;
      volume.gain.setValueAtTime(0, at);
      volume.gain.linearRampToValueAtTime(LOUDNESS, at + 0.02); // no click
      volume.gain.linearRampToValueAtTime(0, at + TONE_S);
      tone.connect(volume).connect(this.context.destination);
      tone.start(at);
      tone.stop(at + TONE_S);
    });
  }
}
