// What the address asks for. A bad value is told in the footer, and the default used.

export const PAGES = ["queues", "queue", "agents", "quality"];
export const MAX_ROTATION_S = 3600;

const oneOf = (...known) => (value) => (known.includes(value) ? value : undefined);
const name = (value) => (value ? value : undefined);

function zoom(value) {
  const number = Number(value);
  return value !== "" && number >= 0.5 && number <= 3 ? number : undefined;
}

function zone(value) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: value });
    return value;
  } catch {
    return undefined;
  }
}

// queues:20,agents:10 → [["queues", 20], ["agents", 10]]
function rotation(value) {
  const steps = value.split(",").map((part) => part.split(":"));
  const good = steps.every(([page, s]) => PAGES.includes(page) && Number(s) >= 3 && Number(s) <= MAX_ROTATION_S);
  return good ? steps.map(([page, s]) => [page, Number(s)]) : undefined;
}

const SINGLE = {
  page: oneOf(...PAGES),
  window: name, // the board knows which there are
  sort: oneOf("config", "risk", "name"),
  rotate: rotation,
  lang: null, // languages are given by who knows them
  theme: oneOf("dark", "light", "auto"),
  zoom,
  zone,
  names: oneOf("off", "id"),
  sound: oneOf("off", "breach"),
  motion: oneOf("auto", "off"),
  clock: oneOf("24", "12", "off"),
  view: oneOf("screen", "table"),
  title: name,
};
const MANY = ["queue", "channel", "group"];
const DEFAULTS = {
  page: "queues", window: null, sort: "config", rotate: [], lang: null, theme: "dark", zoom: 1, zone: null, names: "off",
  sound: "off", motion: "auto", clock: "24", view: "screen", title: null, kiosk: false,
};

// Returns the options, and in `bad` [parameter, value] of what was not understood.
export function read(search, languages) {
  const given = new URLSearchParams(search);
  const options = { ...DEFAULTS, bad: [] };
  for (const many of MANY) options[many] = given.getAll(many).filter(Boolean);
  for (const [parameter, value] of given) {
    if (MANY.includes(parameter)) continue;
    if (parameter === "kiosk") {
      options.kiosk = !["0", "off", "false"].includes(value);
      continue;
    }
    const known = Object.hasOwn(SINGLE, parameter);
    const check = parameter === "lang" ? oneOf(...languages) : SINGLE[parameter];
    const found = known ? check(value) : undefined;
    if (found === undefined) options.bad.push([parameter, value]);
    else options[parameter] = found;
  }
  return options;
}
