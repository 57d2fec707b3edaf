// The photograph at any zoom, with the quads of labels (solid lines, corners to drag) and of the reading (dashed).

import { at, h, svg } from "./dom.js";

const REACH = 9; // px of the screen: half the side of a corner's handle
const GLASS = 170; // px of the magnifying glass
const HANDS = ["top left", "top right", "bottom right", "bottom left"];

export class Viewer {
  // on: select(plate), moved(plate, corners), drawn(corners or null, point)
  constructor(on) {
    this.on = on;
    this.root = at("viewer");
    this.image = svg("image", { x: 0, y: 0 });
    this.readingLayer = svg("g", { class: "found" });
    this.labelLayer = svg("g", { class: "labelled" });
    this.rubber = svg("rect", { class: "rubber", visibility: "hidden" });
    this.svg = svg("svg", { id: "canvas" }, this.image, this.readingLayer, this.labelLayer, this.rubber);
    this.glass = h("canvas", { id: "glass", width: GLASS, height: GLASS, hidden: true });
    this.message = h("p", { id: "nothing", hidden: true });
    this.root.append(this.svg, this.glass, this.message);
    this.size = [1, 1];
    this.view = { x: 0, y: 0, scale: 1 };
    this.labels = [];
    this.found = [];
    this.selected = -1;
    this.corner = -1;
    this.adding = false;
    this.showReading = true;
    this.svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.svg.addEventListener("pointerdown", (event) => this.down(event));
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerup", (event) => this.up(event));
    this.svg.addEventListener("pointercancel", (event) => this.up(event));
    this.svg.addEventListener("dblclick", () => this.fit());
    new ResizeObserver(() => (this.fitted ? this.fit() : this.draw())).observe(this.root);
  }

  // The picture at an address; what is drawn on it is set apart. `keep` keeps the zoom, of a video.
  async open(address, keep = false) {
    const loading = new Image();
    this.loading = loading;
    loading.src = address;
    try {
      await loading.decode();
    } catch {
      if (this.loading === loading) this.fail("This photograph cannot be shown.");
      return false;
    }
    if (this.loading !== loading) return false;
    const same = keep && this.size[0] === loading.naturalWidth && this.size[1] === loading.naturalHeight;
    this.source = loading;
    this.message.hidden = true;
    this.size = [loading.naturalWidth, loading.naturalHeight];
    this.image.setAttribute("href", address);
    this.image.setAttribute("width", this.size[0]);
    this.image.setAttribute("height", this.size[1]);
    if (same) this.draw();
    else this.fit();
    return true;
  }

  fail(sentence) {
    this.source = null;
    this.image.removeAttribute("href");
    this.message.textContent = sentence;
    this.message.hidden = false;
  }

  show(labels, selected) {
    this.labels = labels;
    this.selected = selected;
    if (selected < 0) this.corner = -1;
    this.draw();
  }

  showFound(found) {
    this.found = found;
    this.draw();
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.root;
    const scale = Math.min(width / this.size[0], height / this.size[1]) || 1;
    this.view = { scale, x: (this.size[0] - width / scale) / 2, y: (this.size[1] - height / scale) / 2 };
    this.fitted = true;
    this.draw();
  }

  // Looks at a quad closely.
  closeUp(quad) {
    const xs = quad.map((p) => p[0]), ys = quad.map((p) => p[1]);
    const { clientWidth: width, clientHeight: height } = this.root;
    const wide = Math.max(...xs) - Math.min(...xs), high = Math.max(...ys) - Math.min(...ys);
    const scale = Math.min(width / (wide * 2), height / (high * 3), 40);
    const x = (Math.max(...xs) + Math.min(...xs)) / 2, y = (Math.max(...ys) + Math.min(...ys)) / 2;
    this.view = { scale, x: x - width / scale / 2, y: y - height / scale / 2 };
    this.fitted = false;
    this.draw();
  }

  zoom(by, at) {
    const { clientWidth: width, clientHeight: height } = this.root;
    const [px, py] = at ?? [width / 2, height / 2];
    const { scale, x, y } = this.view;
    const next = Math.min(60, Math.max(0.01, scale * by));
    this.view = { scale: next, x: x + px / scale - px / next, y: y + py / scale - py / next };
    this.fitted = false;
    this.draw();
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    return [this.view.x + (event.clientX - box.left) / this.view.scale, this.view.y + (event.clientY - box.top) / this.view.scale];
  }

