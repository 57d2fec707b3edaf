// The page: what is opened, where the photograph at hand is in the list, and what keys and buttons do.

import { get, post, remove } from "./api.js";
import { at, h, options } from "./dom.js";
import { startFilm } from "./film.js";
import { Keys } from "./keys.js";
import { Labels } from "./labels.js";
import { List } from "./list.js";
import { showReading } from "./reading.js";
import { Viewer } from "./viewer.js";
import { Work, quadOf } from "./work.js";

const keys = new Keys();
const viewer = new Viewer({ select: (i) => work.select(i), moved, drawn: (...given) => drawn(...given) });
const work = new Work({ shown, saved, told, go: (number) => openNumber(number) });
const labels = new Labels({
  select: (i) => work.select(i), edit: (i, changes) => work.edit(i, changes), remove: (i) => work.removePlate(i),
  add: startAdding, empty: noPlate, review, snap: () => snap(), inside: () => inside(),
});
const list = new List((place) => open(place));
let state = {};
let reading = null;
let wanted; // the number of the photograph that was asked for last; work.photo follows when it has come
let filters = 0; // how often the list was asked for
let asking = new AbortController();
let nudging;

function told(sentence, wrong = false) {
  at("status").textContent = sentence;
  at("status").classList.toggle("wrong", wrong);
}

const orTold = (run) => async (...given) => {
  try {
    return await run(...given);
  } catch (error) {
    if (error.name !== "AbortError") told(error.message, true);
  }
};

const open = orTold(async (place) => {
  if (place < 0 || place >= list.numbers.length) {
    told(place < 0 ? "This is the first photograph." : "This is the last photograph.");
    return;
  }
  const number = list.numbers[place]; // the list may be another one when the last change is written
  document.activeElement?.blur?.();
  await work.queue;
  if (work.unsaved) {
    told("The last change is not saved: mend it, or undo it with u.", true);
    return;
  }
  flushNudge();
  await openNumber(number);
});

async function openNumber(number) {
  asking.abort();
  asking = new AbortController();
  wanted = number;
  const { signal } = asking;
  viewer.corner = -1;
  stopAdding();
  reading = null;
  showReading(null);
  viewer.showFound([]);
  const place = list.numbers.indexOf(number);
  if (place !== list.current) list.go(place);
  const picture = viewer.open(`api/photos/${number}/image`);
  try {
    await work.open(number, signal);
  } catch (error) {
    if (signal.aborted) return; // another photograph was opened meanwhile
    throw error;
  }
  told(`${place < 0 ? "–" : (place + 1).toLocaleString("en")} of ${list.numbers.length.toLocaleString("en")}: ${work.photo.image}`);
  picture.then(() => setTimeout(() => ask(number, signal), 60));
}

async function ask(number, signal) {
  if (signal.aborted) return;
  showReading(null);
  try {
    reading = await get(`photos/${number}/reading`, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    reading = { error: error.message };
  }
  if (signal.aborted) return;
  showReading(reading, (i) => `api/photos/${number}/seen/${i}`, takePlate);
  viewer.showFound(reading.plates ?? []);
  list.forget(number);
}

function shown() {
  viewer.show(work.photo.labels, work.selected);
  labels.show(work.photo, work.selected, work.unsaved);
}

function saved(number) {
  list.forget(number);
  poll();
}

function moved(plate, corners) {
  return work.edit(plate, { corners });
}

function startAdding() {
  viewer.adding = true;
  viewer.draw();
  told("Drag a rectangle around the plate, or click on it and the reader looks for its corners. Esc stops.");
}

function stopAdding() {
  viewer.adding = false;
  viewer.draw();
}

const drawn = orTold(async (corners, point) => {
  stopAdding();
  const country = state.country || (work.photo.labels.at(-1)?.country ?? reading?.plates?.[0]?.country ?? "");
  if (corners) return work.add({ corners, country });
  const half = [60, 20].map((px) => px / viewer.view.scale);
  const rough = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([x, y]) => [point[0] + x * half[0], point[1] + y * half[1]]);
  const found = await looked(rough, true).catch(() => null);
  if (!found) told("The reader finds no plate there; drag the corners yourself.", true);
  return work.add(found ? { corners: found.corners, text: found.text, country: state.country || found.country || country } : { corners: rough, country });
});

const looked = (quad, snapped) => get(`photos/${work.photo.number}/inside?corners=${quad.flat().join(",")}${snapped ? "&snap=true" : ""}`);

function takePlate(plate) {
  work.add({ corners: plate.corners.map((p) => p.map((v) => Math.round(v * 10) / 10)), text: plate.text, country: state.country || (plate.country ?? ""), rows: plate.rows ? String(plate.rows) : "" });
}

function one() {
  const label = work.photo?.labels[work.selected];
  if (!label) told("No plate is selected.");
  return label;
}

