// Answers as people read them: one label, several, a number, entities in their text.

import { shorten, sliceCharacters, toUnits } from "./characters.js";
import { make } from "./dom.js";
import { listOf } from "./rows.js";
import { count, formatNumber, formatShare, say, word } from "./words.js";

const FIRST_LABELS = 5;
const FIRST_RANKS = 10;
const LONG_CHARACTERS = 60;
const COLOURS = 6;
const NOTHING = { span: "answer.none", written: "answer.nothing" };

/** What kind of answer it is; the server's tasks are told apart by what they give. */
export function kindOf(answer) {
  if (Array.isArray(answer.entities)) return "entities";
  if (typeof answer.choice === "number") return "choice";
  if (Array.isArray(answer.ranking)) return "ranking"; // its first text is called answer, as a span's text is
  if (typeof answer.answer === "string") return "start" in answer ? "span" : "written";
  if (Array.isArray(answer.label)) return "several";
  return typeof answer.label === "number" || isVector(answer) ? "number" : "one";
}

function isVector(answer) {
  return typeof answer.similarity === "number" || Array.isArray(answer.vector);
}

/** A number, the cosine of two texts, or the first numbers of one text's vector. */
function formatFigure(answer) {
  const digits = { maximumSignificantDigits: 6 };
  if (Array.isArray(answer.vector)) return `${answer.vector.slice(0, 3).map((part) => formatNumber(part, digits)).join(" ")} …`;
  return formatNumber(answer.similarity ?? answer.label, digits);
}

/** Whether the server withheld the answer as not sure enough, or, of entities, any of them. */
export function isWithheld(answer) {
  return kindOf(answer) === "entities" ? answer.entities.some((entity) => entity.abstained) : answer.abstained === true;
}

/** The one text that an answer gives: a label, a choice, the first candidate, a piece of a text. */
function textOf(answer) {
  const kind = kindOf(answer);
  if (kind === "choice") return answer.text;
  return ["span", "ranking", "written"].includes(kind) ? answer.answer : answer.label;
}

/** The answer in a few words, for lists and screen readers. */
export function summarize(answer) {
  const kind = kindOf(answer);
  if (kind === "entities") return count("entities", answer.entities.length);
  if (kind === "number") return formatFigure(answer);
  const labels = shortLabels(answer, kind);
  if (isWithheld(answer)) return word("summary.withheld", { labels });
  return typeof answer.probability === "number" ? `${labels}, ${formatShare(answer.probability)}` : labels;
}

function shortLabels(answer, kind) {
  if (kind === "several") return answer.label.join(", ") || word("labels.none");
  return kind === "one" ? answer.label : shorten(textOf(answer), LONG_CHARACTERS) || word(NOTHING[kind] ?? "answer.none");
}

/** What was saved as right, in a few words; of choices and candidates, whatever stands for them, their texts. */
export function summarizeRight({ right, places, row }) {
  if (places) return places.map((place) => shorten(listOf(row)[place], LONG_CHARACTERS)).join(" · ") || word("labels.none_right");
  if (right === null || right === undefined) return "";
  if (Array.isArray(right)) {
    if (right.some((part) => typeof part === "object")) return count("entities", right.length);
    return right.join(", ") || word("labels.none");
  }
  return typeof right === "number" ? formatNumber(right, { maximumSignificantDigits: 6 }) : right;
}

/** The colour class of a type of entity. */
export function colourOf(label, labels) {
  const place = labels.indexOf(label);
  return `kind-${place < 0 ? COLOURS : (place % COLOURS) + 1}`;
}

/** An answer at full length. */
export function showAnswer(item, model) {
  const { answer } = item;
  const kind = kindOf(answer);
  if (kind === "entities") return showEntities(item, model);
  if (kind === "span") return showSpan(item);
  if (kind === "written") return showWritten(answer);
  if (kind === "choice") return make("div", { class: "stack" }, showLabel(answer), showChoices(item));
  if (kind === "ranking") return make("div", { class: "stack" }, showLabel(answer), showRanking(answer));
  if (kind === "number") {
    const figure = say(make("p", { class: "figure-number" }), () => summarize(answer));
    return make("div", { class: "stack" }, figure);
  }
  return make("div", { class: "stack" }, kind === "one" ? showLabel(answer) : showLabels(answer), showProbabilities(answer));
}

