// Files of texts, read in the browser: CSV, TSV, JSON lines, JSON lists, plain text. Nothing is sent before it is asked for.

import { readList } from "./rows.js";

export const MOST_BYTES = 10 * 1024 * 1024;
const DELIMITERS = [",", ";", "\t", "|"];

/** What cannot be read: a key of words.js, and what is put into the words. */
export class FileError extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/**
 * @typedef {Object} Sheet
 * @property {string} name of the file
 * @property {string} encoding
 * @property {string[]} columns
 * @property {Object[]} records column → value, in the order of the file
 * @property {boolean} hasHead the first row may be names of columns
 */

/**
 * Read a file.
 * @param {File} file
 * @param {{head: boolean}} options head: the first row of a table holds the names of its columns
 * @returns {Promise<Sheet>}
 * @throws {FileError}
 */
export async function readFile(file, { head = true } = {}) {
  if (file.size > MOST_BYTES) throw new FileError("file.too_large", { n: (file.size / 1024 / 1024).toFixed(1) });
  const { text, encoding } = decode(new Uint8Array(await file.arrayBuffer()));
  const kind = kindOf(file.name, text);
  const sheet = kind === "table" ? readTable(text, head, /\.(tsv|tab)$/i.test(file.name)) : readOther(kind, text);
  if (sheet.records.length === 0) throw new FileError("file.empty");
  return { name: file.name, encoding, hasHead: kind === "table", ...sheet };
}

function kindOf(name, text) {
  const suffix = name.toLowerCase().match(/\.(\w+)$/)?.[1] ?? "";
  if (["csv", "tsv", "tab"].includes(suffix)) return "table";
  if (["jsonl", "ndjson"].includes(suffix)) return "lines";
  if (suffix === "json") return text.trimStart().startsWith("[") ? "list" : "lines";
  if (["txt", "text", "md", ""].includes(suffix)) return "text";
  throw new FileError("file.kind", { kind: `.${suffix}` });
}

/** Bytes as text: by their mark, as UTF-8, or as GB 18030, which Chinese spreadsheets write. */
export function decode(bytes) {
  const mark = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "";
  for (const encoding of mark ? [mark] : ["utf-8", "gb18030"]) {
    try {
      const text = new TextDecoder(encoding, { fatal: true }).decode(bytes); // takes a byte order mark off
      if (!text.includes("\0")) return { text, encoding };
    } catch {
      continue;
    }
  }
  throw new FileError("file.encoding");
}

function readOther(kind, text) {
  if (kind === "text") {
    const lines = text.split(/\r\n|\n|\r/).filter((line) => line.trim());
    return { columns: ["text"], records: lines.map((line) => ({ text: line })) };
  }
  return fromObjects(kind === "list" ? readJsonList(text) : readLines(text));
}

function readJsonList(text) {
  try {
    return JSON.parse(text).map((value, place) => [value, place + 1]);
  } catch (error) {
    throw new FileError("file.json", { n: 1, problem: error.message });
  }
}

function readLines(text) {
  const found = [];
  for (const [place, line] of text.split(/\r\n|\n|\r/).entries()) {
    if (!line.trim()) continue;
    try {
      found.push([JSON.parse(line), place + 1]);
    } catch (error) {
      throw new FileError("file.json", { n: place + 1, problem: error.message });
    }
  }
  return found;
}

function fromObjects(values) {
  const columns = new Set();
  const records = values.map(([value, line]) => {
    const record = typeof value === "string" ? { text: value } : value;
    if (record === null || typeof record !== "object" || Array.isArray(record)) throw new FileError("file.object", { n: line });
    Object.keys(record).forEach((name) => columns.add(name));
    return record;
  });
  return { columns: [...columns], records };
}

function readTable(text, head, isTabbed) {
  const firstLine = text.slice(0, text.search(/[\r\n]|$/));
  const rows = parseTable(text, isTabbed ? "\t" : guessDelimiter(firstLine));
  const width = Math.max(0, ...rows.slice(0, 1000).map((row) => row.cells.length));
  const names = head ? rows.shift()?.cells ?? [] : [];
  const columns = uniqueNames(Array.from({ length: Math.max(width, names.length) }, (_, place) => names[place]?.trim() || `column ${place + 1}`));
  const records = rows.map(({ cells, line }) => {
    if (cells.length > columns.length) throw new FileError("file.cells", { n: line, cells: cells.length, wanted: columns.length });
    return Object.fromEntries(columns.map((name, place) => [name, cells[place] ?? ""]));
  });
  return { columns, records };
}

