// The form: what is asked about. One text or a pair, many lines, or a file.

import { freshId, get, isSendKey, make } from "./dom.js";
import { FileError, guessColumns, hasLists, readFile } from "./files.js";
import { countCharactersOf, partsOf } from "./rows.js";
import { describeTrouble, toldBy } from "./trouble.js";
import { count, formatNumber, say, word } from "./words.js";

const NAMES = { text_b: "field.text_b", question: "field.question", context: "field.context", choices: "field.choices", candidates: "field.candidates", control: "field.control" };

let fields = []; // {name, title, required, isList, isShown, input, problem}
let sheet = null;
let file = null;
let listeners = { onRows: () => {}, onFile: () => {} };

/** Wire the form; `onRows` gets typed rows, `onFile` a sheet with its columns chosen. */
export function startAsking({ onRows, onFile }) {
  listeners = { onRows, onFile };
  const form = get("ask");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  form.addEventListener("keydown", (event) => {
    if (!isSendKey(event)) return;
    event.preventDefault();
    submit();
  });
  get("lines").addEventListener("change", showLineCount);
  get("example").addEventListener("click", fillExample);
  get("upload").addEventListener("click", () => get("file").click());
  get("file").addEventListener("change", () => takeFile(get("file").files[0]));
  get("second").addEventListener("click", () => showField(fields.find((field) => !field.isShown)));
  takeDrops(form);
}

let model = null;

/** Show the fields of a model; what was typed stays. */
export function showFields(next) {
  model = next;
  const typed = Object.fromEntries(fields.map(({ name, input }) => [name, input.value]));
  const wanted = Object.keys(model.examples?.[0] ?? {});
  fields = Object.entries(model.columns)
    .filter(([, column]) => ["string", "texts"].includes(column.type ?? "string"))
    .map(([name, { title, required, type }]) => {
      const isShown = required || wanted.includes(name);
      return makeField({ name, title: title ?? name, required, isList: type === "texts", isShown }, typed[name] ?? "");
    });
  get("fields").replaceChildren(...fields.map(({ node }) => node));
  nameFields();
  offerMore();
  const isPair = fields.filter(({ isShown }) => isShown).length > 1;
  get("lines-box").hidden = isPair;
  if (isPair) get("lines").checked = false;
  get("example").hidden = !model.examples?.length;
  putFileAway();
  showLineCount();
}

function makeField(facts, value) {
  const { name, isList, isShown } = facts;
  const problem = make("p", { class: "field-trouble", id: freshId("problem"), role: "alert" });
  const hint = isList ? say(make("p", { class: "hint", id: freshId("hint") }), "ask.texts") : null;
  const described = [hint?.id, problem.id].filter(Boolean).join(" ");
  const input = make("textarea", { id: `field-${name}`, rows: 5, dir: "auto", spellcheck: "false", "aria-describedby": described });
  input.value = value;
  input.addEventListener("input", () => {
    clearProblems();
    showLineCount();
  });
  const node = make("div", { class: "field" }, make("label", { for: input.id }), hint, input, problem);
  node.hidden = !isShown;
  return { ...facts, input, problem, node };
}

/** What a field is called: in words of the page where it has any. */
function nameOf(name, title) {
  if (name === "text") return word(fields.filter(({ isShown }) => isShown).length > 1 ? "field.text_a" : "field.text");
  return NAMES[name] ? word(NAMES[name]) : title;
}

function nameFields() {
  for (const { node, name, title } of fields) say(node.querySelector("label"), () => nameOf(name, title));
}

/** A button for the next field that may be filled in, but need not. */
function offerMore() {
  const next = fields.find(({ isShown }) => !isShown);
  get("second").hidden = !next;
  if (!next) return;
  say(get("second"), () => (next.name === "text_b" ? word("ask.second") : word("ask.add", { field: nameOf(next.name, next.title) })));
}

function showField(field) {
  field.isShown = true;
  field.node.hidden = false;
  nameFields();
  offerMore();
  get("lines-box").hidden = true;
  get("lines").checked = false;
  field.input.focus();
}

function fillExample() {
  for (const field of fields) {
    const value = model.examples[0][field.name];
    if (value) field.input.value = partsOf(value).join("\n");
  }
  clearProblems();
  showLineCount();
  fields[0].input.focus();
}

/** The texts that were typed, one a line; what surrounds them is none of them. */
function listIn(text) {
  return linesOf(text).map((line) => line.trim());
}

function linesOf(text) {
  return text.split("\n").filter((line) => line.trim());
}

function showLineCount() {
  const lines = linesOf(fields[0]?.input.value ?? "").length;
  say(get("line-count"), () => (get("lines").checked && lines > 0 ? count("ask.line_count", lines) : ""));
}

function submit() {
  if (get("send").getAttribute("aria-disabled") === "true") return;
  clearProblems();
  const shown = fields.filter(({ isShown }) => isShown);
  const missing = shown.find(({ required, input }) => required && !input.value.trim());
  if (missing) return showProblem(missing.name, () => word("ask.empty"));
  const most = model.limits?.max_characters ?? Infinity;
  if (get("lines").checked) {
    const [{ name, input }] = shown;
    return listeners.onRows(linesOf(input.value).map((line) => ({ [name]: line })));
  }
  const filled = shown.filter(({ input }) => input.value.trim());
  const row = Object.fromEntries(filled.map(({ name, isList, input }) => [name, isList ? listIn(input.value) : input.value]));
  const length = countCharactersOf(row);
  if (length > most) return showProblem(shown[0].name, () => word("row.too_long", { n: formatNumber(length), most: formatNumber(most) }));
  listeners.onRows([row]);
}

