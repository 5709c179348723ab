// What is drawn over a film: the evidence map with its outlines, and measures with their lengths.

const STYLE = { line: "#ffd34d", under: "rgba(0,0,0,.75)" };

/** Return the length of a line over a film in words; `spacing` is that of its pixels in mm, between rows and between columns. */
export function lengthOf([from, to], spacing) {
  const [across, down] = [to[0] - from[0], to[1] - from[1]];
  if (!spacing) return `${Math.hypot(across, down).toFixed(0)} px (size of a pixel not known)`;
  return `${Math.hypot(across * spacing[1], down * spacing[0]).toFixed(1)} mm`;
}

/** How many pixels of the canvas a line takes that is one thick on a desk's screen: it grows with the type. */
const thickness = (canvas) => ((window.devicePixelRatio || 1) * parseFloat(getComputedStyle(canvas).fontSize)) / 13;

/** Lay a map and its outlines over the film that lies between two corners of the canvas. */
export function drawMap(context, { part, picture, lines }, [left, top, right, bottom]) {
  const [x0, y0, x1, y1] = part;
  const place = [left + x0 * (right - left), top + y0 * (bottom - top)];
  const size = [(x1 - x0) * (right - left), (y1 - y0) * (bottom - top)];
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
  context.drawImage(picture, ...place, ...size);
  const thick = thickness(context.canvas);
  for (const [level, segments] of lines) {
    context.beginPath();
    for (const [ax, ay, bx, by] of segments) {
      context.moveTo(place[0] + ax * size[0], place[1] + ay * size[1]);
      context.lineTo(place[0] + bx * size[0], place[1] + by * size[1]);
    }
    context.lineCap = "round";
    context.strokeStyle = STYLE.under;
    context.lineWidth = (level > 0.5 ? 4 : 2.5) * thick;
    context.stroke();
    context.strokeStyle = level > 0.5 ? "#ffffff" : "rgba(255,255,255,.7)";
    context.lineWidth = (level > 0.5 ? 2 : 1) * thick;
    context.stroke();
  }
  context.restore();
}

/** Draw a measure between two points of the canvas, its length beside its end, in the size of type that the canvas has. */
export function drawMeasure(context, [from, to], words) {
  const ratio = window.devicePixelRatio || 1;
  const thick = thickness(context.canvas);
  for (const [colour, wide] of [[STYLE.under, 5], [STYLE.line, 2]]) {
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    for (const [x, y] of [from, to]) {
      context.moveTo(x + 4 * thick, y);
      context.arc(x, y, 4 * thick, 0, 2 * Math.PI);
    }
    context.strokeStyle = colour;
    context.lineWidth = wide * thick;
    context.stroke();
  }
  const { fontSize, fontFamily } = getComputedStyle(context.canvas);
  context.save();
  context.scale(ratio, ratio);
  context.font = `600 ${fontSize} ${fontFamily}`;
  context.lineWidth = 4;
  context.strokeStyle = STYLE.under;
  context.fillStyle = STYLE.line;
  const wide = context.measureText(words).width;
  const x = Math.min(to[0] / ratio + 10, context.canvas.clientWidth - wide - 6);
  const y = Math.max(to[1] / ratio - 8, parseFloat(fontSize) + 3);
  context.strokeText(words, x, y);
  context.fillText(words, x, y);
  context.restore();
}
