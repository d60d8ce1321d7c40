// What went wrong, in words, with what to do about it.

import { make } from "./dom.js";
import { ServiceError } from "./service.js";
import { count, say, word } from "./words.js";

/** The words for an error; an error of the page itself is not hidden. */
export function wordsOf(error) {
  if (!(error instanceof ServiceError)) throw error;
  if (error.kind === "busy") return { message: count("trouble.busy", error.wait_s), fix: error.message };
  if (error.kind === "refused") return { message: error.message || word("trouble.refused", { n: error.status }), fix: error.fix };
  if (error.kind === "broken") return { message: word("trouble.broken", { n: error.status }), fix: error.fix };
  return { message: word(`trouble.${error.kind}`), fix: "" };
}

/**
 * A note about an error.
 * @param {ServiceError} error
 * @param {{again: function()|undefined}} options again: what a button "Try again" does
 */
export function describeTrouble(error, { again } = {}) {
  const message = say(make("p", { class: "strong" }), () => wordsOf(error).message);
  const note = make("div", { class: `note ${error.kind === "busy" || error.kind === "key" ? "warn" : "bad"} stack-small` }, message);
  if (wordsOf(error).fix) note.append(say(make("p", {}), () => wordsOf(error).fix));
  if (again) note.append(make("p", {}, say(make("button", { type: "button", class: "button", on: { click: again } }), "trouble.again")));
  return note;
}
