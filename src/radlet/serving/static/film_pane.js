// One film on a canvas: grey through a lookup table, zoom, shift, measures, and the evidence map over it.

import * as api from "./api.js";
import { contour, picture, smooth } from "./heat.js";
import { drawMap, drawMeasure, lengthOf } from "./marks.js";

const WHOLE = Object.freeze({ zoom: 1, x: 0.5, y: 0.5, centre: 127.5, width: 255, inverted: false });
const [LEAST_ZOOM, MOST_ZOOM] = [0.25, 40];
const KEPT_FILMS = 6;
/** Which of the film's own greys a window spans, as shares of its pixels from dark to bright. */
const SPANS = { dark: [0.02, 0.6], bright: [0.45, 0.995], whole: [0.01, 0.99] };

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
  /** How the films of the study were left: going to the lateral and back loses neither window nor measures. */
  #left = new Map();
  /** Where each pointer that is down was last, and what they do together. */
  #held = new Map();
  #doing = null;
  /** The measure that is being drawn: the reader may take all off, or go to another film, before it is done. */
  #drawing = null;
  #scheduled = false;

  /** @param {HTMLCanvasElement} canvas Where. @param {(pane: FilmPane) => void} changed Told when the reader changed the view. */
  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#grasp(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("lostpointercapture", (event) => this.#release(event));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
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

  /** Whether the film is there to be seen. */
  get ready() {
    return this.#film !== null;
  }

  /** Whether all of the film is in sight and as large as that allows. */
  get whole() {
    return this.view.zoom === 1 && this.view.x === 0.5 && this.view.y === 0.5;
  }

  /** Lengths of all measures, in words. */
  get measures() {
    return this.#lines.map((line) => lengthOf(line, this.#image.spacing_mm));
  }

  /** The shorter of two measures as a share of the longer, such as heart to thorax; null if there are not two. */
  get ratio() {
    if (this.#lines.length !== 2) return null;
    const [high, wide] = this.#image.spacing_mm ?? [1, 1];
    const [short, long] = this.#lines.map(([from, to]) => Math.hypot((to[0] - from[0]) * wide, (to[1] - from[1]) * high)).sort((a, b) => a - b);
    return long > 0 ? short / long : null;
  }

  /** Let the film go, and forget how others were left. */
  forget() {
    this.#letGo();
    this.#left.clear();
    this.#image = this.#film = this.#shown = this.#heat = null;
    this.#lines = [];
    this.#redraw();
  }

  /** Show a film as it was left, else whole. Another film that is asked for meanwhile wins. */
  async show(image) {
    this.#letGo();
    if (this.#image) this.#left.set(this.#image.id, { view: this.view, lines: this.#lines });
    this.#image = image;
    this.#film = this.#shown = this.#heat = null;
    const left = this.#left.get(image?.id);
    this.#lines = left?.lines ?? [];
    this.view = { ...(left?.view ?? WHOLE) };
    this.#redraw();
    if (!image) return;
    const film = await valuesOf(image);
    if (this.#image?.id !== image.id) return;
    this.#film = film;
    this.#paint();
  }

  /** Take zoom and place of another film, and change the window as its window was changed. */
  follow({ zoom, x, y, inverted, width, centre }, before = null) {
    const share = before ? this.view.width / before.width : 1;
    const own = before ? { width: share * width, centre: this.view.centre + share * (centre - before.centre) } : {};
    this.#set({ zoom, x, y, inverted, ...own }, false);
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
    // A small film may lie below the least zoom at its own size, a large one above the most.
    const own = 1 / this.#fitted();
    const zoom = Math.min(Math.max(this.view.zoom * factor, Math.min(LEAST_ZOOM, own)), Math.max(MOST_ZOOM, own));
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
  resetWindow(own = true) {
    this.#set({ centre: WHOLE.centre, width: WHOLE.width, inverted: false }, own);
  }

  /** Move what is looked at, by shares of what is in sight: 1 is a screenful. */
  shift(across, down) {
    if (!this.#film) return;
    const { width, height } = this.#film;
    this.#set({ x: this.view.x + (across * this.#canvas.width) / (this.scale * width), y: this.view.y + (down * this.#canvas.height) / (this.scale * height) });
  }

  /** Spread the greys of one part of the film over all that the screen shows; `name` is of SPANS. */
  spread(name, own = true) {
    if (!this.#film) return;
    const [low, high] = SPANS[name].map((share) => this.#grey(share));
    this.#set({ centre: (low + high) / 2, width: high - low }, own);
  }

  /** Take all measures off. */
  clearMeasures() {
    this.#letGo();
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
    const before = this.view;
    const painted = ["centre", "width", "inverted"].some((key) => key in change && change[key] !== before[key]);
    this.view = { ...before, ...change };
    const [low, high] = [Math.min(this.#film?.low ?? 0, 0), Math.max(this.#film?.high ?? 255, 255)];
    this.view.width = Math.min(Math.max(this.view.width, 2 * this.#pace), 4 * (high - low));
    this.view.centre = Math.min(Math.max(this.view.centre, low - 128), high + 128);
    // What is in the middle is always of the film: it cannot be lost from sight.
    this.view.x = Math.min(Math.max(this.view.x, 0), 1);
    this.view.y = Math.min(Math.max(this.view.y, 0), 1);
    if (painted) this.#shown = null;
    this.#redraw();
    if (own) this.#changed(this, before);
  }

  /** How finely the window is set: finer where the film takes a small part of its header's window. */
  get #pace() {
    return this.#film ? Math.min((this.#film.high - this.#film.low) / 255, 1) : 1;
  }

  /** The grey that a share of the film's pixels is darker than. Its two ends, most often a border, do not count. */
  #grey(share) {
    const { values, levels, low, high } = this.#film;
    const counts = new Uint32Array(levels);
    for (const value of values) counts[value] += 1;
    counts[0] = counts[levels - 1] = 0;
    let left = share * counts.reduce((sum, one) => sum + one, 0);
    return low + (Math.max(counts.findIndex((count) => (left -= count) <= 0), 0) / (levels - 1)) * (high - low);
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
    if (this.#heat) drawMap(context, this.#heat, [left, top, right, bottom]);
    for (const line of this.#lines) drawMeasure(context, line.map((point) => this.#toCanvas(point)), lengthOf(line, this.#image.spacing_mm));
  }

  #place(event) {
    const ratio = window.devicePixelRatio || 1;
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  }

  /** End whatever the pointers were doing; a measure that was being drawn is none. */
  #letGo() {
    this.#lines = this.#lines.filter((line) => line !== this.#drawing);
    this.#held.clear();
    this.#doing = this.#drawing = null;
    delete this.#canvas.dataset.doing;
  }

  #grasp(event) {
    if (!this.#film || this.#held.size === 2) return;
    event.preventDefault();
    this.#canvas.focus();
    this.#canvas.setPointerCapture(event.pointerId);
    const place = this.#place(event);
    this.#held.set(event.pointerId, place);
    if (this.#held.size === 2) {
      // A second finger makes a pinch of what was begun.
      this.#lines = this.#lines.filter((line) => line !== this.#drawing);
      this.#drawing = null;
      this.#doing = "pinch";
    } else {
      this.#doing = event.button === 1 || event.shiftKey ? "shift" : event.button === 2 ? "window" : this.tool;
      if (this.#doing === "measure") {
        this.#drawing = [this.#toFilm(place), this.#toFilm(place)];
        this.#lines.push(this.#drawing);
      }
    }
    this.#canvas.dataset.doing = this.#doing;
  }

  #move(event) {
    const before = this.#held.get(event.pointerId);
    if (!before) return;
    const now = this.#place(event);
    this.#held.set(event.pointerId, now);
    const [across, down] = [now[0] - before[0], now[1] - before[1]];
    if (this.#doing === "window") {
      const pace = (0.6 * this.#pace) / (window.devicePixelRatio || 1);
      this.#set({ width: this.view.width + across * pace, centre: this.view.centre + down * pace });
    } else if (this.#doing === "measure") {
      this.#drawing[1] = this.#toFilm(now);
      this.#redraw();
      this.#changed(this);
    } else if (this.#held.size === 2) {
      const other = [...this.#held].find(([id]) => id !== event.pointerId)[1];
      const [far, was] = [now, before].map(([x, y]) => Math.hypot(x - other[0], y - other[1]));
      // The middle of two fingers moves half as far as one of them.
      this.shift(-across / 2 / this.#canvas.width, -down / 2 / this.#canvas.height);
      this.zoom(far / Math.max(was, 1), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else this.shift(-across / this.#canvas.width, -down / this.#canvas.height);
  }

  #release(event) {
    if (!this.#held.delete(event.pointerId) || this.#held.size) return;
    const [from, to] = this.#drawing ?? [];
    // A click without a way is no measure.
    if (from && Math.hypot(to[0] - from[0], to[1] - from[1]) < 1) this.#lines.pop();
    this.#doing = this.#drawing = null;
    delete this.#canvas.dataset.doing;
    this.#redraw();
    this.#changed(this);
  }

  #wheel(event) {
    event.preventDefault();
    // Some browsers count lines or pages.
    const way = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : Math.sign(event.deltaY) * 120;
    this.zoom(Math.exp(-Math.sign(way) * Math.min(Math.abs(way), 120) * 0.0016), this.#place(event));
  }

  #arrow(event) {
    const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if ((!across && !down) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.shiftKey) this.shift(across * 0.1, down * 0.1);
    else this.#set({ width: this.view.width + across * 8 * this.#pace, centre: this.view.centre + down * 8 * this.#pace });
  }
}
