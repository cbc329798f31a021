// Elements. Texts are only ever set as text, so that no name can be markup.

export const byId = (id) => document.getElementById(id);

// An element with a class and children; strings become text.
export function el(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export function attribute(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

// Let a row's texts shrink until they fit, whatever the font: by --fit, which its style multiplies sizes with.
export function fit(row) {
  row.style.removeProperty("--fit");
  const share = row.clientWidth / row.scrollWidth;
  if (share < 1) row.style.setProperty("--fit", Math.max(0.5, share * 0.985).toFixed(3));
}

// Put children in this order, touching the document only where it differs.
export function arrange(parent, children) {
  const same = parent.children.length === children.length && children.every((child, i) => parent.children[i] === child);
  if (!same) parent.replaceChildren(...children);
}

// A number, its % small, that may be marked as the one that offends.
export function figure(element, value, level = 0) {
  if (element.textContent !== value) {
    const share = value.endsWith("%");
    element.replaceChildren(share ? value.slice(0, -1) : value, ...(share ? [el("small", "", "%")] : []));
  }
  element.classList.toggle("offends", level > 0);
}
