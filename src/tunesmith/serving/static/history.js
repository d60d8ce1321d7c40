// What was asked in this tab, until the tab is closed or the list is cleared. Files stay until the page is loaded anew.

import { kindOf, summarize, summarizeRight } from "./answers.js";
import { shorten } from "./characters.js";
import { get, make } from "./dom.js";
import { textsOf } from "./rows.js";
import { count, formatTime, say, word } from "./words.js";

const KEY = "tunesmith.history";
const MOST_ENTRIES = 30;
const MOST_ITEMS = 50;
const MOST_UNITS = 1_000_000;

let entries = load();
let reopen = () => {};

function load() {
  try {
    const stored = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(stored) ? stored.filter(isEntry) : [];
  } catch {
    return [];
  }
}

/** What can be stored: typed rows, all of them dealt with. */
function isEntry(entry) {
  const { items, name } = entry ?? {};
  return !name && Array.isArray(items) && items.length > 0 && items.length <= MOST_ITEMS && items.every((item) => item?.row && (item.answer || item.trouble));
}

/** Store the entries; of those that are too many or too large, the oldest are not. */
export function keep() {
  entries = entries.slice(0, MOST_ENTRIES);
  const stored = entries.filter(isEntry);
  let text = JSON.stringify(stored);
  while (text.length > MOST_UNITS) {
    stored.pop();
    text = JSON.stringify(stored);
  }
  try {
    sessionStorage.setItem(KEY, text);
  } catch {
    sessionStorage.removeItem(KEY); // no room, or storage is off: the list lives as long as the page
  }
  draw();
}

/** Remember a run; one that is there already goes to the top. */
export function remember(run) {
  const { model, items, name, columns, fields } = run;
  entries = entries.filter((entry) => entry.items !== items);
  entries.unshift({ time: Date.now(), model: model.name, items, name, columns, fields });
  keep();
}

/** Show the list; `onOpen` gets an entry that is to be shown again. */
export function startHistory(onOpen) {
  reopen = onOpen;
  get("clear-history").addEventListener("click", () => {
    entries = [];
    sessionStorage.removeItem(KEY);
    draw();
    get("history-title").focus();
  });
  draw();
}

function draw() {
  get("clear-history").hidden = entries.length === 0;
  get("history-empty").hidden = entries.length > 0;
  get("history").replaceChildren(...entries.map(line));
}

function line(entry) {
  const [item] = entry.items;
  const text = make("span", { class: "history-text", dir: "auto" }, entry.name || shorten(textsOf(item.row).join(" / "), 90));
  const answer = say(make("span", { class: "history-answer" }), () => describe(entry));
  const time = say(make("span", { class: "soft small" }), () => `${formatTime(entry.time)} · ${entry.model}`);
  const button = make("button", { type: "button", class: "history-line", on: { click: () => reopen(entry) } }, text, answer, time);
  return make("li", {}, button);
}

function describe(entry) {
  const [item] = entry.items;
  if (entry.items.length > 1 || entry.name) return count("rows", entry.items.length);
  if (!item.answer) return word("summary.failed");
  if (item.right === undefined) return summarize(item.answer);
  return kindOf(item.answer) === "entities" ? word("correct.short_saved") : word("correct.right", { right: summarizeRight(item) });
}
