// Many rows, sent in pieces: progress, a stop, waiting where the server is busy, and one bad row costs one answer only.

import { countCharactersOf, isBlank, textsOf } from "./rows.js";
import { predict, ServiceError } from "./service.js";
import { toldBy } from "./trouble.js";

const ROWS_AT_ONCE = 32;
const CHARACTERS_AT_ONCE = 200_000;
const MOST_WAITS = 6;
const ABOUT_ROWS = new Set([400, 413, 422]);

/**
 * @typedef {Object} Item a row and what became of it
 * @property {Object} row what is sent
 * @property {Object|null} answer
 * @property {{key: string, values?: Object}|null} trouble why there is no answer
 */

/**
 * Set rows aside that the server would refuse, so that they do not stop others; those with trouble already keep it.
 * @param {Item[]} items
 * @param {{name: string, required: boolean}[]} fields
 * @param {{max_characters?: number}} limits
 */
export function checkRows(items, fields, limits) {
  const most = limits.max_characters ?? Infinity;
  for (const item of items) {
    if (item.trouble) continue;
    const length = countCharactersOf(item.row);
    if (fields.some(({ name, required }) => required && isBlank(item.row[name]))) item.trouble = { key: "row.empty" };
    else if (length > most) item.trouble = { key: "row.too_long", values: { n: length, most } };
  }
}

/**
 * Answer items in place.
 * @param {string} model
 * @param {Item[]} items those with trouble are left out
 * @param {{limits: Object, signal: AbortSignal, onProgress: function(number), onWait: function(number)}} options
 *   onProgress gets the number of items dealt with, onWait the seconds until the next try.
 * @throws {ServiceError} the server is gone, wants a key, or it was stopped; what is answered by then stays.
 */
export async function answerItems(model, items, { limits, signal, onProgress, onWait }) {
  const open = items.filter((item) => !item.trouble && !item.answer);
  const most = Math.max(1, Math.min(limits.max_rows ?? ROWS_AT_ONCE, ROWS_AT_ONCE));
  let done = items.length - open.length;
  onProgress(done);
  for (const piece of cut(open, most, Math.min(limits.max_characters ?? Infinity, CHARACTERS_AT_ONCE))) {
    await answerPiece(model, piece, signal, onWait);
    done += piece.length;
    onProgress(done);
  }
}

/** Pieces in order, each with at most so many rows and, unless it is a single row, characters. */
export function cut(items, mostRows, mostCharacters) {
  const pieces = [];
  let [piece, characters] = [[], 0];
  for (const item of items) {
    const length = textsOf(item.row).reduce((sum, text) => sum + text.length, 0);
    if (piece.length && (piece.length >= mostRows || characters + length > mostCharacters)) {
      pieces.push(piece);
      [piece, characters] = [[], 0];
    }
    piece.push(item);
    characters += length;
  }
  return piece.length ? [...pieces, piece] : pieces;
}

/** Answer a piece; where it is refused or never fits in, its halves, down to the row that is the reason. */
async function answerPiece(model, piece, signal, onWait) {
  try {
    const answers = await patiently(() => predict(model, piece.map((item) => item.row), signal), signal, onWait);
    piece.forEach((item, place) => {
      item.answer = answers[place];
    });
  } catch (error) {
    const isRefused = error instanceof ServiceError && ABOUT_ROWS.has(error.status);
    const isTooMuch = error.kind === "busy" && piece.length > 1; // fewer rows may fit in between
    if (!isRefused && !isTooMuch) throw error;
    if (piece.length === 1) {
      piece[0].trouble = { key: "row.refused", values: { message: toldBy(error) } };
      return;
    }
    const middle = Math.ceil(piece.length / 2);
    await answerPiece(model, piece.slice(0, middle), signal, onWait);
    await answerPiece(model, piece.slice(middle), signal, onWait);
  }
}

async function patiently(ask, signal, onWait) {
  for (let waits = 0; ; waits += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ServiceError) || error.kind !== "busy" || waits >= MOST_WAITS) throw error;
      onWait(error.wait_s);
      await pause(error.wait_s * 1000, signal);
      onWait(0);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new ServiceError("stopped"));
    }, { once: true });
  });
}
