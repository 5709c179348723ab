// One film on a canvas: grey through a lookup table, zoom, shift, measures, and the evidence map over it.

import * as api from "./api.js";
import { contour, picture, smooth } from "./heat.js";

const WHOLE = Object.freeze({ zoom: 1, x: 0.5, y: 0.5, centre: 127.5, width: 255, inverted: false });
const [LEAST_ZOOM, MOST_ZOOM] = [0.25, 40];
const KEPT_FILMS = 6;
const STYLE = { line: "#ffd34d", under: "rgba(0,0,0,.75)", font: "600 13px Inter, system-ui, sans-serif" };

/** Films that were fetched, so that going back and forth is quick. */
const fetched = new Map();

async function valuesOf(image) {
  if (!fetched.has(image.id)) {
    fetched.set(image.id, fetchValues(image.id));
    if (fetched.size > KEPT_FILMS) fetched.delete(fetched.keys().next().value);
  }
  try {
    return await fetched.get(image.id);
  } catch (error) {
    fetched.delete(image.id);
    throw error;
  }
}

/** Return a film: values, and the greys (0 black, 255 white in the window of the header) of the lowest and the highest. */
async function fetchValues(imageId) {
  const { values, rows, columns, bits, low, high, ends } = await api.film(imageId);
  return { values, height: rows, width: columns, levels: 2 ** bits, low: 255 * low, high: 255 * high, ends };
}

/** A film and how it is looked at. `view` holds shares of the film and of its fit, so that films of any size can share it. */
export class FilmPane {
  view = { ...WHOLE };
  tool = "window";
  #canvas;
  #changed;
  #image = null;
  #film = null;
  #shown = null;
  #heat = null;
  #lines = [];
  #scheduled = false;

