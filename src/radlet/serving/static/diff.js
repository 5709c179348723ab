// What a reader changed of a draft, word by word.

/** Most pairs of words that are compared; a middle larger than that is told as replaced. */
const MOST_PAIRS = 4_000_000;

const tokens = (text) => text.match(/\s+|[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];

/** Return the way from one text to another: [{kind: "same" | "added" | "removed", text}]. */
export function changes(before, after) {
  const [a, b] = [tokens(before), tokens(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const parts = [];
  const tell = (kind, words) => {
    if (!words.length) return;
    const last = parts.at(-1);
    if (last?.kind === kind) last.text += words.join("");
    else parts.push({ kind, text: words.join("") });
  };
  tell("same", a.slice(0, start));
  for (const [kind, word] of middle(a.slice(start, a.length - end), b.slice(start, b.length - end))) tell(kind, [word]);
  tell("same", a.slice(a.length - end));
  return parts;
}

/** Return how many words were added and removed. */
export function count(parts) {
  const words = (kind) =>
    parts.filter((part) => part.kind === kind).reduce((sum, part) => sum + (part.text.match(/[\p{L}\p{N}]+/gu) ?? []).length, 0);
  return { added: words("added"), removed: words("removed") };
}

/** Yield the changes between two lists by their longest common subsequence, removals before additions. */
function* middle(a, b) {
  if (a.length * b.length > MOST_PAIRS) {
    for (const word of a) yield ["removed", word];
    for (const word of b) yield ["added", word];
    return;
  }
  const wide = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * wide);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const [down, right] = [longest[(i + 1) * wide + j], longest[i * wide + j + 1]];
      longest[i * wide + j] = a[i] === b[j] ? longest[(i + 1) * wide + j + 1] + 1 : Math.max(down, right);
    }
  }
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      yield ["same", a[i]];
      i += 1;
      j += 1;
    } else if (i < a.length && (j === b.length || longest[(i + 1) * wide + j] >= longest[i * wide + j + 1])) {
      yield ["removed", a[i]];
      i += 1;
    } else {
      yield ["added", b[j]];
      j += 1;
    }
  }
}