  wheel(event) {
    event.preventDefault();
    const box = this.svg.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY * 0.0015), [event.clientX - box.left, event.clientY - box.top]);
  }

  down(event) {
    if (event.button !== 0 && event.button !== 1) return;
    document.activeElement?.blur?.();
    const { plate, corner } = event.target.dataset ?? {};
    this.svg.setPointerCapture(event.pointerId);
    const start = this.point(event);
    if (this.adding) this.drag = { kind: "add", start };
    else if (corner !== undefined) {
      this.corner = Number(corner);
      const quad = this.labels[this.selected].quad.map((p) => [...p]);
      this.drag = { kind: "corner", quad, off: [quad[this.corner][0] - start[0], quad[this.corner][1] - start[1]] };
      this.magnify(quad);
    } else {
      if (plate !== undefined) this.on.select(Number(plate));
      this.drag = { kind: "pan", from: [event.clientX, event.clientY], view: { ...this.view } };
    }
    event.preventDefault();
  }

  move(event) {
    const drag = this.drag;
    if (!drag) return;
    if (drag.kind === "pan") {
      const { x, y, scale } = drag.view;
      this.view = { scale, x: x - (event.clientX - drag.from[0]) / scale, y: y - (event.clientY - drag.from[1]) / scale };
      this.fitted = false;
      this.draw();
    } else if (drag.kind === "corner") {
      const [x, y] = this.point(event);
      drag.quad[this.corner] = [rounded(x + drag.off[0]), rounded(y + drag.off[1])];
      drag.moved = true;
      this.draw(drag.quad);
      this.magnify(drag.quad);
    } else {
      const [x, y] = this.point(event);
      const [a, b] = drag.start;
      drag.end = [x, y];
      for (const [key, value] of Object.entries({ x: Math.min(a, x), y: Math.min(b, y), width: Math.abs(x - a), height: Math.abs(y - b) })) {
        this.rubber.setAttribute(key, value);
      }
      this.rubber.setAttribute("visibility", "visible");
    }
  }

  up() {
    const drag = this.drag;
    this.drag = null;
    this.glass.hidden = true;
    this.rubber.setAttribute("visibility", "hidden");
    if (!drag) return;
    if (drag.kind === "corner" && drag.moved) {
      this.corner = -1; // arrow keys go on to the next photograph
      this.on.moved(this.selected, drag.quad);
    } else if (drag.kind === "corner") this.draw();
    else if (drag.kind === "add") {
      const [a, b] = drag.start, [x, y] = drag.end ?? drag.start;
      const large = Math.abs(x - a) * this.view.scale > 6 && Math.abs(y - b) * this.view.scale > 6;
      const [l, t, r, d] = [Math.min(a, x), Math.min(b, y), Math.max(a, x), Math.max(b, y)].map(rounded);
      this.on.drawn(large ? [[l, t], [r, t], [r, d], [l, d]] : null, drag.start.map(rounded));
    }
  }

  draw(moving = null) {
    const { x, y, scale } = this.view;
    const { clientWidth: width, clientHeight: height } = this.root;
    this.svg.setAttribute("viewBox", `${x} ${y} ${Math.max(1, width) / scale} ${Math.max(1, height) / scale}`);
    this.svg.classList.toggle("adding", this.adding);
    this.svg.classList.toggle("close", scale > 3);
    const found = this.showReading ? this.found : [];
    this.readingLayer.replaceChildren(...found.flatMap((plate) => this.quad(plate.corners, plate.faint ? "faint" : "", plate.text, false)));
    this.labelLayer.replaceChildren(...this.labels.flatMap((label, i) => {
      const quad = i === this.selected && moving ? moving : label.quad;
      if (!quad) return [];
      const parts = this.quad(quad, `${i === this.selected ? "selected" : ""} ${label.kind === "ignore" ? "ignore" : ""}`, `${i + 1} ${label.text}`, true);
      parts[0].dataset.plate = i;
      return i === this.selected ? [...parts, ...this.handles(quad)] : parts;
    }));
  }

  quad(corners, kind, text, above) {
    const size = 13 / this.view.scale;
    const top = corners.reduce((best, p) => (p[1] < best[1] ? p : best));
    const low = corners.reduce((best, p) => (p[1] > best[1] ? p : best));
    const left = Math.min(...corners.map((p) => p[0]));
    const name = svg("text", { x: left, y: above ? top[1] - size * 0.5 : low[1] + size * 1.3, "font-size": size, "stroke-width": size / 4 });
    name.textContent = text;
    return [svg("polygon", { points: corners.map((p) => p.join(",")).join(" "), class: kind }), name];
  }

  handles(quad) {
    const r = REACH / this.view.scale;
    return quad.flatMap((p, i) => {
      const values = { x: p[0] - r, y: p[1] - r, width: 2 * r, height: 2 * r, class: `handle ${i === this.corner ? "active" : ""}` };
      const handle = svg("rect", values, Object.assign(svg("title"), { textContent: `corner ${i + 1}: ${HANDS[i]}` }));
      handle.dataset.corner = i;
      const centre = quad.reduce((sum, q) => [sum[0] + q[0] / 4, sum[1] + q[1] / 4], [0, 0]);
      const out = [p[0] - centre[0], p[1] - centre[1]];
      const far = (20 / this.view.scale) / (Math.hypot(...out) || 1);
      const size = 11 / this.view.scale;
      const name = svg("text", { x: p[0] + out[0] * far - size * 0.3, y: p[1] + out[1] * far + size * 0.35, "font-size": size, "stroke-width": size / 4, class: "corner" });
      name.textContent = i + 1;
      return [handle, name];
    });
  }

  // The surroundings of the corner that is moved, larger, in the corner of the view that is farthest from it.
  magnify(quad) {
    if (!this.source || this.corner < 0) return;
    const [x, y] = quad[this.corner];
    const scale = Math.max(6, this.view.scale * 3);
    const half = GLASS / 2 / scale;
    const pen = this.glass.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.fillStyle = "#808080";
    pen.fillRect(0, 0, GLASS, GLASS);
    pen.drawImage(this.source, x - half, y - half, 2 * half, 2 * half, 0, 0, GLASS, GLASS);
    for (const [colour, width] of [["#000", 3], ["#fff", 1.2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.beginPath();
      quad.forEach((p, i) => pen[i ? "lineTo" : "moveTo"]((p[0] - x + half) * scale, (p[1] - y + half) * scale));
      pen.closePath();
      pen.stroke();
    }
    const onLeft = (x - this.view.x) * this.view.scale < this.root.clientWidth / 2;
    this.glass.classList.toggle("right", onLeft);
    this.glass.hidden = false;
  }
}

const rounded = (value) => Math.round(value * 10) / 10;
