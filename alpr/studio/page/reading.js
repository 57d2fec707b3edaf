// What the bundle read: for each plate its crop, its text with a bar per character, and what else it might be.

import { at, h, percent } from "./dom.js";

const STAGES = { decode: "decode", detect: "find", read: "read" };

export function showReading(record, crop, take) {
  const box = at("reading");
  if (record === null) {
    box.replaceChildren(h("h2", {}, "Reading"), h("p", { className: "quiet" }, "The bundle is reading …"));
    return;
  }
  if (record.error) {
    box.replaceChildren(h("h2", {}, "Reading"), h("p", { className: "wrong" }, record.error));
    return;
  }
  const spent = Object.entries(record.ms).map(([stage, ms]) => `${STAGES[stage] ?? stage} ${ms} ms`).join(" · ");
  const about = [`${record.width} × ${record.height} px`, spent];
  if (record.looks > 1) about.push(`looked ${record.looks} times`);
  if (record.damaged) about.push("a part of the picture is missing");
  const plates = record.plates.map((plate, i) => onePlate(plate, i, crop, take));
  const nothing = record.plates.length ? null : h("p", {}, "Nothing found.");
  const doubts = record.reasons.length ? h("p", { className: "quiet" }, `Doubtful: ${record.reasons.join("; ")}.`) : null;
  box.replaceChildren(h("h2", {}, "Reading"), h("p", { className: "quiet" }, about.join(" · ")), nothing ?? "", ...plates, doubts ?? "");
}

function onePlate(plate, i, crop, take) {
  const facts = [`found ${percent(plate.score)}`, `text ${percent(plate.text_score)}`];
  if (plate.country) facts.push(`${plate.country} ${percent(plate.country_score)}`);
  if (plate.kind) facts.push(`${plate.kind} ${percent(plate.kind_score)}`);
  if (plate.rows) facts.push(plate.rows === 2 ? "two rows" : "one row");
  facts.push(plate.state && plate.state !== "read" ? plate.state : "read");
  facts.push(plate.layout ? `layout ${plate.layout}` : "fits no layout");
  if (plate.faint) facts.push("fainter than the reader gives out");
  const others = (plate.alternatives ?? []).filter((one) => one.text !== plate.text);
  return h("article", { className: plate.faint ? "plate faint" : "plate" },
    h("div", { className: "line" },
      h("strong", { className: "text" }, plate.text || "no text"),
      take ? h("button", { type: "button", title: "Adds this plate to the labels", onclick: () => take(plate) }, "Take") : ""),
    h("img", { className: "crop", alt: "the crop as the reader saw it", src: crop(i), onerror: (e) => e.target.remove() }),
    h("div", { className: "bars" }, ...plate.slots.map(bar)),
    h("p", { className: "quiet" }, facts.join(" · ")),
    others.length ? h("p", { className: "quiet" }, `or ${others.map((one) => `${one.text || "nothing"} ${percent(one.text_score)}`).join(", ")}`) : "");
}

function bar(slot) {
  const filled = h("i");
  filled.style.height = `${Math.max(2, 100 * slot.p)}%`;
  const others = slot.others.filter(([, p]) => p >= 0.001).map(([symbol, p]) => h("small", {}, `${symbol || "end"} ${percent(p)}`));
  return h("div", { className: slot.p < 0.9 ? "bar weak" : "bar", title: `${slot.symbol}: ${percent(slot.p)}` },
    h("b", {}, slot.symbol), h("div", { className: "well" }, filled), h("small", { className: "own" }, percent(slot.p)), ...others);
}
