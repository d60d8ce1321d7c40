// How a model converses: what it is told first, temperature, longest answer. Left empty, the model's own settings hold.

import { get } from "./dom.js";
import { keepConversations } from "./conversations.js";
import { say } from "./words.js";

const NAMES = ["system", "temperature", "longest"];

/** Wire the settings; `current` gives the conversation that they are of. */
export function startSettings(current) {
  for (const name of NAMES) {
    const input = get(`chat-${name}`);
    input.addEventListener("input", () => {
      current()[name] = input.value;
      clear(name);
    });
    input.addEventListener("change", keepConversations);
  }
}

export function showSettings(conversation) {
  for (const name of NAMES) {
    get(`chat-${name}`).value = conversation[name];
    clear(name);
  }
  get("chat-settings").open = NAMES.some((name) => conversation[name]);
}

/** The settings as fields of a request; null where one is no number that it can be, which is then said beside it. */
export function readWish() {
  const [temperature, longest] = [get("chat-temperature"), get("chat-longest")];
  if (!isNumber(temperature)) return refuse("temperature", "chat.bad_temperature");
  if (!isNumber(longest) || !Number.isInteger(Number(longest.value))) return refuse("longest", "chat.bad_longest");
  const wish = {};
  if (temperature.value) wish.temperature = Number(temperature.value);
  if (longest.value) wish.max_tokens = Number(longest.value);
  return wish;
}

function isNumber({ validity }) {
  return !(validity.badInput || validity.rangeUnderflow || validity.rangeOverflow);
}

function refuse(name, key) {
  get("chat-settings").open = true;
  say(get(`chat-${name}-problem`), key);
  get(`chat-${name}`).setAttribute("aria-invalid", "true");
  get(`chat-${name}`).focus();
  return null;
}

function clear(name) {
  get(`chat-${name}`).removeAttribute("aria-invalid");
  const problem = get(`chat-${name}-problem`);
  if (problem) say(problem, () => "");
}
