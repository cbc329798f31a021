// Languages: one file each in lang/, all with the same keys. To add one: copy lang/en.js, translate it, name it here.

export const LANGUAGES = ["en", "zh-CN"];

// The wanted language, else the browser's, else English.
export function choose(wanted, browser) {
  if (wanted) return wanted;
  for (const tag of browser) {
    const found = LANGUAGES.find((known) => known.toLowerCase() === tag.toLowerCase());
    const near = found ?? LANGUAGES.find((known) => known.split("-")[0] === tag.toLowerCase().split("-")[0]);
    if (near) return near;
  }
  return "en";
}

// Returns t(key, {name: value}): the text with its {name}s filled in.
export async function load(language) {
  const { default: texts } = await import(`./lang/${language}.js`);
  return (key, values = {}) => (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

export const MARKS = ["", "▲", "■"];

// What several pages say, in one language.
export function phrases(t) {
  const window_ = (label) => {
    const [, n, unit] = /^(\d+)(m|s)$/.exec(label) ?? [];
    if (!n) return label === "" ? t("window.now") : t(`window.${label}`);
    return t(unit === "m" ? "window.min" : "window.s", { n });
  };
  return {
    window: window_,
    trailing: (label) => (/^\d+[ms]$/.test(label) ? t("trailing", { window: window_(label) }) : window_(label)),
    age(ms) {
      const s = Math.max(0, Math.floor(ms / 1000));
      if (s < 60) return t("age.s", { s });
      if (s < 3600) return t("age.min", { min: Math.floor(s / 60), s: s % 60 });
      return t("age.h", { h: Math.floor(s / 3600), min: Math.floor((s % 3600) / 60) });
    },
    kpi: (id) => t(`kpi.${id}`),
    level: (level) => (level > 0 ? `${MARKS[level]} ${t(`level.${level}`)}` : ""),
  };
}
