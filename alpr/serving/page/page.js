"use strict";
const element = (id) => document.getElementById(id);
let last = null;

function say(text, error) {
  element("said").textContent = text;
  element("said").className = error ? "error" : "";
}

async function read(file) {
  if (!file) return;
  last = file;
  say("Reading …");
  element("plates").hidden = element("picture").hidden = true;
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  if (element("word").value) headers.Authorization = "Bearer " + element("word").value;
  try {
    const answer = await fetch("v1/read", { method: "POST", body: file, headers });
    const found = await answer.json();
    if (answer.status === 401) element("token").style.display = "block";
    if (!answer.ok) return say(found.error, true);
    await draw(file, found);
  } catch (error) {
    say("The server did not answer.", true);
  }
}

async function draw(file, found) {
  const count = found.plates.length;
  const spent = Object.values(found.ms).reduce((a, b) => a + b, 0).toFixed(0);
  say((count ? count + (count > 1 ? " plates" : " plate") : "No plate found") + " in " + spent + " ms.");
  const rows = element("plates").tBodies[0];
  rows.replaceChildren();
  for (const plate of found.plates) {
    const row = rows.insertRow();
    const text = row.insertCell();
    text.className = "text";
    text.textContent = plate.text || "–";
    row.insertCell().textContent = (100 * plate.text_score).toFixed(1) + " %";
    row.insertCell().textContent = (100 * plate.score).toFixed(1) + " %";
  }
  element("plates").hidden = count === 0;
  const image = await createImageBitmap(file);
  const canvas = element("picture");
  canvas.width = image.width;
  canvas.height = image.height;
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  pen.strokeStyle = "#0c0";
  pen.lineWidth = Math.max(2, image.width / 300);
  for (const plate of found.plates) {
    pen.beginPath();
    plate.corners.forEach(([x, y]) => pen.lineTo(x, y));
    pen.closePath();
    pen.stroke();
  }
  canvas.hidden = false;
}

const drop = element("drop");
element("file").addEventListener("change", (event) => read(event.target.files[0]));
element("word").addEventListener("change", () => last && read(last));
document.addEventListener("paste", (event) => read(event.clipboardData.files[0]));
for (const name of ["dragenter", "dragover"])
  document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const name of ["dragleave", "drop"])
  document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove("over"); });
document.addEventListener("drop", (event) => read(event.dataTransfer.files[0]));
