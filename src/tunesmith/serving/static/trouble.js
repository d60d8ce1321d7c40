// What went wrong, in words, with what to do about it.

import { make } from "./dom.js";
import { ServiceError } from "./service.js";
import { count, say, word } from "./words.js";

const LOOKS = { busy: "warn", key: "warn", stopped: "" };
const REFUSALS = new Set([403, 404, 413, 421, 422]);

/** The words for an error, in the language of the page; an error of the page itself is not hidden. */
function wordsOf(error) {
  if (!(error instanceof ServiceError)) throw error;
  if (error.kind === "busy") return count("trouble.busy", error.wait_s);
  if (error.kind === "refused" && REFUSALS.has(error.status)) return word(`refused.${error.status}`);
  return word(`trouble.${error.kind}`, { n: error.status });
}

/** What the server said, which is English in any language of the page. */
export function toldBy(error) {
  return [error.message, error.fix].filter(Boolean).join(" – ");
}

/**
 * A note about an error.
 * @param {ServiceError} error
 * @param {{again: function()|undefined}} options again: what a button "Try again" does
 */
export function describeTrouble(error, { again } = {}) {
  const message = say(make("p", { class: "strong" }), () => wordsOf(error));
  const note = make("div", { class: `note ${LOOKS[error.kind] ?? "bad"} stack-small` }, message);
  const told = toldBy(error);
  if (told) note.append(make("p", { lang: "en", dir: "ltr" }, told));
  if (again) note.append(make("p", {}, say(make("button", { type: "button", class: "button", on: { click: again } }), "trouble.again")));
  return note;
}
