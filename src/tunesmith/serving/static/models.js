// Which models there are, and what is known of the one that is chosen.

import { get, make } from "./dom.js";
import { formatNumber, say, word } from "./words.js";

const FIRST_LABELS = 12;
const TASKS = {
  "answer-selection": "task.answer_selection",
  chat: "task.chat",
  embedding: "task.embedding",
  "multiple-choice": "task.multiple_choice",
  "question-answering": "task.question_answering",
  "relation-extraction": "task.relation_extraction",
  "text-classification": "task.text_classification",
  "text-to-text": "task.text_to_text",
  "token-classification": "task.token_classification",
};

/** Fill the list of models; it is shown where there are several. `onChoose` gets a name. */
export function fillPicker(models, onChoose) {
  const picker = get("picker");
  picker.replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
  picker.onchange = () => onChoose(picker.value);
  get("picker-box").hidden = models.length < 2;
}

/** Write down the facts of a model. */
export function describeModel(model) {
  const facts = get("facts");
  facts.replaceChildren();
  add(facts, "model.task", say(make("span"), () => taskName(model)));
  if (model.labels.length) add(facts, "model.labels", labelList(model.labels));
  const most = model.limits?.max_characters;
  if (most) add(facts, "model.limit", say(make("span"), () => word("model.limit_value", { n: formatNumber(most) })));
  const reads = model.reads_tokens;
  if (reads) add(facts, "model.reads", say(make("span"), () => word("model.reads_value", { n: formatNumber(reads) })));
  const links = Object.entries(model.links ?? {}).filter(([, address]) => address);
  get("links").replaceChildren(...links.map(([name, address]) => link(name, address)).filter(Boolean));
}

function taskName(model) {
  if (model.kind === "number") return word("task.number");
  const key = TASKS[model.task];
  return key ? word(key) : model.task;
}

function add(facts, key, value) {
  facts.append(say(make("dt"), key), make("dd", {}, value));
}

function labelList(labels) {
  const chips = (some) => make("ul", { class: "chips" }, ...some.map((label) => make("li", { class: "badge", dir: "auto" }, label)));
  if (labels.length <= FIRST_LABELS) return chips(labels);
  const summary = say(make("summary"), () => word("model.all_labels", { n: formatNumber(labels.length) }));
  return make("details", {}, summary, chips(labels));
}

/** A link below the page's own address, whatever path a proxy has put before it; none to anywhere else. */
function link(name, address) {
  const key = { card: "model.card", report: "model.report" }[name];
  const target = new URL(String(address).replace(/^\/+/, ""), new URL(".", location.href));
  if (!key || target.origin !== location.origin) return null;
  return make("li", {}, say(make("a", { href: target.href, target: "_blank", rel: "noopener" }), key));
}
