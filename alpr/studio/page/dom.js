// Elements from plain values. Texts come from strangers: they are set as text, and never parsed as markup.

export function h(name, values = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "list") element[key] = value;
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(name, values = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const at = (id) => document.getElementById(id);

export function percent(share) {
  if (share >= 0.9995) return "100 %";
  return share >= 0.1 ? `${(100 * share).toFixed(0)} %` : `${(100 * share).toFixed(1)} %`;
}

export function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, label]) => h("option", { value, selected: value === chosen }, label)));
}
