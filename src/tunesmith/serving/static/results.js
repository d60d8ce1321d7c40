// Answers on the page: one at full length, many as a table in pages, with downloads.

import { isWithheld, kindOf, markText, showAnswer, showBriefly, summarizeRight } from "./answers.js";
import { shorten } from "./characters.js";
import { correctionForm } from "./correcting.js";
import { download } from "./downloads.js";
import { make } from "./dom.js";
import { partsOf, textsOf } from "./rows.js";
import { count, formatNumber, say, word } from "./words.js";

const ROWS_A_PAGE = 25;
const MOST_COUNTED = 8;

/**
 * @typedef {Object} Run rows that were answered together
 * @property {Object} model
 * @property {Item[]} items
 * @property {string} name of the file, or ""
 * @property {string[]} columns of the records, for downloads
 */

/** Why an item has no answer, in words; "" where it has one or is still waiting. */
export function troubleOf(item) {
  if (!item.trouble) return "";
  const values = Object.fromEntries(Object.entries(item.trouble.values ?? {}).map(([name, value]) => [name, typeof value === "number" ? formatNumber(value) : value]));
  return word(item.trouble.key, values);
}

/**
 * What shows a run.
 * @param {Run} run
 * @param {function()} onChange a correction was saved
 * @returns {{node: Element, refresh: function()}} refresh: more items have been answered
 */
export function showRun(run, onChange) {
  return run.items.length === 1 && !run.name ? showOne(run, onChange) : showMany(run, onChange);
}

function showOne(run, onChange) {
  const [item] = run.items;
  const answer = make("div", { class: "stack" });
  const refresh = () => {
    if (item.trouble) answer.replaceChildren(say(make("p", { class: "note bad" }), () => troubleOf(item)));
    else if (item.answer) answer.replaceChildren(showAnswer(item, run.model), correctable(item, run.model, onChange));
  };
  const kind = kindOf(item.answer ?? {});
  const isRepeated = kind === "choice" || kind === "ranking"; // the answer shows the list
  const texts = isRepeated ? Object.values(item.row).filter((value) => !Array.isArray(value)) : textsOf(item.row);
  const quoted = kind === "entities" ? [] : texts.map((text) => make("blockquote", { class: "text quoted", dir: "auto" }, text));
  refresh();
  return { node: make("div", { class: "stack" }, ...quoted, answer), refresh };
}

/** The button "correct it", the form that it opens, and what was saved. */
function correctable(item, model, onChange) {
  const box = make("div", { class: "correctable" });
  const close = (focus) => {
    const button = say(make("button", { type: "button", class: "button" }), item.right === undefined ? "correct.open" : "correct.again");
    button.addEventListener("click", () => {
      const form = correctionForm(item, model, { onSaved: () => (onChange(), close(true)), onCancel: () => close(true) });
      box.replaceChildren(form);
      form.begin();
    });
    const parts = [button];
    if (item.right !== undefined) parts.unshift(savedNote(item));
    box.replaceChildren(...parts);
    if (focus) button.focus();
  };
  close(false);
  return box;
}

function savedNote(item) {
  return say(make("p", { class: "note good" }), () => word("correct.saved_as", { right: summarizeRight(item) }));
}

function showMany(run, onChange) {
  let page = 0;
  let wanted = "all";
  const summary = make("div", { class: "row summary" });
  const body = make("tbody");
  const pager = make("div", { class: "row pager" });
  const filter = make("select", { class: "inline-select" });
  for (const kind of ["all", "unsure", "failed", "corrected"]) filter.append(say(make("option", { value: kind }), `filter.${kind}`));
  say(filter, "filter.title", "aria-label");
  filter.addEventListener("change", () => {
    [wanted, page] = [filter.value, 0];
    drawRows();
  });

  function fitting() {
    const tests = {
      all: () => true,
      unsure: (item) => item.answer && isWithheld(item.answer),
      failed: (item) => item.trouble,
      corrected: (item) => item.right !== undefined,
    };
    return run.items.map((item, place) => [item, place]).filter(([item]) => tests[wanted](item));
  }

  function drawRows() {
    const rows = fitting();
    const pages = Math.max(1, Math.ceil(rows.length / ROWS_A_PAGE));
    page = Math.min(page, pages - 1);
    const shown = rows.slice(page * ROWS_A_PAGE, (page + 1) * ROWS_A_PAGE);
    body.replaceChildren(...shown.map(([item, place]) => tableRow(item, place, run.model, () => (onChange(), drawSummary()))));
    if (shown.length === 0) body.append(make("tr", {}, say(make("td", { colspan: 3, class: "soft" }), "filter.none")));
    drawPager(rows.length, pages);
  }

  function drawPager(total, pages) {
    pager.hidden = pages === 1;
    const turn = (key, by, isOff) => {
      const button = say(make("button", { type: "button", class: "button quiet", "aria-disabled": isOff ? "true" : null }), key);
      button.addEventListener("click", () => {
        if (isOff) return;
        page += by;
        drawRows();
        (pager.querySelectorAll("button")[by < 0 ? 0 : 1]).focus();
      });
      return button;
    };
    const first = page * ROWS_A_PAGE + 1;
    const place = say(make("span", { class: "soft small" }), () =>
      word("results.page", { first: formatNumber(first), last: formatNumber(Math.min(total, first + ROWS_A_PAGE - 1)), n: formatNumber(total) }));
    pager.replaceChildren(turn("results.previous", -1, page === 0), turn("results.next", 1, page === pages - 1), place);
  }

  function drawSummary() {
    summary.replaceChildren(...countsOf(run.items).map(([speak, number, kind]) =>
      make("span", { class: `badge ${kind}` }, say(make("span", { dir: "auto" }), speak), " ", say(make("strong"), () => formatNumber(number)))));
  }

  const head = ["results.number", "results.text", "results.answer"].map((key, place) => say(make("th", { scope: "col", class: place === 0 ? "number place" : null }), key));
  const table = make("table", { class: "results" }, make("thead", {}, make("tr", {}, ...head)), body);
  const saving = ["csv", "jsonl"].map((kind) =>
    say(make("button", { type: "button", class: "button", on: { click: () => save(run, kind) } }), `results.${kind}`));
  const tools = make("div", { class: "row tools" }, filter, make("div", { class: "row" }, ...saving));
  const refresh = () => {
    drawSummary();
    if (wanted === "all") [...body.children].forEach((row) => row.update?.()); // in place: focus and open forms stay
    else if (!body.contains(document.activeElement)) drawRows();
  };
  drawRows();
  refresh();
  return { node: make("div", { class: "stack" }, summary, tools, make("div", { class: "table-box" }, table), pager), refresh };
}