  /** @param {HTMLCanvasElement} canvas Where. @param {(pane: FilmPane) => void} changed Told when the reader changed the view. */
  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#grasp(event));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.fit());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.#arrow(event));
  }

  /** The film that is shown, as the API tells of it. */
  get image() {
    return this.#image;
  }

  /** How many screen pixels a pixel of the film takes. */
  get scale() {
    return this.#film ? this.#fitted() * this.view.zoom : 1;
  }

  /** Width and centre of the window, in the units of the header where it tells them, else in greys of 0 to 255. */
  get window() {
    const { width, centre } = this.view;
    const [black, white] = this.#film?.ends ?? [0, 255];
    return { width: (Math.abs(white - black) * width) / 255, centre: black + ((white - black) * centre) / 255 };
  }

  /** Lengths of all measures, in words. */
  get measures() {
    return this.#lines.map((line) => this.#length(line));
  }

  /** Show a film, whole. Another film that is asked for meanwhile wins. */
  async show(image) {
    this.#image = image;
    this.#film = this.#shown = this.#heat = null;
    this.#lines = [];
    this.view = { ...WHOLE };
    this.#redraw();
    if (!image) return;
    const film = await valuesOf(image);
    if (this.#image?.id !== image.id) return;
    this.#film = film;
    this.#paint();
  }

  /** Take the view of another film. */
  follow(view) {
    this.#set(view, false);
  }

  /** Show the whole film. */
  fit() {
    this.#set({ zoom: 1, x: 0.5, y: 0.5 });
  }

  /** Show one pixel of the film on one pixel of the screen. */
  oneToOne() {
    if (this.#film) this.#set({ zoom: 1 / this.#fitted() });
  }

  /** Zoom by a factor, about a point of the canvas or its middle. */
  zoom(factor, point = null) {
    if (!this.#film) return;
    const [from, before] = [point && this.#toFilm(point), this.view];
    const zoom = Math.min(Math.max(this.view.zoom * factor, LEAST_ZOOM), MOST_ZOOM);
    if (!from) return this.#set({ zoom });
    // What lies under the pointer stays there.
    const { width, height } = this.#film;
    const rest = before.zoom / zoom;
    const [fx, fy] = [from[0] / width, from[1] / height];
    this.#set({ zoom, x: fx + (before.x - fx) * rest, y: fy + (before.y - fy) * rest });
  }

  /** Exchange black and white. */
  invert() {
    this.#set({ inverted: !this.view.inverted });
  }

  /** Go back to the grey values as they came. */
  resetWindow() {
    this.#set({ centre: WHOLE.centre, width: WHOLE.width, inverted: false });
  }

  /** Take all measures off. */
  clearMeasures() {
    this.#lines = [];
    this.#redraw();
    this.#changed(this);
  }

  /** Lay an evidence map over the film; null takes it off. */
  explain(evidence) {
    if (evidence) {
      const map = smooth(evidence.weights);
      const lines = [[0.25, contour(map, 0.25)], [0.6, contour(map, 0.6)]];
      this.#heat = { part: evidence.part, picture: picture(map), lines };
    } else this.#heat = null;
    this.#redraw();
  }

  #set(change, own = true) {
    const painted = ["centre", "width", "inverted"].some((key) => key in change && change[key] !== this.view[key]);
    this.view = { ...this.view, ...change };
    const [low, high] = this.#film ? [this.#film.low, this.#film.high] : [0, 255];
    this.view.width = Math.min(Math.max(this.view.width, 2), 4 * (high - low));
    this.view.centre = Math.min(Math.max(this.view.centre, low - 128), high + 128);
    this.view.x = Math.min(Math.max(this.view.x, -0.25), 1.25);
    this.view.y = Math.min(Math.max(this.view.y, -0.25), 1.25);
    if (painted) this.#shown = null;
    this.#redraw();
    if (own) this.#changed(this);
  }

  #fitted() {
    const { width, height } = this.#film;
    return Math.min(this.#canvas.width / width, this.#canvas.height / height);
  }

  #toFilm([x, y]) {
    const { width, height } = this.#film;
    return [
      (x - this.#canvas.width / 2) / this.scale + this.view.x * width,
      (y - this.#canvas.height / 2) / this.scale + this.view.y * height,
    ];
  }

  #toCanvas([column, row]) {
    const { width, height } = this.#film;
    return [
      this.#canvas.width / 2 + (column - this.view.x * width) * this.scale,
      this.#canvas.height / 2 + (row - this.view.y * height) * this.scale,
    ];
  }

  #resize() {
    const ratio = window.devicePixelRatio || 1;
    this.#canvas.width = Math.max(Math.round(this.#canvas.clientWidth * ratio), 1);
    this.#canvas.height = Math.max(Math.round(this.#canvas.clientHeight * ratio), 1);
    this.#draw();
  }

  #redraw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  /** Put the film through the window: the linear function of PS3.3 C.11.2.1.2, in greys that go on beyond the header's window. */
  #paint() {
    const { values, width, height, levels, low, high } = this.#film;
    const { centre, width: wide, inverted } = this.view;
    const table = new Uint32Array(levels);
    for (let value = 0; value < levels; value += 1) {
      const grey = low + (value / (levels - 1)) * (high - low);
      const share = Math.min(Math.max((grey - centre) / wide + 0.5, 0), 1);
      const shade = Math.round((inverted ? 1 - share : share) * 255);
      table[value] = (255 << 24) | (shade << 16) | (shade << 8) | shade;
    }
    const pixels = new ImageData(width, height);
    const words = new Uint32Array(pixels.data.buffer);
    for (let place = 0; place < values.length; place += 1) words[place] = table[values[place]];
    this.#shown = new OffscreenCanvas(width, height);
    this.#shown.getContext("2d").putImageData(pixels, 0, 0);
    this.#redraw();
  }

  #draw() {
    const context = this.#canvas.getContext("2d");
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (!this.#film) return;
    if (!this.#shown) this.#paint();
    const { width, height } = this.#film;
    const [left, top] = this.#toCanvas([0, 0]);
    const [right, bottom] = this.#toCanvas([width, height]);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#shown, left, top, right - left, bottom - top);
    if (this.#heat) this.#drawHeat(context, [left, top, right, bottom]);
    for (const line of this.#lines) this.#drawLine(context, line);
  }

  #drawHeat(context, [left, top, right, bottom]) {
    const [x0, y0, x1, y1] = this.#heat.part;
    const place = [left + x0 * (right - left), top + y0 * (bottom - top)];
    const size = [(x1 - x0) * (right - left), (y1 - y0) * (bottom - top)];
    context.save();
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    context.drawImage(this.#heat.picture, ...place, ...size);
    for (const [level, segments] of this.#heat.lines) {
      context.beginPath();
      for (const [ax, ay, bx, by] of segments) {
        context.moveTo(place[0] + ax * size[0], place[1] + ay * size[1]);
        context.lineTo(place[0] + bx * size[0], place[1] + by * size[1]);
      }
      context.lineCap = "round";
      context.strokeStyle = STYLE.under;
      context.lineWidth = level > 0.5 ? 4 : 2.5;
      context.stroke();
      context.strokeStyle = level > 0.5 ? "#ffffff" : "rgba(255,255,255,.7)";
      context.lineWidth = level > 0.5 ? 2 : 1;
      context.stroke();
    }
    context.restore();
  }

  #length([from, to]) {
    const [across, down] = [to[0] - from[0], to[1] - from[1]];
    const spacing = this.#image.spacing_mm;
    if (!spacing) return `${Math.hypot(across, down).toFixed(0)} px (size of a pixel not known)`;
    return `${Math.hypot(across * spacing[1], down * spacing[0]).toFixed(1)} mm`;
  }

  #drawLine(context, line) {
    const ratio = window.devicePixelRatio || 1;
    const [from, to] = line.map((point) => this.#toCanvas(point));
    for (const [colour, wide] of [[STYLE.under, 5], [STYLE.line, 2]]) {
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      for (const [x, y] of [from, to]) {
        context.moveTo(x + 4 * ratio, y);
        context.arc(x, y, 4 * ratio, 0, 2 * Math.PI);
      }
      context.strokeStyle = colour;
      context.lineWidth = wide * ratio;
      context.stroke();
    }
    const words = this.#length(line);
    context.save();
    context.scale(ratio, ratio);
    context.font = STYLE.font;
    context.lineWidth = 4;
    context.strokeStyle = STYLE.under;
    context.fillStyle = STYLE.line;
    const wide = context.measureText(words).width;
    const x = Math.min(to[0] / ratio + 10, this.#canvas.clientWidth - wide - 6);
    const y = Math.max(to[1] / ratio - 8, 16);
    context.strokeText(words, x, y);
    context.fillText(words, x, y);
    context.restore();
  }

  #place(event) {
    const ratio = window.devicePixelRatio || 1;
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  }

  #grasp(event) {
    if (!this.#film) return;
    const tool = event.button === 1 || event.shiftKey ? "shift" : event.button === 2 ? "window" : this.tool;
    event.preventDefault();
    this.#canvas.focus();
    this.#canvas.setPointerCapture(event.pointerId);
    let last = this.#place(event);
    const line = tool === "measure" ? [this.#toFilm(last), this.#toFilm(last)] : null;
    if (line) this.#lines.push(line);
    const move = (moved) => {
      const now = this.#place(moved);
      this.#drag(tool, now[0] - last[0], now[1] - last[1], line, now);
      last = now;
    };
    const end = () => {
      this.#canvas.removeEventListener("pointermove", move);
      // A click without a way is no measure.
      if (line && Math.hypot(line[1][0] - line[0][0], line[1][1] - line[0][1]) < 1) this.#lines.pop();
      if (line) this.#redraw();
      this.#changed(this);
    };
    this.#canvas.addEventListener("pointermove", move);
    this.#canvas.addEventListener("lostpointercapture", end, { once: true });
  }

  #drag(tool, across, down, line, now) {
    const { width, height } = this.#film;
    if (tool === "window") {
      const pace = 0.6 / (window.devicePixelRatio || 1);
      this.#set({ width: this.view.width + across * pace, centre: this.view.centre + down * pace });
    } else if (tool === "shift") {
      this.#set({ x: this.view.x - across / (this.scale * width), y: this.view.y - down / (this.scale * height) });
    } else {
      line[1] = this.#toFilm(now);
      this.#redraw();
      this.#changed(this);
    }
  }

  #wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 120) * 0.0016), this.#place(event));
  }

  #arrow(event) {
    const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if ((!across && !down) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.shiftKey) this.#set({ x: this.view.x + (across * 0.05) / this.view.zoom, y: this.view.y + (down * 0.05) / this.view.zoom });
    else this.#set({ width: this.view.width + across * 8, centre: this.view.centre + down * 8 });
  }
}
