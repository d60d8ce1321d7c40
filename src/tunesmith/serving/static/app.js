// The page of `tunesmith serve`: models, the form, answers, history, two languages.

import { summarize } from "./answers.js";
import { showChat, startChat } from "./chat.js";
import { clearTrouble, putFileAway, showBusy, showFields, showTrouble, startAsking } from "./asking.js";
import { announce, get, make } from "./dom.js";
import { keep, remember, startHistory } from "./history.js";
import { startKeys } from "./keys.js";
import { describeModel, fillPicker } from "./models.js";
import { answerItems, checkRows } from "./pieces.js";
import { isBlank, readList } from "./rows.js";
import { showRun, troubleOf } from "./results.js";
import { hasKey, listModels, predict, ServiceError } from "./service.js";
import { describeTrouble } from "./trouble.js";
import { adoptTemplate, count, currentLanguage, formatNumber, formatShare, say, switchLanguage, word } from "./words.js";

const LOOK_AGAIN_MS = 3_000;
const NEW_LINKS_MS = 300_000;

let models = [];
let model = null;
let current = null; // {run, controller}: what is shown, and what stops it

function startLanguages() {
  for (const link of document.querySelectorAll("[data-language-link]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      switchLanguage(link.dataset.languageLink);
      markLanguage();
    });
  }
  markLanguage();
}

