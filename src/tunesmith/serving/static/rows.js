// Fields of a row: a text, or a list of texts such as the choices of a question.

import { countCharacters } from "./characters.js";

/** The texts of a field; none where it is missing. */
export function partsOf(value) {
  if (value === null || value === undefined || value === "") return [];
  return Array.isArray(value) ? value : [value];
}

export function isBlank(value) {
  return partsOf(value).every((text) => !text.trim());
}

/** All texts of a row, those of lists one by one. */
export function textsOf(row) {
  return Object.values(row).flatMap(partsOf);
}

export function countCharactersOf(row) {
  return textsOf(row).reduce((sum, text) => sum + countCharacters(text), 0);
}

/** The list that a row holds, such as its choices; [] where it holds none. */
export function listOf(row) {
  return Object.values(row).find(Array.isArray) ?? [];
}

/**
 * A list of texts as a record holds it, read as `tunesmith predict` reads it: a list, an object with the list as
 * "text", a text that is a list in JSON, or texts with | between them.
 * @returns {string[]|null} null where it is none
 */
export function readList(value) {
  if (Array.isArray(value)) return value.every(isPlain) ? value.map((part) => String(part ?? "")) : null;
  if (Array.isArray(value?.text)) return readList(value.text);
  if (typeof value !== "string") return null;
  if (!value.trimStart().startsWith("[")) return value.includes("|") ? value.split("|").map((part) => part.trim()) : null;
  try {
    return readList(JSON.parse(value));
  } catch {
    return null;
  }
}

function isPlain(value) {
  return value === null || typeof value === "string" || typeof value === "number";
}