const snap = orTold(async () => {
  const label = one();
  if (!label) return;
  const plates = (reading?.plates ?? []).filter((plate) => !work.photo.labels.some((l) => same(l.quad, plate.corners)));
  const quad = label.quad ?? plates[0]?.corners;
  if (!quad) throw new Error("The reader finds no plate here; draw it (a).");
  const found = await looked(quad, true);
  await work.edit(work.selected, { corners: found.corners, ...(label.text ? {} : { text: found.text }) });
  told(`Snapped; the reader reads ${found.text || "nothing"} there.`);
});

const same = (a, b) => Boolean(a && b) && JSON.stringify(a) === JSON.stringify(b);

const inside = orTold(async () => {
  const label = one();
  if (!label?.quad) return;
  const found = await looked(label.quad, false);
  await work.edit(work.selected, { text: found.text, country: label.country || state.country || found.country });
  told(`The reader reads ${found.text || "nothing"} inside these corners.`);
});

function noPlate() {
  work.selected = -1;
  return work.change({ labels: [], known: true });
}

async function review(yes = true) {
  if (!work.photo.known) {
    told("Nothing is said of this photograph yet: take the reading (g), add a plate (a), or say that there is none (0).", true);
    return;
  }
  document.activeElement?.blur?.();
  flushNudge();
  await work.queue;
  await work.change({ reviewed: yes });
  if (yes && !work.unsaved && list.current + 1 < list.numbers.length) await open(list.current + 1);
}

const takeAll = orTold(async () => {
  if (work.photo.labels.length) throw new Error("There are labels already; take single plates by their button.");
  const drafted = await get(`photos/${work.photo.number}/draft`);
  if (!drafted.length) throw new Error("The reader finds nothing; add a plate (a), or say that there is none (0).");
  work.selected = 0;
  await work.change({ labels: drafted, known: true });
});

// Arrow keys move a chosen corner; a series of them is one change.
function arrow(x, y, event, otherwise) {
  const label = work.photo?.labels[work.selected];
  if (viewer.corner < 0 || !label?.quad) return otherwise?.();
  const step = event.shiftKey ? 5 : 0.5;
  label.quad = label.quad.map((p, i) => (i === viewer.corner ? [p[0] + x * step, p[1] + y * step].map((v) => Math.round(v * 10) / 10) : p));
  viewer.show(work.photo.labels, work.selected);
  viewer.magnify(label.quad);
  clearTimeout(nudging?.timer);
  nudging = { plate: work.selected, corners: label.quad, number: work.photo.number };
  nudging.timer = setTimeout(flushNudge, 600);
}

function flushNudge() {
  if (!nudging) return;
  const { plate, corners, number, timer } = nudging;
  clearTimeout(timer);
  nudging = undefined;
  viewer.glass.hidden = true;
  if (work.photo?.number === number) {
    work.photo.labels = work.photo.labels.map((label) => ({ ...label, quad: quadOf(label) }));
    work.edit(plate, { corners });
  }
}

function chooseCorner(i) {
  if (!one()?.quad) return;
  viewer.corner = i;
  viewer.draw();
  viewer.magnify(work.photo.labels[work.selected].quad);
  told(`Corner ${i + 1}: the arrow keys move it by half a pixel, with Shift by 5. Esc lets go of it.`);
}

function letGo() {
  flushNudge();
  viewer.glass.hidden = true;
  viewer.corner = -1;
  stopAdding();
}

function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
}

const refilter = orTold(async () => {
  const mine = ++filters;
  const asked = new URLSearchParams();
  for (const name of ["text", "state", "country", "source", "low", "high", "order"]) {
    const value = at(`f-${name}`).value;
    if (value !== "") asked.set(name, value);
  }
  const { numbers } = await get(`list?${asked}`);
  if (mine !== filters) return; // the filters were changed meanwhile
  list.known.clear();
  list.set(numbers, wanted);
  at("found").textContent = `${numbers.length.toLocaleString("en")} of ${state.photos.toLocaleString("en")}`;
  if (list.current < 0 && numbers.length) await open(0);
});

async function choices() {
  const found = await get("choices");
  const all = (entries) => [["", "all"], ...entries.map((entry) => [entry, entry])];
  labels.countries = [...new Set([...found.countries, ...found.packs])];
  for (const [name, entries] of [["state", found.states.filter(Boolean)], ["country", found.countries], ["source", found.sources]]) {
    options(at(`f-${name}`), all(entries), at(`f-${name}`).value);
  }
}

function showState() {
  at("title").textContent = `${state.title} · bundle ${state.bundle}`;
  if (state.film) return;
  at("counts").textContent = `${state.photos.toLocaleString("en")} photographs · ${state.labelled.toLocaleString("en")} labelled · ${state.reviewed.toLocaleString("en")} reviewed`;
  at("counts").title = `Labels are written into ${state.table}`;
  const run = state.run;
  for (const id of ["read-all", "draft-all"]) at(id).hidden = Boolean(run?.running);
  if (!run) return;
  const left = run.remaining_s === null ? "" : `, ${run.remaining_s} s left`;
  const failed = run.failed ? `, ${run.failed} unreadable` : "";
  const words = run.error || `${run.drafting ? "Drafting" : "Reading"} ${run.done.toLocaleString("en")} of ${run.total.toLocaleString("en")}, ${run.rate}/s${left}${failed}`;
  const ended = run.error || `${run.drafting ? `${run.drafted} drafted` : `${run.done} read`}${failed}`;
  at("run").replaceChildren(run.running ? words : ended, " ", run.running ? h("button", { type: "button", id: "stop", onclick: orTold(() => remove("run").then(poll)) }, "Stop") : "");
}

