// The words of the page in two languages. What was said is remembered, so that another language changes the words
// and nothing else: texts, answers and open forms stay.

const tables = JSON.parse(document.getElementById("words").textContent);
const TAGS = { en: "en", zh: "zh-Hans" };
const said = new WeakMap();
let language = document.documentElement.lang.startsWith("zh") ? "zh" : "en";

/**
 * The words of a key with `{name}` filled in.
 * @param {string} key
 * @param {Object} values
 */
export function word(key, values = {}) {
  const found = tables[language][key];
  if (found === undefined) throw new Error(`no words for ${key}`);
  return found.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** The words of a key for a number of things: `key.one` where it is 1. */
export function count(key, number, values = {}) {
  return word(number === 1 ? `${key}.one` : key, { n: formatNumber(number), ...values });
}

export function formatNumber(number, options = {}) {
  return new Intl.NumberFormat(TAGS[language], options).format(number);
}

/** A probability; what is nearly 1 or 0 never reads as certain. */
export function formatShare(share) {
  const [low, high] = [0.001, 0.999];
  const percent = (value) => formatNumber(value, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  if (share > high && share < 1) return `> ${percent(high)}`;
  if (share < low && share > 0) return `< ${percent(low)}`;
  return percent(share);
}

export function formatTime(milliseconds) {
  return new Intl.DateTimeFormat(TAGS[language], { timeStyle: "short" }).format(milliseconds);
}

/**
 * Write words into an element, again whenever the language changes.
 * @param {Element} node
 * @param {string|function(): string} what a key, or what gives the words
 * @param {string} attribute written instead of the text
 */
export function say(node, what, attribute = "") {
  const speak = typeof what === "function" ? what : () => word(what);
  const all = said.get(node) ?? new Map();
  all.set(attribute, speak);
  said.set(node, all);
  node.setAttribute("data-said", "");
  write(node, attribute, speak());
  return node;
}

function write(node, attribute, text) {
  if (attribute) node.setAttribute(attribute, text);
  else node.textContent = text;
}

/** Take over the words that the template has written: `data-say="key"`, `data-say-title="key"` … */
export function adoptTemplate() {
  for (const node of document.querySelectorAll("*")) {
    for (const { name, value } of [...node.attributes]) {
      if (name === "data-say") say(node, value);
      else if (name.startsWith("data-say-")) say(node, value, name.slice("data-say-".length));
    }
  }
}

export function currentLanguage() {
  return language;
}

/** Show the page in another language; the address tells it, so that a reload keeps it. */
export function switchLanguage(next) {
  language = next;
  document.documentElement.lang = TAGS[next];
  for (const node of document.querySelectorAll("[data-said]")) {
    for (const [attribute, speak] of said.get(node) ?? []) write(node, attribute, speak());
  }
  const address = new URL(location.href);
  address.searchParams.set("lang", next);
  history.replaceState(null, "", address);
}
