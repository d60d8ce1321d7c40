// "Wrong? Correct it": a form for the right answer of one row, which is sent as feedback.

import { kindOf } from "./answers.js";
import { announce, freshId, isSendKey, make } from "./dom.js";
import { entityEditor } from "./entities.js";
import { nameChoice, nameCandidates } from "./naming.js";
import { listOf } from "./rows.js";
import { sendFeedback } from "./service.js";
import { describeTrouble } from "./trouble.js";
import { count, formatNumber, say, word } from "./words.js";

const SEARCH_FROM = 9;
const MOST_SHOWN = 200;

/**
 * A form that corrects an item.
 * @param {Item} item has an answer
 * @param {Object} model
 * @param {{onSaved: function(), onCancel: function()}} listeners
 * @returns {HTMLFormElement} call its `begin()` when it is in the page
 */
export function correctionForm(item, model, { onSaved, onCancel }) {
  const editor = editorOf(item, model);
  const comment = make("input", { type: "text", id: freshId("comment"), maxlength: 1000, autocomplete: "off", dir: "auto" });
  const trouble = make("div", { role: "alert" });
  const submit = say(make("button", { type: "submit", class: "button primary" }), "correct.save");
  const cancel = say(make("button", { type: "button", class: "button", on: { click: onCancel } }), "correct.cancel");
  const form = make(
    "form",
    { class: "correction stack" },
    editor.node,
    make("div", { class: "field" }, say(make("label", { for: comment.id }), "correct.comment"), comment),
    trouble,
    make("div", { class: "row" }, submit, cancel),
  );
  say(form, "correct.title", "aria-label");
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing) onCancel();
    else if (isSendKey(event)) form.requestSubmit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    trouble.replaceChildren();
    const right = editor.read();
    if (right === null) return;
    submit.disabled = true;
    try {
      await sendFeedback({ id: item.answer.id, right, comment: comment.value.trim() || null, row: item.row });
      item.right = right;
      item.places = editor.places?.();
      announce(word("correct.saved"));
      onSaved();
    } catch (error) {
      trouble.replaceChildren(describeTrouble(error));
    } finally {
      submit.disabled = false;
    }
  });
  form.begin = editor.begin;
  return form;
}

function editorOf(item, model) {
  const { answer } = item;
  const kind = kindOf(answer);
  if (kind === "choice" || kind === "ranking") return placeEditor(item, model, kind === "ranking");
  const before = item.right ?? (kind === "entities" ? answer.entities : answer.label ?? answer.similarity ?? 0);
  if (kind === "entities") return entityEditor(item.row.text, before, model.labels);
  if (kind === "written") return textEditor(item.right ?? answer.answer);
  if (kind === "span") return spanEditor(item.right ? item.right[0] ?? "" : answer.answer);
  return kind === "number" ? numberEditor(before) : labelEditor(before, model, answer, kind === "several");
}

/** The right piece of the text, word for word; empty where the text holds no answer. */
function spanEditor(before) {
  const input = make("input", { type: "text", id: freshId("span"), autocomplete: "off", dir: "auto" });
  input.value = before;
  const node = make("div", { class: "field" }, say(make("label", { for: input.id }), "correct.span"), input);
  return { node, begin: () => input.select(), read: () => (input.value.trim() ? [input.value.trim()] : []) };
}

/** A text as it should have been written. */
function textEditor(before) {
  const input = make("textarea", { id: freshId("written"), rows: 4, dir: "auto" });
  input.value = before;
  const node = make("div", { class: "field" }, say(make("label", { for: input.id }), "correct.written"), input);
  return { node, begin: () => input.select(), read: () => input.value.trim() || null };
}

