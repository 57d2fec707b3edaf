// One finding at a time and a key for each decision. Decisions stay in the browser until they are saved as a table.
"use strict";
(() => {
  const box = document.getElementById("decide");
  const cards = [...box.querySelectorAll(".card")].map((shown) => ({
    shown, rows: JSON.parse(shown.dataset.rows), reason: JSON.parse(shown.dataset.reason),
  }));
  const place = "alpr data check " + box.dataset.key;
  const find = (name) => box.querySelector("." + name);
  const field = find("correction");
  const said = find("said");
  let at = 0, side = 0, decisions = {}, file = null;
  try { decisions = JSON.parse(localStorage.getItem(place)) || {}; } catch { decisions = {}; }

  const row = () => cards[at].rows[Math.min(side, cards[at].rows.length - 1)];
  const key = (one) => JSON.stringify([one.image, one.text]);
  const decided = (card) => card.rows.some((one) => key(one) in decisions);

  function keep() {
    try { localStorage.setItem(place, JSON.stringify(decisions)); } catch { said.textContent = "Not kept here: save."; }
  }

  function show(message = "") {
    cards.forEach((card, i) => { card.shown.hidden = i !== at; });
    cards[at].shown.querySelectorAll("figure").forEach((figure, i) => figure.classList.toggle("chosen", i === side));
    const done = cards.filter(decided).length;
    const before = decisions[key(row())];
    find("count").textContent = `${at + 1} of ${cards.length}, ${done} decided`;
    find("subject").textContent = `${row().where}: ${row().text}`;
    find("before").textContent = before ? `${before.decision} ${before.correction}` : "no decision yet";
    field.value = before && before.decision === "correct" ? before.correction : row().proposal;
    said.textContent = message;
  }

  function go(step) {
    at = Math.max(0, Math.min(cards.length - 1, at + step));
    side = 0;
    field.blur();
    show(step > 0 && cards.every(decided) ? "All are decided: save." : "");
  }

  function decide(decision) {
    const correction = decision === "correct" ? field.value.trim() : "";
    if (decision === "correct" && (!correction || correction === row().text)) {
      said.textContent = "A correction is another text; k keeps the label.";
      field.focus();
      return;
    }
    decisions[key(row())] = { ...row(), reason: cards[at].reason, decision, correction };
    keep();
    go(1);
  }

  function undo() {
    delete decisions[key(row())];
    keep();
    show();
  }

  function swap() {
    side = (side + 1) % cards[at].rows.length;
    show();
  }

  function table() {
    const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const kept = Object.values(decisions).map((one) => {
      const shows = { keep: one.text, correct: one.correction, drop: "unreadable" }[one.decision];
      return [one.image, one.text, shows, one.reason, one.decision].map(cell).join(",");
    });
    return ["image,text,correction,reason,decision", ...kept, ""].join("\n");
  }

  async function save() {
    if (window.showSaveFilePicker) {
      try {
        file = file || await window.showSaveFilePicker({ suggestedName: "corrections.csv" });
        const open = await file.createWritable();
        await open.write(table());
        await open.close();
        said.textContent = `Saved as ${file.name}.`;
        return;
      } catch (error) {
        if (error.name === "AbortError") return;
        file = null;  // not allowed here: it is downloaded instead
      }
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    link.download = "corrections.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    said.textContent = "corrections.csv is among your downloads.";
  }

  const edit = () => { field.focus(); field.select(); };
  const actions = {
    k: () => decide("keep"), c: edit, d: () => decide("drop"), o: swap, u: undo, s: save,
    ArrowRight: () => go(1), ArrowLeft: () => go(-1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === field) {
      if (event.key === "Enter") decide("correct");
      if (event.key === "Escape") field.blur();
      return;
    }
    const action = actions[event.key];
    if (action) { event.preventDefault(); action(); }
  });
  box.querySelectorAll("button").forEach((button) => {
    button.addEventListener("click", () => (button.value === "enter" ? decide("correct") : actions[button.value]()));
  });
  const open = cards.findIndex((card) => !decided(card));
  at = open < 0 ? 0 : open;
  find("panel").hidden = false;
  show();
})();
