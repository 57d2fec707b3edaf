// The keys: one table, which the keyboard is read by and the help is written from.

import { at, h } from "./dom.js";

export class Keys {
  constructor() {
    this.table = [];
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  // name: as KeyboardEvent.key, with "ctrl+" in front where it is held; several with a blank between.
  add(names, shown, does, run) {
    this.table.push({ names: names.split(" "), shown, does, run });
  }

  pressed(event) {
    if (event.altKey || at("keys").open) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName) && document.activeElement.type !== "checkbox";
    if (typing) {
      if (event.key === "Escape") document.activeElement.blur();
      return;
    }
    const held = event.ctrlKey || event.metaKey ? "ctrl+" : "";
    const name = `${held}${event.key === " " ? "Space" : event.key}`;
    const found = this.table.find((key) => key.names.includes(name));
    if (!found) return;
    event.preventDefault();
    found.run(event);
  }

  help() {
    const dialog = at("keys");
    const rows = this.table.map((key) => h("tr", {}, h("th", {}, ...key.shown.split(" ").flatMap((name) => [h("kbd", {}, name), " "])), h("td", {}, key.does)));
    const half = Math.ceil(rows.length / 2);
    dialog.replaceChildren(
      h("h2", {}, "Keys"), h("div", { className: "keys" }, h("table", {}, ...rows.slice(0, half)), h("table", {}, ...rows.slice(half))),
      h("p", {}, "The wheel zooms; dragging moves the photograph; a double click shows all of it. Solid lines are labels, dashed lines are what the bundle read."),
      h("form", { method: "dialog" }, h("button", {}, "Close ", h("kbd", {}, "Esc"))));
    dialog.showModal();
  }
}
