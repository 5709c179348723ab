// An evidence map as a picture: coloured by a ramp whose brightness only rises, and outlined, so that no hue has to be told apart.

const FINENESS = 12;
/** Violet, red, pale yellow: dark to bright, for every kind of sight. */
const RAMP = [
  [0, [84, 24, 130]],
  [0.5, [232, 84, 56]],
  [1, [252, 246, 180]],
];

/**
 * Return a map with its values between patches, 0 (the median patch or less) to 1 (the strongest).
 *
 * @param {number[][]} weights Rows of the map.
 * @returns {{values: Float32Array, rows: number, columns: number}}
 */
export function smooth(weights) {
  const flat = weights.flat().sort((a, b) => a - b);
  const half = flat.length / 2;
  const low = (flat[Math.floor(half - 0.5)] + flat[Math.floor(half)]) / 2;
  const reach = Math.max(flat.at(-1) - low, 1e-9);
  const heat = weights.map((row) => row.map((value) => Math.min(Math.max((value - low) / reach, 0), 1)));
  const [rows, columns] = [heat.length * FINENESS, heat[0].length * FINENESS];
  const values = new Float32Array(rows * columns);
  for (let y = 0; y < rows; y += 1) {
    const [top, bottom, down] = between((y + 0.5) / FINENESS - 0.5, heat.length);
    for (let x = 0; x < columns; x += 1) {
      const [left, right, along] = between((x + 0.5) / FINENESS - 0.5, heat[0].length);
      const above = heat[top][left] * (1 - along) + heat[top][right] * along;
      const below = heat[bottom][left] * (1 - along) + heat[bottom][right] * along;
      values[y * columns + x] = above * (1 - down) + below * down;
    }
  }
  return { values, rows, columns };
}

function between(place, count) {
  const inside = Math.min(Math.max(place, 0), count - 1);
  const before = Math.min(Math.floor(inside), Math.max(count - 2, 0));
  return [before, Math.min(before + 1, count - 1), inside - before];
}

/** Return the colour of a value, 0..1. */
export function colour(value) {
  const next = RAMP.findIndex(([place]) => value <= place);
  if (next <= 0) return RAMP[0][1];
  const [[low, from], [high, to]] = [RAMP[next - 1], RAMP[next]];
  const share = (value - low) / (high - low);
  return from.map((part, channel) => Math.round(part + (to[channel] - part) * share));
}

/** Return a map as a picture to be laid over a film. */
export function picture({ values, rows, columns }) {
  const canvas = new OffscreenCanvas(columns, rows);
  const pixels = new ImageData(columns, rows);
  values.forEach((value, place) => pixels.data.set([...colour(value), Math.round(150 * Math.min(value * 1.6, 1))], place * 4));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * Return the line at which a map passes a level, by marching squares.
 *
 * @returns {number[][]} Segments [x0, y0, x1, y1] as shares of the map's width and height.
 */
export function contour({ values, rows, columns }, level) {
  // A frame of nothing around the map closes lines at its edge.
  const at = (x, y) => (x < 0 || y < 0 || x >= columns || y >= rows ? 0 : values[y * columns + x]);
  const place = (x, y) => [Math.min(Math.max((x + 0.5) / columns, 0), 1), Math.min(Math.max((y + 0.5) / rows, 0), 1)];
  const segments = [];
  for (let y = -1; y < rows; y += 1) {
    for (let x = -1; x < columns; x += 1) {
      const corners = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]].map(([cx, cy]) => [cx, cy, at(cx, cy)]);
      const crossed = [];
      corners.forEach(([ax, ay, a], number) => {
        const [bx, by, b] = corners[(number + 1) % 4];
        if (a >= level === b >= level) return;
        const share = (level - a) / (b - a);
        crossed.push(place(ax + (bx - ax) * share, ay + (by - ay) * share));
      });
      for (let pair = 0; pair + 1 < crossed.length; pair += 2) segments.push([...crossed[pair], ...crossed[pair + 1]]);
    }
  }
  return segments;
}
