// How the right texts of a row are named to the server: by their words, unless these could be read as something else.

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const AROUND = /^[\s()[\].:、。]+|[\s()[\].:、。]+$/g;

/**
 * The right choice as a label of a row.
 * @param {number} place from 0
 * @param {string[]} texts of the row
 * @param {string} kind how the model's own labels name a choice: "letters", "indices", "numbers" or "texts"
 */
export function nameChoice(place, texts, kind) {
  const text = texts[place];
  if (isUnique(text, texts) && (kind === "texts" || !isMistakable(text))) return text;
  if (kind === "indices") return place;
  if (kind === "numbers") return place + 1;
  const letter = LETTERS[place] ?? text;
  return kind === "texts" && texts.includes(letter) ? text : letter; // a text that is there twice the server refuses
}

/**
 * The right candidates as labels of a row.
 * @param {number[]} places from 0, in order
 * @param {string[]} texts of the row
 * @param {string} kind "flags", "indices" or "texts"
 */
export function nameCandidates(places, texts, kind) {
  const words = places.map((place) => texts[place]);
  const areClear = words.every((text) => isUnique(text, texts) && !isMistakable(text));
  if (areClear || kind === "texts") return words;
  return kind === "indices" ? places : texts.map((_, place) => (places.includes(place) ? 1 : 0));
}

/** Whether a text might be taken for a letter, a place or a yes or no. */
function isMistakable(text) {
  const bare = text.normalize("NFKC").replace(AROUND, "");
  return bare.length <= 1 || !Number.isNaN(Number(bare.replaceAll("_", ""))) || /^(true|false)$/i.test(bare);
}

function isUnique(text, texts) {
  const key = (one) => one.trim().split(/\s+/).join(" ");
  return texts.filter((one) => key(one) === key(text)).length === 1;
}
