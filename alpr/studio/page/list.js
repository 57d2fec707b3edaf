// A list of any length: only the rows in sight are elements, and only their summaries are asked for.

import { get } from "./api.js";
import { at, h, percent } from "./dom.js";

const HEIGHT = 62; // px of a row, as in style.css
const CHUNK = 50;
const PICTURES_AFTER = 90; // ms for which a row must be in sight before its picture is asked for

export class List {
  constructor(open) {
    this.box = at("list");
    this.rows = at("rows");
    this.numbers = [];
    this.current = -1; // place in the list
    this.known = new Map(); // number -> summary
    this.asked = new Set();
    this.shown = new Map(); // place -> element
    this.box.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.rows.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) open(Number(row.dataset.place));
    });
  }

  set(numbers, current) {
    this.numbers = numbers;
    this.current = numbers.indexOf(current);
    this.rows.style.height = `${numbers.length * HEIGHT}px`;
    this.clear();
    this.reveal();
    this.draw();
  }

  clear() {
    for (const row of this.shown.values()) row.remove();
    this.shown.clear();
  }

  go(place) {
    this.current = place;
    for (const [other, row] of this.shown) row.setAttribute("aria-current", other === place);
    this.reveal();
  }

  reveal() {
    if (this.current < 0) return;
    const top = this.current * HEIGHT;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop || top + HEIGHT > scrollTop + clientHeight) this.box.scrollTop = top - clientHeight / 2;
  }

  forget(number) {
    if (number === undefined) this.known.clear();
    else this.known.delete(number);
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / HEIGHT) - 3);
    const last = Math.min(this.numbers.length, first + Math.ceil(this.box.clientHeight / HEIGHT) + 6);
    for (const [place, row] of this.shown) {
      if (place < first || place >= last) {
        row.remove();
        this.shown.delete(place);
      }
    }
    for (let place = first; place < last; place++) {
      if (!this.shown.has(place)) {
        const row = h("div", { className: "row" });
        row.dataset.place = place;
        row.style.transform = `translateY(${place * HEIGHT}px)`;
        row.setAttribute("aria-current", place === this.current);
        this.shown.set(place, row);
        this.rows.append(row);
        setTimeout(() => this.picture(place, row), PICTURES_AFTER);
      }
      this.fill(this.shown.get(place), this.known.get(this.numbers[place]));
    }
    this.ask(first, last);
  }

  picture(place, row) {
    if (this.shown.get(place) !== row) return;
    const number = this.numbers[place];
    row.prepend(h("img", { alt: "", src: `api/photos/${number}/thumbnail`, onerror: (e) => e.target.classList.add("broken") }));
  }

  fill(row, summary) {
    if (!summary || row.summary === summary) return;
    row.summary = summary;
    row.querySelector(".about")?.remove();
    const name = summary.image.split("/").pop();
    const texts = summary.known ? summary.texts.map((text) => text || "no text").join(" ") : (summary.read ?? []).join(" ");
    const state = summary.error ? "✕ unreadable" : summary.reviewed ? "✓ reviewed" : !summary.known ? "○ unlabelled" : "◐ draft";
    const more = summary.known && !summary.plates ? " · no plate" : summary.plates > 1 ? ` · ${summary.plates} plates` : "";
    const score = summary.score === null ? "" : ` · ${percent(summary.score)}`;
    row.append(
      h("div", { className: "about", title: summary.image },
        h("b", {}, texts || "–"), h("span", {}, name), h("small", {}, `${state}${more}${score}`)),
    );
  }

  async ask(first, last) {
    const lacking = [];
    for (let start = first - (first % CHUNK); start < last; start += CHUNK) {
      lacking.push(...this.numbers.slice(start, start + CHUNK).filter((n) => !this.known.has(n) && !this.asked.has(n)));
    }
    if (!lacking.length) return;
    lacking.forEach((n) => this.asked.add(n));
    try {
      for (const summary of await get(`rows?numbers=${lacking.slice(0, 200).join(",")}`)) this.known.set(summary.number, summary);
    } finally {
      lacking.forEach((n) => this.asked.delete(n));
    }
    this.draw();
  }
}
