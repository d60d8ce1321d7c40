// Offsets. The server counts characters (Unicode code points), JavaScript counts UTF-16 units: an emoji is one
// character and two units.

/** Characters of a text. */
export function countCharacters(text) {
  let characters = 0;
  for (let unit = 0; unit < text.length; unit += 1) {
    characters += 1;
    if (startsPair(text, unit)) unit += 1;
  }
  return characters;
}

/** Characters before a unit; one inside of a pair counts as behind it. */
export function toCharacters(text, unit) {
  return countCharacters(text.slice(0, unit));
}

/**
 * Units of characters, for any number of offsets at once.
 * @param {string} text
 * @param {number[]} offsets in characters
 * @returns {number[]} the same places in units; behind the text: its length
 */
export function toUnits(text, offsets) {
  const order = offsets.map((offset, place) => [offset, place]).sort((one, other) => one[0] - other[0]);
  const found = new Array(offsets.length).fill(text.length);
  let [unit, character, next] = [0, 0, 0];
  while (next < order.length && unit <= text.length) {
    while (next < order.length && order[next][0] <= character) {
      found[order[next][1]] = unit;
      next += 1;
    }
    unit += startsPair(text, unit) ? 2 : 1;
    character += 1;
  }
  return found;
}

/** The part of a text between two offsets in characters. */
export function sliceCharacters(text, start, end) {
  const [from, to] = toUnits(text, [start, end]);
  return text.slice(from, to);
}

function startsPair(text, unit) {
  const first = text.charCodeAt(unit);
  if (!(first >= 0xd800 && first < 0xdc00)) return false;
  const second = text.charCodeAt(unit + 1);
  return second >= 0xdc00 && second < 0xe000;
}

/** The first characters of a text on one line, for lists. */
export function shorten(text, most = 120) {
  const line = text.replace(/\s+/g, " ").trim();
  const characters = Array.from(line.slice(0, 2 * most + 2));
  return characters.length > most ? `${characters.slice(0, most).join("")}…` : line;
}