/** The piece of a text that answers a question, by itself and where it stands. */
function showSpan({ answer, row }) {
  const found = answer.answer ? [{ start: answer.start, end: answer.end, label: "", abstained: answer.abstained }] : [];
  return make("div", { class: "stack" }, showLabel(answer), markText(row.context, found, []));
}

/** A text that the model wrote, with its line ends; where it was cut, that is said. */
function showWritten({ answer, finished }) {
  const text = make("p", { class: "text written", dir: "auto" }, answer);
  if (!answer) say(text, "answer.nothing");
  const cut = finished === false ? [say(make("p", { class: "note warn" }), "answer.cut")] : [];
  return make("div", { class: "stack" }, text, ...cut);
}

function showLabel(answer) {
  const text = textOf(answer);
  const label = make("p", { class: text?.length > LONG_CHARACTERS ? "given-label long" : "given-label", dir: "auto" }, text);
  if (!text) say(label, "answer.none");
  const head = make("div", { class: "given" });
  if (isWithheld(answer)) {
    label.classList.add("withheld");
    head.append(withheldNote(), say(make("p", { class: "eyebrow" }), "answer.best_guess"));
  }
  const line = make("div", { class: "given-line" }, label);
  if (typeof answer.probability === "number") {
    line.append(say(make("p", { class: "given-share" }), () => formatShare(answer.probability)));
  }
  head.append(line);
  return head;
}

function showLabels(answer) {
  const head = make("div", { class: "given" });
  if (isWithheld(answer)) head.append(withheldNote(), say(make("p", { class: "eyebrow" }), "answer.best_guess"));
  if (answer.label.length === 0) head.append(say(make("p", { class: "soft" }), "labels.none"));
  else head.append(make("ul", { class: "chips" }, ...answer.label.map((label) => make("li", { class: "badge accent", dir: "auto" }, label))));
  return head;
}

function withheldNote() {
  return say(make("p", { class: "note warn" }), "answer.withheld");
}

/** Bars of the likeliest labels; the others on demand. */
function showProbabilities(answer) {
  if (!answer.probabilities) return null;
  const all = Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]);
  const given = Array.isArray(answer.label) ? answer.label : [answer.label];
  const first = Math.max(FIRST_LABELS, Array.isArray(answer.label) ? answer.label.length : 1);
  return unfold(make("ul", { class: "bars" }), all.map(([label, share]) => bar(label, share, given.includes(label))), first, "answer.all_labels");
}

/** All choices in their order, each with its bar; equal texts are different choices. */
function showChoices({ answer, row }) {
  if (!answer.probabilities) return null;
  return make("ul", { class: "bars" }, ...listOf(row).map((text, place) => bar(text, answer.probabilities[place], place === answer.choice)));
}

/** The candidates, best one first. */
function showRanking({ ranking }) {
  const lines = ranking.map(({ text, score }) => {
    const line = make("div", { class: "rank" }, make("span", { class: "text", dir: "auto" }, text));
    if (typeof score === "number") line.append(say(make("span", { class: "bar-share" }), () => formatShare(score)));
    return make("li", {}, line);
  });
  const title = say(make("p", { class: "eyebrow" }), "answer.ranking");
  return make("div", { class: "stack-small" }, title, unfold(make("ol", { class: "ranking" }), lines, FIRST_RANKS, "answer.all_candidates"));
}

/** A list with its first lines; a button shows the others. */
function unfold(list, lines, first, key) {
  list.append(...lines.slice(0, first));
  if (lines.length <= first) return list;
  const more = say(make("button", { type: "button", class: "button quiet" }), () => word(key, { n: formatNumber(lines.length) }));
  more.addEventListener("click", () => {
    const next = list.children.length;
    list.append(...lines.slice(first));
    more.remove();
    list.children[next].tabIndex = -1;
    list.children[next].focus();
  });
  return make("div", { class: "stack-small" }, list, more);
}