function markLanguage() {
  for (const link of document.querySelectorAll("[data-language-link]")) {
    if (link.dataset.languageLink === currentLanguage()) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

async function loadModels() {
  const place = get("start-trouble");
  try {
    ({ models } = await listModels());
  } catch (error) {
    place.replaceChildren(describeTrouble(error, { again: loadModels }));
    if (error.kind === "gone") watchReturn(loadModels);
    return;
  }
  stopWatching();
  place.replaceChildren();
  get("workplace").hidden = false;
  fillPicker(models, (name) => choose(models.find((one) => one.name === name))); // as they are then: links are renewed
  choose(models.find(({ name }) => name === model?.name) ?? models[0]);
}

/** With a key, links to card and report hold good for some minutes only. */
async function renewLinks() {
  if (!model || !hasKey() || document.hidden) return;
  try {
    const { models: fresh } = await listModels();
    models = fresh;
    model = models.find(({ name }) => name === model.name) ?? model;
    describeModel(model);
  } catch {
    // the next request will say what is wrong
  }
}

function choose(next) {
  model = next;
  get("picker").value = model.name;
  say(get("model-name"), () => model.name);
  document.title = `${model.name} · Tunesmith`;
  describeModel(model);
  showWork(model.task === "chat");
}

/** The form with its answers and what was asked before, or a conversation in their place. */
function showWork(isChat) {
  if (isChat) stopCurrent();
  for (const id of ["ask", "history-box"]) get(id).hidden = isChat;
  get("answer-card").hidden = isChat || !get("answer").hasChildNodes();
  showChat(isChat ? model : null);
  if (isChat) return;
  showFields(model);
  clearTrouble();
}

let watching = null;

/** Ask every few seconds whether the server is there again, then do something. */
function watchReturn(then) {
  stopWatching();
  const mine = setInterval(async () => {
    try {
      await listModels();
    } catch {
      return;
    }
    if (mine !== watching) return; // the user was faster
    stopWatching();
    then();
  }, LOOK_AGAIN_MS);
  watching = mine;
}

function stopWatching() {
  clearInterval(watching);
  watching = null;
}

function tellReturn() {
  const note = say(make("p", { class: "note good" }), "trouble.back");
  get("ask-trouble").replaceChildren(note);
}

/** Typed rows: one is answered at once, several as a file is. */
async function ask(rows) {
  const items = rows.map((row) => ({ row, record: row, answer: null, trouble: null }));
  const columns = Object.keys(rows[0]);
  const run = { model, items, name: "", columns, fields: columns.map((name) => ({ name, required: true })) };
  if (items.length > 1) return answerMany(run);
  stopCurrent();
  const controller = new AbortController();
  current = { run, controller };
  clearTrouble();
  showBusy(true);
  try {
    [items[0].answer] = await predict(model.name, rows, controller.signal);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    if (error.kind !== "stopped") {
      showTrouble(error, () => ask(rows));
      if (error.kind === "gone") watchReturn(tellReturn);
    }
    return;
  } finally {
    if (current.controller === controller) showBusy(false);
  }
  remember(run);
  show(run);
  announce(word("answer.announced", { answer: summarize(items[0].answer) }));
}

function askFile(sheet, chosen, fields) {
  const columns = fields.filter(({ name }) => chosen[name]).map(({ name, required, isList }) => ({ name, required, isList }));
  const items = sheet.records.map((record) => makeItem(record, columns, chosen));
  putFileAway();
  answerMany({ model, items, name: sheet.name, columns: sheet.columns, fields: columns });
}

/** A record and the row that is made of it; where a list is wanted and none stands there, that is its trouble. */
function makeItem(record, columns, chosen) {
  const read = ({ name, isList }) => (isList ? readList(record[chosen[name]]) : textOf(record[chosen[name]]));
  const fields = columns.map((column) => [column, read(column)]);
  const row = Object.fromEntries(fields.filter(([, value]) => !isBlank(value)).map(([{ name }, value]) => [name, value]));
  const listless = fields.find(([{ name }, value]) => value === null && textOf(record[chosen[name]]).trim());
  const trouble = listless ? { key: "row.no_list", values: { column: chosen[listless[0].name] } } : null;
  return { record, row, answer: null, trouble };
}

function textOf(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function stopCurrent() {
  stopWatching();
  current?.controller.abort();
}

/** Answer many rows piece by piece; what is answered can be seen, corrected and saved meanwhile. */
async function answerMany(run) {
  stopCurrent();
  checkRows(run.items, run.fields, run.model.limits ?? {});
  const controller = new AbortController();
  current = { run, controller };
  clearTrouble();
  showBusy(false);
  remember(run);
  const view = show(run);
  const progress = progressBar(run, controller);
  get("progress").replaceChildren(progress.node);
  try {
    await answerItems(run.model.name, run.items, {
      limits: run.model.limits ?? {}, signal: controller.signal, onWait: progress.wait,
      onProgress: (done) => {
        progress.move(done);
        view.refresh();
      },
    });
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    keep();
    if (current.run === run) offerToGoOn(run, error);
    return;
  } finally {
    view.refresh();
  }
  if (current.run !== run) return;
  current.isDone = true;
  get("progress").replaceChildren();
  keep();
  announce(count("results.done", run.items.length));
}

function progressBar(run, controller) {
  const bar = make("progress", { max: run.items.length, value: 0 });
  say(bar, "results.progress", "aria-label");
  const words = make("p", { class: "soft small" });
  const stop = say(make("button", { type: "button", class: "button", on: { click: () => controller.abort() } }), "results.stop");
  const node = make("div", { class: "progress stack-small" }, bar, make("div", { class: "row" }, words, stop));
  let [done, tenths] = [0, 0];
  const speak = () => word("results.so_far", { done: formatNumber(done), n: formatNumber(run.items.length) });
  return {
    node,
    move: (next) => {
      done = next;
      bar.value = next;
      say(words, speak);
      const reached = Math.floor((10 * done) / run.items.length);
      if (reached > tenths && reached < 10) announce(formatShare(reached / 10));
      tenths = reached;
    },
    wait: (seconds) => say(words, seconds ? () => count("trouble.waiting", seconds) : speak),
  };
}

function offerToGoOn(run, error) {
  current.isDone = true;
  const left = run.items.filter(isOpen).length;
  const again = () => answerMany(run);
  const note = error.kind === "stopped" ? make("div", { class: "note stack-small" }) : describeTrouble(error);
  note.append(say(make("p", {}), () => count("results.left", left)));
  note.append(make("p", {}, say(make("button", { type: "button", class: "button", on: { click: again } }), "results.go_on")));
  get("progress").replaceChildren(note);
  note.querySelector("button").focus();
}

function isOpen(item) {
  return !item.answer && !item.trouble;
}

function show(run) {
  const view = showRun(run, keep);
  say(get("answer-title"), () => {
    const what = run.items.length === 1 && !run.name ? word("answer.title") : run.name || count("rows", run.items.length);
    return models.length > 1 ? `${what} · ${run.model.name}` : what;
  });
  get("progress").replaceChildren();
  get("answer").replaceChildren(view.node);
  get("answer-card").hidden = false;
  get("answer-card").scrollIntoView({ block: "nearest" });
  return view;
}

/** Show an entry of the history again, without asking again. */
function reopen(entry) {
  stopCurrent();
  const known = models.find(({ name }) => name === entry.model) ?? { name: entry.model, labels: [], columns: {} };
  const run = { ...entry, model: known };
  current = { run, controller: new AbortController(), isDone: true };
  showBusy(false);
  show(run);
  if (run.items.some(isOpen)) return offerToGoOn(run, new ServiceError("stopped"));
  get("answer-title").focus();
  const [item] = run.items;
  announce(item.answer ? summarize(item.answer) : troubleOf(item));
}

/** Leaving the page while rows are being answered would lose them. */
function guardLeaving() {
  addEventListener("beforeunload", (event) => {
    if (current && !current.isDone && current.run.items.length > 1) event.preventDefault();
  });
}

adoptTemplate();
guardLeaving();
startLanguages();
startKeys();
startChat();
startHistory(reopen);
startAsking({ onRows: ask, onFile: askFile });
setInterval(renewLinks, NEW_LINKS_MS);
document.addEventListener("visibilitychange", renewLinks);
await loadModels();
document.documentElement.dataset.ready = "true";
