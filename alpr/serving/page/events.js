"use strict";
const element = (id) => document.getElementById(id);
const MOST = 200;
let last = "";
let wake = null;

function say(text, error) {
  element("said").textContent = text;
  element("said").className = error ? "error" : "";
}

function show(event) {
  const name = event.event;
  const old = [...element("rows").rows].find((row) => row.dataset.event === name);
  const row = old || element("rows").insertRow(0);
  row.replaceChildren();
  row.dataset.event = name;
  row.className = event.listed ? "listed" : "";
  const picture = row.insertCell();
  if (event.picture) {
    const image = document.createElement("img");
    image.alt = event.text;
    image.src = "data:image/jpeg;base64," + event.picture;
    picture.append(image);
  }
  const text = row.insertCell();
  text.className = "text";
  text.textContent = event.text || "–";
  note(text, event.list ? event.list.list + (event.list.note ? ": " + event.list.note : "") : "");
  const score = row.insertCell();
  score.textContent = (100 * event.score).toFixed(1) + " %";
  note(score, event.agreed + " of " + event.frames + " frames");
  row.insertCell().textContent = event.started ? new Date(event.started).toLocaleString() : event.first_s.toFixed(1) + " s";
  row.insertCell().textContent = event.source;
  row.insertCell().textContent = event.direction || "–";
  while (element("rows").rows.length > MOST) element("rows").deleteRow(-1);
}

function note(cell, text) {
  if (!text) return;
  const small = document.createElement("small");
  small.textContent = text;
  cell.append(small);
}

// EventSource sends no token, so the stream is read by hand.
async function listen() {
  const headers = {};
  if (element("word").value) headers.Authorization = "Bearer " + element("word").value;
  if (last) headers["Last-Event-ID"] = last;
  const answer = await fetch("v1/events?recent=" + MOST, { headers });
  if (answer.status === 401) element("token").style.display = "block";
  if (!answer.ok) return say((await answer.json()).error, true);
  say("Waiting for vehicles.");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return say("The server ended the stream; it is asked again.", true);
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const fields = Object.fromEntries(part.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
      if (fields.id) last = fields.id;
      if (fields.data) {
        show(JSON.parse(fields.data));
        say("");
      }
    }
  }
}

async function run() {
  for (;;) {
    try {
      await listen();
    } catch (error) {
      say("The server does not answer; it is asked again.", true);
    }
    await new Promise((resolve) => { wake = resolve; setTimeout(resolve, 3000); });
  }
}

element("word").addEventListener("change", () => wake && wake());
run();