function bar(label, share, isGiven) {
  const row = make("li", { class: isGiven ? "bar-row given" : "bar-row" });
  const track = make("span", { class: "bar-track", "aria-hidden": "true" }, make("span", { class: "bar-fill" }));
  track.firstChild.style.setProperty("--share", String(share)); // through CSSOM, which the policy allows
  row.append(make("span", { class: "bar-name", dir: "auto" }, label), track, say(make("span", { class: "bar-share" }), () => formatShare(share)));
  return row;
}

function showEntities(item, model) {
  const { answer, row } = item;
  const parts = [];
  if (isWithheld(answer)) parts.push(say(make("p", { class: "note warn" }), "answer.entities_withheld"));
  parts.push(markText(row.text, answer.entities, model.labels));
  if (answer.entities.length === 0) parts.push(say(make("p", { class: "soft" }), "answer.no_entities"));
  else parts.push(entityTable(row.text, answer.entities, model.labels));
  return make("div", { class: "stack entities-answer" }, ...parts);
}

/** A text with its entities marked; of those that overlap, the first. Offsets are in characters. */
export function markText(text, entities, labels) {
  const box = make("p", { class: "text marked", dir: "auto" });
  const ordered = [...entities].sort((one, other) => one.start - other.start);
  const units = toUnits(text, ordered.flatMap(({ start, end }) => [start, end]));
  let behind = 0;
  ordered.forEach((entity, place) => {
    const [start, end] = units.slice(2 * place, 2 * place + 2);
    if (start < behind || end <= start) return;
    const mark = make("mark", { class: `entity ${colourOf(entity.label, labels)}${entity.abstained ? " withheld" : ""}` });
    mark.append(text.slice(start, end));
    if (entity.label) mark.append(make("span", { class: "tag", dir: "auto" }, entity.abstained ? `${entity.label}?` : entity.label));
    box.append(text.slice(behind, start), mark);
    behind = end;
  });
  box.append(text.slice(behind));
  return box;
}

function entityTable(text, entities, labels) {
  const head = ["entity.text", "entity.type", "entity.confidence"].map((key, place) => say(make("th", { scope: "col", class: place === 2 ? "number" : null }), key));
  const rows = entities.map((entity) => {
    const confidence = make("td", { class: "number" });
    if (typeof entity.probability === "number") say(confidence, () => formatShare(entity.probability));
    const type = make("td", {}, make("span", { class: `entity-dot ${colourOf(entity.label, labels)}`, "aria-hidden": "true" }), make("span", { dir: "auto" }, entity.label));
    if (entity.abstained) type.append(" ", say(make("span", { class: "badge warn" }), "answer.unsure"));
    return make("tr", {}, make("th", { scope: "row", class: "text", dir: "auto" }, sliceCharacters(text, entity.start, entity.end)), type, confidence);
  });
  const table = make("table", { class: "entities" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  return make("div", { class: "table-box" }, table);
}

/** An answer on one line of a table. */
export function showBriefly(answer) {
  const kind = kindOf(answer);
  if (kind === "entities" || kind === "number") return say(make("span", { class: kind === "number" ? "brief" : "soft" }), () => summarize(answer));
  const labels = kind === "several" ? answer.label.join(", ") : textOf(answer);
  const name = make("span", { class: isWithheld(answer) ? "brief withheld" : "brief", dir: "auto" }, labels);
  if (!labels) say(name, NOTHING[kind] ?? "labels.none");
  const box = make("div", { class: "brief-box" }, name);
  if (typeof answer.probability === "number") box.append(say(make("span", { class: "soft small" }), () => formatShare(answer.probability)));
  if (isWithheld(answer)) box.append(say(make("span", { class: "badge warn" }), "answer.unsure"));
  return box;
}
