// One photograph at work: its labels, every change written at once, undo, and what to do when another page was quicker.

import { get, put } from "./api.js";
import { at, h } from "./dom.js";

export const quadOf = (label) => {
  if (label.corners || !label.box) return label.corners;
  const [l, t, r, b] = label.box;
  return [[l, t], [r, t], [r, b], [l, b]];
};
const shown = (labels) => labels.map((label) => ({ ...label, quad: quadOf(label) }));
const sent = (labels) => labels.map(({ quad, ...label }) => label);
const stateOf = (photo) => ({ labels: sent(photo.labels), known: photo.known, reviewed: Boolean(photo.reviewed) });
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Work {
  // on: shown(), saved(number), told(sentence, wrong), go(number)
  constructor(on) {
    this.on = on;
    this.photo = null;
    this.selected = -1;
    this.unsaved = "";
    this.past = [];
    this.future = [];
    this.queue = Promise.resolve();
  }

  async open(number, signal) {
    await this.queue;
    const photo = await get(`photos/${number}`, signal);
    this.take(photo);
    this.selected = this.photo.labels.length ? 0 : -1;
    this.on.shown();
  }

  take(photo) {
    this.photo = { ...photo, labels: shown(photo.labels) };
    this.saved = stateOf(this.photo);
    this.unsaved = "";
    at("conflict").hidden = true;
    if (this.selected >= photo.labels.length) this.selected = photo.labels.length - 1;
  }

  select(plate) {
    if (!this.photo?.labels.length) return;
    const count = this.photo.labels.length;
    this.selected = (plate + count) % count;
    this.on.shown();
  }

  edit(plate, changes) {
    const labels = this.photo.labels.map((label, i) => (i === plate ? { ...label, ...changes } : label));
    return this.change({ labels: sent(labels) });
  }

  add(label) {
    const made = { text: "", country: "", corners: null, box: null, kind: "", rows: "", rest: { ...this.photo.rest }, ...label };
    this.selected = this.photo.labels.length;
    return this.change({ labels: [...sent(this.photo.labels), made], known: true });
  }

  removePlate(plate) {
    const labels = sent(this.photo.labels).filter((_, i) => i !== plate);
    this.selected = Math.min(this.selected, labels.length - 1);
    return this.change({ labels, known: true });
  }

  // Shows the change at once and writes it; changes are written one after the other.
  change(changes, remember = true) {
    const number = this.photo.number;
    const before = stateOf(this.photo);
    const after = { ...before, ...changes };
    if (same(before, after)) return this.queue;
    this.photo = { ...this.photo, ...after, labels: shown(after.labels), reviewed: after.reviewed ? this.photo.reviewed || "now" : "" };
    this.on.shown();
    this.queue = this.queue.then(() => this.write(number, after, remember));
    return this.queue;
  }

  async write(number, after, remember) {
    if (this.photo.number !== number) return;
    const before = this.saved;
    try {
      const photo = await put(`photos/${number}`, { ...after, revision: this.photo.revision });
      if (remember && !same(before, after)) {
        this.past.push({ number, before, after });
        this.future = [];
      }
      const newest = same(stateOf(this.photo), after);
      if (newest) this.take(photo);
      else {
        this.photo.revision = photo.revision;
        this.saved = after;
      }
      this.on.saved(number);
      if (newest) this.on.shown();
    } catch (error) {
      if (error.status === 409 && error.told.photo) this.conflict(error.told.photo, after, remember);
      else {
        this.unsaved = error.message;
        this.on.told(`Not saved: ${error.message}`, true);
        this.on.shown();
      }
    }
  }

  conflict(theirs, mine, remember) {
    const box = at("conflict");
    const keep = () => {
      const before = stateOf({ ...theirs, labels: shown(theirs.labels) });
      this.photo = { ...this.photo, revision: theirs.revision };
      this.saved = before;
      box.hidden = true;
      this.queue = this.queue.then(() => this.write(theirs.number, mine, remember));
    };
    const give = () => {
      this.take(theirs);
      this.on.saved(theirs.number);
      this.on.shown();
    };
    this.unsaved = "another page changed this photograph in the meantime.";
    box.replaceChildren(
      h("p", {}, "Another page changed this photograph in the meantime. Your last change is not written yet."),
      h("p", {}, `Theirs: ${theirs.labels.map((label) => label.text || "no text").join(", ") || "no plate"}. Yours: ${mine.labels.map((label) => label.text || "no text").join(", ") || "no plate"}.`),
      h("button", { type: "button", id: "keep-mine", onclick: keep }, "Keep mine"), " ",
      h("button", { type: "button", id: "take-theirs", onclick: give }, "Take theirs"));
    box.hidden = false;
    this.on.shown();
  }

  // What another page wrote is shown, unless something here is not written yet.
  async refresh() {
    if (!this.photo || this.unsaved) return;
    const number = this.photo.number;
    await this.queue;
    const photo = await get(`photos/${number}`);
    if (this.photo.number !== number || photo.revision <= this.photo.revision || this.unsaved) return;
    this.take(photo);
    this.on.told("Another page changed this photograph; this is its newest state.");
    this.on.shown();
  }

  async undo() {
    if (this.unsaved) {
      this.photo = { ...this.photo, ...this.saved, labels: shown(this.saved.labels), reviewed: this.saved.reviewed ? this.photo.reviewed : "" };
      this.unsaved = "";
      await this.open(this.photo.number);
      return;
    }
    await this.step(this.past, this.future, "before", "after", "Undone");
  }

  redo() {
    return this.step(this.future, this.past, "after", "before", "Done again");
  }

  async step(from, onto, to, now, word) {
    await this.queue;
    const change = from.pop();
    if (!change) {
      this.on.told("There is nothing more.");
      return;
    }
    if (this.photo.number !== change.number) await this.on.go(change.number);
    if (!same(stateOf(this.photo), change[now])) {
      this.on.told("Another page changed this photograph since; nothing was undone.", true);
      return;
    }
    await this.change(change[to], false);
    if (!this.unsaved) onto.push(change);
    this.on.told(`${word}.`);
  }
}