function numberEditor(before) {
  const problem = make("p", { class: "field-trouble", id: freshId("problem"), role: "alert" });
  const input = make("input", { type: "text", inputmode: "decimal", id: freshId("number"), autocomplete: "off", "aria-describedby": problem.id });
  input.value = String(Number(before.toPrecision(6))); // as it is shown: more digits are noise of 32-bit numbers
  const node = make("div", { class: "field" }, say(make("label", { for: input.id }), "correct.number"), input, problem);
  return {
    node,
    begin: () => input.select(),
    read: () => {
      const number = Number(input.value.trim().replace(/^(-?\d+),(\d+)$/, "$1.$2"));
      const fits = input.value.trim() !== "" && Number.isFinite(number);
      input.toggleAttribute("aria-invalid", !fits);
      problem.textContent = fits ? "" : word("correct.no_number");
      if (!fits) input.focus();
      return fits ? number : null;
    },
  };
}

function labelEditor(before, model, answer, several) {
  const chosen = new Set(several ? before : [before]);
  const shares = answer.probabilities ?? {};
  const labels = [...new Set([...model.labels, ...chosen])].sort((one, other) => (shares[other] ?? 0) - (shares[one] ?? 0));
  const options = labels.map((label) => ({ value: label, text: label }));
  const words = { title: several ? "correct.labels" : "correct.label", search: "correct.search" };
  return {
    ...optionEditor(options, chosen, several, words),
    read: () => (several ? labels.filter((label) => chosen.has(label)) : [...chosen][0]),
  };
}

/** The right one of the row's choices, or those of its candidates that are right, as many as there are; by place. */
function placeEditor(item, model, several) {
  const { answer, row } = item;
  const texts = listOf(row);
  const chosen = new Set(item.places ?? [several ? answer.ranking[0].candidate : answer.choice]);
  const order = several ? answer.ranking.map(({ candidate }) => candidate) : texts.map((_, place) => place);
  const options = order.map((place) => ({ value: place, text: texts[place] }));
  const words = { title: several ? "correct.candidates" : "correct.choice", search: "correct.search_texts", areTexts: true };
  const places = () => [...chosen].sort((one, other) => one - other);
  return {
    ...optionEditor(options, chosen, several, words),
    places,
    read: () => (several ? nameCandidates(places(), texts, model.kind) : nameChoice(places()[0], texts, model.kind)),
  };
}

/** Radio buttons, or boxes to tick where several may hold; with a search where they are many. */
function optionEditor(options, chosen, several, words) {
  const name = freshId("label");
  const list = make("div", { class: words.areTexts ? "choices texts" : "choices" });
  const hidden = make("p", { class: "hint" });
  const search = make("input", { type: "search", id: freshId("search"), autocomplete: "off", dir: "auto" });
  const problem = make("p", { class: "field-trouble", role: "alert" });

  const fill = () => {
    const wanted = search.value.trim().toLowerCase();
    const fitting = options.filter(({ text }) => text.toLowerCase().includes(wanted));
    const shown = fitting.slice(0, MOST_SHOWN);
    list.replaceChildren(...shown.map((option) => choice(option, name, several, chosen)));
    const left = fitting.length - shown.length;
    say(hidden, () => (fitting.length === 0 ? word("correct.no_label") : left > 0 ? count("correct.more_labels", left) : ""));
  };
  search.addEventListener("input", fill);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && !(event.key === "Enter" && !isSendKey(event))) return;
    event.preventDefault(); // Enter in the search goes to the first label, it does not send
    list.querySelector("input")?.focus();
  });
  fill();
  const title = say(make("legend", {}), words.title);
  const searchField = make("div", { class: "field" }, say(make("label", { class: "small", for: search.id }), () => word(words.search, { n: formatNumber(options.length) })), search);
  const node = make("fieldset", { class: "stack-small" }, title, options.length >= SEARCH_FROM ? searchField : null, list, hidden, problem);
  return {
    node,
    begin: () => (options.length >= SEARCH_FROM ? search : list.querySelector("input:checked") ?? list.querySelector("input")).focus(),
  };
}

function choice({ value, text }, name, several, chosen) {
  const input = make("input", { type: several ? "checkbox" : "radio", name, value });
  input.checked = chosen.has(value);
  input.addEventListener("change", () => {
    if (!several) chosen.clear();
    if (input.checked) chosen.add(value);
    else chosen.delete(value);
  });
  return make("label", { class: "choice" }, input, make("span", { dir: "auto" }, text));
}
