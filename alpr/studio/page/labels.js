// The labels of a photograph: texts with the country's alphabet and the grammar's complaint, country, rows, ignore.

import { get } from "./api.js";
import { at, h, options } from "./dom.js";

export class Labels {
  // on: select(plate), edit(plate, changes), remove(plate), empty(), review()
  constructor(on) {
    this.on = on;
    this.box = at("labels");
    this.countries = [];
  }

  show(photo, selected, unsaved) {
    const focused = this.box.contains(document.activeElement) ? document.activeElement.dataset.field : null;
    const state = !photo.known ? "○ unlabelled" : photo.reviewed ? `✓ reviewed ${photo.reviewed.replace("T", " ").replace("Z", " UTC")}` : "◐ draft, not reviewed";
    const plates = photo.labels.map((label, i) => (i === selected ? this.open(photo, label, i) : this.closed(label, i)));
    const none = photo.labels.length ? "" : h("p", {}, photo.known ? "No plate is in this photograph." : "Nothing is said of this photograph yet.");
    this.box.replaceChildren(
      h("h2", {}, "Labels ", h("span", { id: "state", className: photo.reviewed ? "done" : "" }, state)),
      unsaved ? h("p", { className: "wrong", id: "unsaved" }, `Not saved: ${unsaved}`) : "",
      none, ...plates,
      photo.reasons ? h("p", { className: "quiet" }, `Drafted with doubt: ${photo.reasons}`) : "",
      h("div", { className: "line tools" },
        button("Add plate", "a", () => this.on.add()), button("No plate", "0", () => this.on.empty()),
        button(photo.reviewed ? "Not reviewed" : "Reviewed", photo.reviewed ? "R" : "r", () => this.on.review(!photo.reviewed))));
    if (focused) this.box.querySelector(`[data-field="${focused}"]`)?.focus();
  }

  closed(label, i) {
    const note = label.kind === "ignore" ? " · ignore" : "";
    return h("button", { type: "button", className: "plate shut", onclick: () => this.on.select(i) },
      `${i + 1}  `, h("strong", {}, label.text || "no text"), ` ${label.country}${note}${label.quad ? "" : " · no corners"}`);
  }

  open(photo, label, i) {
    const text = h("input", { value: label.text, className: "text", spellcheck: false, autocomplete: "off", "aria-label": `text of plate ${i + 1}` });
    text.dataset.field = "text";
    const country = h("select", { "aria-label": "country", onchange: () => this.on.edit(i, { country: country.value }) });
    const known = [...new Set(["", label.country, ...this.countries])];
    options(country, known.map((code) => [code, code || "unknown"]), label.country);
    const rows = h("select", { "aria-label": "rows", onchange: () => this.on.edit(i, { rows: rows.value }) });
    options(rows, [["", "unknown"], ["1", "1"], ["2", "2"]], label.rows);
    const ignored = h("input", { type: "checkbox", checked: label.kind === "ignore", onchange: () => this.on.edit(i, { kind: ignored.checked ? "ignore" : "" }) });
    const judged = h("div", { className: "judged", role: "status" });
    let waiting;
    const save = () => {
      clearTimeout(waiting);
      if (text.value !== label.text) this.on.edit(i, { text: text.value });
    };
    const changed = () => {
      clearTimeout(waiting);
      waiting = setTimeout(save, 700);
      this.judge(judged, text, label.country, changed);
    };
    text.addEventListener("input", changed);
    text.addEventListener("blur", save);
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        text.blur();
      }
    });
    this.judge(judged, text, label.country, changed);
    const corners = label.quad && `api/photos/${photo.number}/crop?corners=${label.quad.flat().join(",")}`;
    return h("article", { className: "plate" },
      h("div", { className: "line" }, `${i + 1}`, text, button("Remove", "d", () => this.on.remove(i))),
      corners ? h("img", { className: "crop", alt: "the crop inside the corners", src: corners, onerror: (e) => e.target.remove() }) : h("p", {}, "No corners yet: snap (s) or draw (a)."),
      judged,
      h("div", { className: "line" }, h("label", {}, "Country ", country), h("label", {}, "Rows ", rows), h("label", {}, ignored, " ignore")),
      h("div", { className: "line tools" }, button("Snap", "s", () => this.on.snap()), button("Read inside", "i", () => this.on.inside())));
  }

  async judge(box, text, country, changed) {
    const value = text.value;
    const told = await get(`judge?${new URLSearchParams({ text: value, country })}`).catch(() => null);
    if (!told || text.value !== value) return;
    const sentence = !value ? "" : told.faults.length ? "" : told.layout ? `✓ fits ${told.country}'s layout ${told.layout}` : told.country ? "" : "No country pack: not checked.";
    const keys = [...told.alphabet].map((symbol) =>
      h("button", {
        type: "button", tabIndex: -1, className: "symbol", title: `puts ${symbol} at the cursor`,
        onpointerdown: (event) => event.preventDefault(), // the text keeps its cursor
        onclick: () => {
          text.setRangeText(symbol, text.selectionStart, text.selectionEnd, "end");
          text.focus();
          changed();
        },
      }, symbol));
    box.replaceChildren(
      ...told.faults.map((fault) => h("p", { className: "wrong" }, `✕ ${fault}`)),
      sentence ? h("p", { className: "quiet" }, sentence) : "",
      h("div", { className: "alphabet" }, ...keys));
  }
}

function button(words, key, run) {
  return h("button", { type: "button", onclick: run }, words, " ", h("kbd", {}, key));
}