/** Say beside a field what is wrong with it. */
export function showProblem(name, speak) {
  const field = fields.find((one) => one.name === name);
  say(field.problem, speak);
  field.input.setAttribute("aria-invalid", "true");
  field.input.focus();
}

function clearProblems() {
  for (const { problem, input } of fields) {
    say(problem, () => "");
    input.removeAttribute("aria-invalid");
  }
  get("ask-trouble").replaceChildren();
}

/** Show what went wrong with a request: beside the field that it names, otherwise below the form. */
export function showTrouble(error, again) {
  const [name] = (error.field ?? "").replace(/^\d+\./, "").split("."); // of choices.2, choices
  if (error.kind === "refused" && fields.some((field) => field.name === name && field.isShown)) {
    return showProblem(name, () => word("row.refused", { message: toldBy(error) }));
  }
  get("ask-trouble").replaceChildren(describeTrouble(error, { again }));
}

export function clearTrouble() {
  get("ask-trouble").replaceChildren();
}

/** While a request is under way the button stays in the focus order, but does nothing. */
export function showBusy(isBusy) {
  get("send").setAttribute("aria-disabled", String(isBusy));
  say(get("send-words"), isBusy ? "ask.sending" : "ask.send");
}

/** A file may be dropped anywhere: next to the form, the browser would leave the page for it. */
function takeDrops(form) {
  const hasFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      form.classList.add("dropping");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) form.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    form.classList.remove("dropping");
    if (model && !form.hidden) takeFile(event.dataTransfer.files[0]);
  });
}

async function takeFile(next, head = true) {
  if (!next) return;
  get("file").value = ""; // the same file can be chosen again
  const panel = get("file-panel");
  panel.hidden = false;
  try {
    sheet = await readFile(next, { head });
    file = next;
    panel.replaceChildren(...filePanel(head));
    panel.querySelector("select, .button").focus();
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    const note = make("p", { class: "note bad", role: "alert" }, say(make("span"), () => `${next.name}: ${word(error.key, error.values)}`));
    panel.replaceChildren(note, make("div", { class: "row" }, putAwayButton()));
  }
}

export function putFileAway() {
  [sheet, file] = [null, null];
  get("file-panel").hidden = true;
  get("file-panel").replaceChildren();
}

function putAwayButton() {
  return say(make("button", { type: "button", class: "button", on: { click: () => (putFileAway(), get("upload").focus()) } }), "file.away");
}

function filePanel(head) {
  const { name, encoding, records, hasHead } = sheet;
  const chosen = guessColumns(sheet, fields);
  const title = make("p", { class: "strong text", dir: "auto" }, name);
  const facts = say(make("p", { class: "hint" }), () => `${count("rows", records.length)} · ${count("file.columns", sheet.columns.length)} · ${encoding.toUpperCase()}`);
  const preview = make("div", { class: "table-box" });
  const lack = make("div", { role: "alert" });
  const go = say(make("button", { type: "button", class: "button primary" }), () => count("file.predict", records.length));
  const showPreview = () => {
    preview.replaceChildren(previewTable(chosen));
    const found = lackOf(chosen);
    go.disabled = Boolean(found);
    lack.replaceChildren(...(found ? [say(make("p", { class: "note warn" }), found)] : []));
  };
  const selects = fields.map((field) => {
    const select = make("select", { id: freshId("column") });
    if (!field.required || !chosen[field.name]) select.append(say(make("option", { value: "" }), "file.no_column"));
    for (const column of sheet.columns) select.append(make("option", { value: column }, column));
    select.value = chosen[field.name];
    select.addEventListener("change", () => {
      chosen[field.name] = select.value;
      showPreview();
    });
    return make("div", { class: "field" }, say(make("label", { for: select.id }), () => word("file.column_of", { field: nameOf(field.name, field.title) })), select);
  });
  showPreview();
  go.addEventListener("click", () => listeners.onFile(sheet, { ...chosen }, fields));
  const parts = [title, facts, make("div", { class: "columns narrow" }, ...selects)];
  if (hasHead) parts.push(headToggle(head));
  return [...parts, preview, lack, make("div", { class: "row" }, go, putAwayButton())];
}

/** Why no row of the file can be asked about, as a function that gives the words; null where some can. */
function lackOf(chosen) {
  const called = ({ name, title }) => nameOf(name, title);
  const listless = fields.find(({ name, required, isList }) => isList && (chosen[name] ? !hasLists(sheet, chosen[name]) : required));
  if (listless) return () => word("file.no_lists", { field: called(listless), name: listless.name });
  const missing = fields.find(({ name, required }) => required && !chosen[name]);
  return missing ? () => word("file.missing", { field: called(missing) }) : null;
}

function headToggle(head) {
  const box = make("input", { type: "checkbox", id: freshId("head") });
  box.checked = head;
  box.addEventListener("change", async () => {
    await takeFile(file, box.checked);
    get("file-panel").querySelector("input[type=checkbox]")?.focus();
  });
  return make("label", { class: "choice" }, box, say(make("span"), "file.head"));
}

function shownAs(value) {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "");
}

function previewTable(chosen) {
  const columns = [...new Set(Object.values(chosen).filter(Boolean))];
  const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col", dir: "auto" }, column)));
  const rows = sheet.records.slice(0, 3).map((record) =>
    make("tr", {}, ...columns.map((column) => make("td", { class: "small" }, make("p", { class: "text clamped", dir: "auto" }, shownAs(record[column]).slice(0, 300))))));
  const caption = say(make("caption"), () => count("file.preview", Math.min(3, sheet.records.length)));
  return make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...rows));
}