const poll = orTold(async () => {
  const before = state;
  state = await get("state");
  showState();
  const run = state.run?.running, ran = before.run?.running;
  if (before.version !== undefined && (state.version !== before.version || state.read !== before.read)) list.forget();
  if (before.version !== undefined && state.version !== before.version) await work.refresh();
  if (ran && !run) {
    await choices();
    if (before.run.drafting) at("f-order").value = "doubt";
    await refilter();
    if (before.run.drafting && !work.past.length) await open(0);
  }
});

const startRun = (drafting) => orTold(async () => {
  await post("run", { drafting });
  await poll();
});

function addKeys() {
  keys.add("ArrowRight n", "→ n", "next photograph", (e) => arrow(1, 0, e, () => open(list.current + 1)));
  keys.add("ArrowLeft p", "← p", "previous photograph", (e) => arrow(-1, 0, e, () => open(list.current - 1)));
  keys.add("Home", "Home", "first photograph", () => open(0));
  keys.add("End", "End", "last photograph", () => open(list.numbers.length - 1));
  keys.add("ArrowDown", "↓ ↑", "next, previous plate; move a chosen corner", (e) => arrow(0, 1, e, () => work.select(work.selected + 1)));
  keys.add("ArrowUp", "↑", "previous plate", (e) => arrow(0, -1, e, () => work.select(work.selected - 1)));
  keys.add("r", "r", "reviewed: the labels are right; go on", () => review(true));
  keys.add("R", "R", "not reviewed", () => review(false));
  keys.add("e Enter", "e Enter", "edit the text; Enter ends", () => at("labels").querySelector("[data-field=text]")?.focus());
  keys.add("1 2 3 4", "1 2 3 4", "choose a corner: top left, top right, bottom right, bottom left", (e) => chooseCorner(Number(e.key) - 1));
  keys.add("s", "s", "snap the corners to what the reader finds there", () => snap());
  keys.add("i", "i", "read the text inside the corners", () => inside());
  keys.add("a", "a", "add a plate: drag a rectangle, or click on it", startAdding);
  keys.add("g", "g", "take the whole reading as labels", () => takeAll());
  keys.add("d Delete", "d Delete", "remove the plate", () => one() && work.removePlate(work.selected));
  keys.add("0", "0", "there is no plate in this photograph", () => noPlate());
  keys.add("x", "x", "ignore the plate: neither plate nor background", () => one() && work.edit(work.selected, { kind: one().kind === "ignore" ? "" : "ignore" }));
  keys.add("u ctrl+z", "u Ctrl+z", "undo", orTold(() => { flushNudge(); return work.undo(); }));
  keys.add("U ctrl+Z ctrl+y", "U Ctrl+y", "redo", orTold(() => work.redo()));
  keys.add("/", "/", "find by text or file name", () => at("f-text").focus());
}

function addViewKeys() {
  keys.add("+ =", "+", "closer", () => viewer.zoom(1.4));
  keys.add("-", "-", "farther", () => viewer.zoom(1 / 1.4));
  keys.add("f", "f", "the whole photograph", () => viewer.fit());
  keys.add("z", "z", "the plate, closely", () => {
    const quad = work.photo?.labels[work.selected]?.quad ?? viewer.found[0]?.corners;
    if (quad) viewer.closeUp(quad);
  });
  keys.add("v", "v", "show or hide what the bundle read", () => {
    viewer.showReading = !viewer.showReading;
    viewer.draw();
  });
  keys.add("t", "t", "dark or light", theme);
  keys.add("Escape", "Esc", "let go of a corner; stop adding", letGo);
  keys.add("?", "?", "these keys", () => keys.help());
}

const start = orTold(async () => {
  at("theme").addEventListener("click", theme);
  at("help").addEventListener("click", () => keys.help());
  state = await get("state");
  showState();
  document.body.classList.toggle("film", state.film);
  if (state.film) {
    startFilm(keys, viewer, told);
    addViewKeys();
    return;
  }
  addKeys();
  addViewKeys();
  options(at("f-order"), [["name", "by name"], ["doubt", "doubtful first"], ["score", "lowest score first"]], state.labelled > state.reviewed ? "doubt" : "name");
  at("read-all").addEventListener("click", startRun(false));
  at("draft-all").addEventListener("click", startRun(true));
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").addEventListener("change", () => refilter());
  let waiting;
  at("f-text").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(refilter, 250);
  });
  addEventListener("beforeunload", (event) => {
    document.activeElement?.blur?.();
    flushNudge();
    if (work.unsaved) event.preventDefault();
  });
  await choices();
  await refilter();
  setInterval(() => document.hidden || poll(), 2000);
});

start();
