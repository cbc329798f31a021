// Numbers for people. A rounded number never crosses its limit: 79.96 % under a goal of 80 % shows 79.9 %.

export const NONE = "–";
const MOST_DECIMALS = 5;

// 1:47, from 10 min "12m", from 1 h "1h05"; whole seconds that have passed.
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  return `${Math.floor(s / 3600)}h${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
}

// Counts from 1,000: 1.2k, never more than there are; from 100,000 without the decimal.
export function count(n) {
  if (n < 1000) return String(n);
  return n < 100000 ? `${(Math.floor(n / 100) / 10).toFixed(1)}k` : `${Math.floor(n / 1000)}k`;
}

const crosses = (value, shown, limit) => (value < limit && shown >= limit) || (value > limit && shown <= limit);

// Rounded to so many decimals; where that would cross a limit to as many more as it takes, up or down instead of to the nearest.
function kept(value, decimals, limits) {
  for (let more = decimals; more < MOST_DECIMALS; more += 1) {
    const scale = 10 ** more;
    const ways = more === 0 ? [Math.round] : [Math.round, Math.floor, Math.ceil];
    for (const way of ways) {
      const shown = way(value * scale) / scale;
      if (!limits.some((limit) => crosses(value, shown, limit))) return shown.toFixed(more);
    }
  }
  return String(value);
}

// A share in percent: without decimals from 10 %, one below. All and nothing are limits, too: 99.96 % is not 100 %.
export function percentOf(share, limits = []) {
  const value = Math.round(share * 1e9) / 1e7; // what 64 bits cannot tell is no difference
  const all = [0, 100, ...limits.filter((limit) => limit !== null && limit !== undefined).map((limit) => Math.round(limit * 1e9) / 1e7)];
  return `${kept(value, value >= 10 ? 0 : 1, all)}%`.replace(/^(0|100)\.0%$/, "$1%");
}

// A limit as it was set: 5%, 97.5%.
export const limitOf = (share) => `${Math.round(share * 1e4) / 100}%`;

export function percent([top, bottom], limits = []) {
  return bottom > 0 ? percentOf(top / bottom, limits) : NONE;
}

// A mean in ms over facts: to the nearest second, but on its own side of each limit (in s).
export function mean([ms, n], limits = []) {
  if (!(n > 0)) return NONE;
  const s = Math.round(ms / n) / 1000;
  let shown = Math.round(s);
  for (const limit of limits) {
    if (limit === null || limit === undefined) continue;
    if (s > limit && shown <= limit) shown = Math.floor(limit) + 1;
    if (s < limit && shown >= limit) shown = Math.ceil(limit) - 1;
  }
  return duration(shown * 1000);
}