function save(run, kind) {
  const stem = run.name.replace(/\.[^.]+$/, "") || run.model.name;
  download(stem, kind, run.columns, run.items.map((item) => ({ record: item.record ?? item.row, answer: item.answer, problem: troubleOf(item) })));
}

/** How often each label was given, the most frequent first; then what was withheld and what failed. */
function countsOf(items) {
  const counts = new Map();
  let [unsure, failed, waiting] = [0, 0, 0];
  for (const { answer, trouble } of items) {
    if (trouble) failed += 1;
    else if (!answer) waiting += 1;
    else {
      if (isWithheld(answer)) unsure += 1;
      const kind = kindOf(answer);
      const labels = kind === "entities" ? answer.entities.map(({ label }) => label) : ["one", "several"].includes(kind) ? [answer.label].flat() : [];
      for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
    }
  }
  const ordered = [...counts].sort((one, other) => other[1] - one[1]);
  const found = ordered.slice(0, MOST_COUNTED).map(([label, number]) => [() => label, number, ""]);
  const others = ordered.slice(MOST_COUNTED).reduce((sum, [, number]) => sum + number, 0);
  if (others) found.push([() => word("summary.others"), others, ""]);
  if (unsure) found.push([() => word("summary.unsure"), unsure, "warn"]);
  if (failed) found.push([() => word("summary.failed"), failed, "bad"]);
  if (waiting) found.push([() => word("summary.waiting"), waiting, ""]);
  return found;
}

function tableRow(item, place, model, onChange) {
  const answer = make("td", { class: "answer" });
  const text = make("td", {}, ...showTexts(item, model));
  const row = make("tr", {}, say(make("th", { scope: "row", class: "number place" }), () => formatNumber(place + 1)), text, answer);
  const draw = (focus) => {
    if (item.trouble) return answer.replaceChildren(say(make("span", { class: "bad-text small" }), () => troubleOf(item)));
    if (!item.answer) return answer.replaceChildren(say(make("span", { class: "soft small" }), "results.waiting"));
    const button = say(make("button", { type: "button", class: "button quiet" }), item.right === undefined ? "correct.short" : "correct.again");
    say(button, () => word("correct.this", { n: formatNumber(place + 1) }), "aria-label");
    button.addEventListener("click", () => open(button));
    const saved = item.right === undefined ? null : say(make("span", { class: "badge good", dir: "auto" }), () => word("correct.right", { right: summarizeRight(item) }));
    answer.replaceChildren(make("div", { class: "answer-box" }, showBriefly(item.answer), saved, button));
    if (focus) button.focus();
  };
  const open = (button) => {
    if (row.nextElementSibling?.classList.contains("below")) return row.nextElementSibling.querySelector("form").begin();
    const close = () => {
      below.remove();
      button.setAttribute("aria-expanded", "false");
      draw(true);
    };
    const form = correctionForm(item, model, { onSaved: () => (close(), onChange()), onCancel: close });
    const below = make("tr", { class: "below" }, make("td", { colspan: 3 }, form));
    row.after(below);
    button.setAttribute("aria-expanded", "true");
    form.begin();
  };
  draw(false);
  let isOpen = !item.answer && !item.trouble;
  row.update = () => {
    if (!isOpen || (!item.answer && !item.trouble)) return;
    isOpen = false;
    text.replaceChildren(...showTexts(item, model));
    draw(false);
  };
  return row;
}

function showTexts(item, model) {
  if (item.answer && kindOf(item.answer) === "entities") {
    return [markText(item.row.text, item.answer.entities, model.labels)];
  }
  return Object.values(item.row).filter((value) => partsOf(value).length).map((value) => {
    const text = partsOf(value).join(" · ");
    const kind = Array.isArray(value) ? "text soft small" : "text";
    return make("p", { class: kind, dir: "auto", title: text.length > 400 ? text.slice(0, 4000) : null }, shorten(text, 400));
  });
}