/** The mark that stands most often in the first line, outside of quotes; none where it has one column. */
export function guessDelimiter(line) {
  const bare = line.replace(/"(?:[^"]|"")*"/g, "");
  const counts = DELIMITERS.map((mark) => bare.split(mark).length - 1);
  const most = Math.max(...counts);
  return most === 0 ? null : DELIMITERS[counts.indexOf(most)];
}

function uniqueNames(names) {
  const taken = new Set();
  return names.map((name) => {
    let free = name;
    for (let number = 2; taken.has(free); number += 1) free = `${name} (${number})`;
    taken.add(free);
    return free;
  });
}

/**
 * Rows of a table as RFC 4180 has them; empty lines are left out.
 * @param {string} text
 * @param {string|null} delimiter null: one cell a row
 * @returns {{cells: string[], line: number}[]}
 * @throws {FileError} a quote is not closed
 */
export function parseTable(text, delimiter) {
  const rows = [];
  let [cells, place, line, rowLine] = [[], 0, 1, 1];
  while (place < text.length) {
    let cell = "";
    if (text[place] === '"') {
      const start = line;
      place += 1;
      for (;;) {
        const end = text.indexOf('"', place);
        if (end < 0) throw new FileError("file.quote", { n: start });
        const part = text.slice(place, end);
        line += part.split(/\r\n|\n|\r/).length - 1;
        cell += part;
        place = end + 1;
        if (text[place] !== '"') break;
        cell += '"';
        place += 1;
      }
    }
    const start = place;
    while (place < text.length && text[place] !== delimiter && text[place] !== "\n" && text[place] !== "\r") place += 1;
    cells.push(cell + text.slice(start, place)); // what follows a closing quote is kept
    if (text[place] === delimiter && place < text.length) {
      place += 1;
      if (place < text.length) continue;
      cells.push("");
    }
    if (text[place] === "\r" && text[place + 1] === "\n") place += 1;
    place += 1;
    line += 1;
    if (cells.length > 1 || cells[0] !== "") rows.push({ cells, line: rowLine });
    [cells, rowLine] = [[], line];
  }
  return rows;
}

const KNOWN = {
  text: ["text", "text_a", "sentence", "sentence1", "text1", "premise", "question1", "content", "review", "comment", "body",
    "message", "title", "query", "question", "文本", "内容", "正文", "评论", "句子", "标题", "文本1", "句子1", "问题"],
  text_b: ["text_b", "sentence2", "text2", "hypothesis", "question2", "文本2", "句子2"],
  question: ["question", "query", "问题", "题目"],
  context: ["context", "passage", "paragraph", "article", "文章", "背景"],
  choices: ["choices", "options", "endings", "candidates", "选项"],
  candidates: ["candidates", "answers", "passages", "sentences", "choices", "候选", "候选答案"],
};

/** Whether any record has a list of texts in that column. */
export function hasLists(sheet, column) {
  return sheet.records.some((record) => readList(record[column]) !== null);
}

/**
 * Which column is which field of a row.
 * @param {Sheet} sheet
 * @param {{name: string, required: boolean, title: string, isList: boolean}[]} fields
 * @returns {Object} field → column or ""
 */
export function guessColumns(sheet, fields) {
  const found = {};
  const free = () => sheet.columns.filter((column) => !Object.values(found).includes(column));
  for (const { name, title } of fields) {
    const names = [name, title, ...(KNOWN[name] ?? [])].map((one) => one.toLowerCase());
    const known = names.map((one) => free().find((column) => column.toLowerCase() === one)).find(Boolean);
    if (known) found[name] = known;
  }
  const withLists = (columns) => columns.filter((column) => hasLists(sheet, column));
  for (const { name, required, isList } of [...fields].sort((one, other) => other.isList - one.isList)) {
    if (!found[name]) found[name] = required ? longest(sheet, isList ? withLists(free()) : free()) : "";
  }
  return found;
}

function longest(sheet, columns) {
  const some = sheet.records.slice(0, 200);
  const length = (column) => some.reduce((sum, record) => sum + String(record[column] ?? "").length, 0);
  return columns.sort((one, other) => length(other) - length(one))[0] ?? "";
}
