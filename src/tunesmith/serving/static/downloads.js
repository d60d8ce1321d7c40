// Answers beside their records as CSV or JSON lines, as `tunesmith predict --out` writes them.

import { save } from "./dom.js";

const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

/**
 * A value as a cell that no spreadsheet runs as a formula (OWASP, CSV injection); numbers stay numbers.
 * @param {*} value
 */
export function makeCell(value) {
  if (value === null || value === undefined) return "";
  let text = typeof value === "object" ? JSON.stringify(value) : String(value);
  if (Array.isArray(value) && value.every((part) => typeof part === "string")) text = value.join("|");
  return FORMULA.test(text) && !isNumber(text) ? `'${text}` : text;
}

function isNumber(text) {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
}

function quote(cell) {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function freeName(taken, name) {
  let free = name;
  for (let number = 2; taken.includes(free); number += 1) free = `${name} (${number})`;
  return free;
}

/** An answer without the id that only the server needs. */
function plain(answer) {
  if (!answer) return null;
  const { id: _, ...rest } = answer;
  return rest;
}

/**
 * @param {string[]} columns of the records
 * @param {{record: Object, answer: Object|null, problem: string}[]} items
 * @returns {string} CSV; rows without an answer say why in the last column
 */
export function toCsv(columns, items) {
  const fields = new Set();
  for (const { answer } of items) {
    for (const [name, value] of Object.entries(plain(answer) ?? {})) {
      if (value !== null && (typeof value !== "object" || Array.isArray(value))) fields.add(name);
    }
  }
  const names = [...columns];
  for (const field of fields) names.push(freeName(names, `predicted_${field}`));
  const withProblems = items.some(({ problem }) => problem);
  if (withProblems) names.push(freeName(names, "problem"));
  const lines = items.map(({ record, answer, problem }) => [
    ...columns.map((column) => record[column]),
    ...[...fields].map((field) => answer?.[field]),
    ...(withProblems ? [problem] : []),
  ]);
  return [names, ...lines].map((cells) => `${cells.map((cell) => quote(makeCell(cell))).join(",")}\n`).join("");
}

/** JSON lines: the record with one more key, `prediction`; null where there is no answer, with the `problem`. */
export function toJsonLines(columns, items) {
  const key = freeName(columns, "prediction");
  return items
    .map(({ record, answer, problem }) => ({ ...record, [key]: plain(answer), ...(problem ? { [freeName(columns, "problem")]: problem } : {}) }))
    .map((line) => `${JSON.stringify(line)}\n`)
    .join("");
}

/** Offer the answers as a file; CSV begins with a byte order mark, by which spreadsheets know UTF-8. */
export function download(stem, kind, columns, items) {
  if (kind === "csv") save(`${stem}.answers.csv`, ["\ufeff", toCsv(columns, items)], "text/csv;charset=utf-8");
  else save(`${stem}.answers.jsonl`, [toJsonLines(columns, items)], "application/jsonl;charset=utf-8");
}
