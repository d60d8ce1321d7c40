// Conversations of this tab, one a model, until the tab is closed or another one is begun.

import { countCharacters } from "./characters.js";

const KEY = "tunesmith.chat";

/**
 * @typedef {Object} Turn
 * @property {"user"|"assistant"} role
 * @property {string} content
 * @property {string|undefined} end of an answer: "stop", "length", "stopped" by the user, or "cut" by a fault
 *
 * @typedef {Object} Conversation
 * @property {Turn[]} turns
 * @property {string} draft what is typed and not sent
 * @property {string} system
 * @property {string} temperature as typed; "": the model's own
 * @property {string} longest likewise
 */

const conversations = load();

function load() {
  try {
    const stored = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return new Map(stored.map(([name, kept]) => [name, { ...begin(), ...kept, turns: kept.turns.filter(hasBegun) }]));
  } catch {
    return new Map();
  }
}

/** Whether a turn says something, or wanted to say nothing: a page that was left may have waited for it. */
function hasBegun({ content, end }) {
  return content !== "" || end !== "stopped";
}

function begin() {
  return { turns: [], draft: "", system: "", temperature: "", longest: "" };
}

/** The conversation with a model. */
export function conversationWith(name) {
  if (!conversations.has(name)) conversations.set(name, begin());
  return conversations.get(name);
}

/** Another conversation in place of one; the settings stay. */
export function beginAnew(name) {
  conversations.set(name, { ...conversationWith(name), turns: [], draft: "" });
  return conversationWith(name);
}

/** Store what is not blank. */
export function keepConversations() {
  const kept = [...conversations].filter(([, one]) => Object.values(one).some((value) => value.length > 0));
  try {
    if (kept.length) sessionStorage.setItem(KEY, JSON.stringify(kept));
    else sessionStorage.removeItem(KEY);
  } catch {
    sessionStorage.removeItem(KEY); // no room, or storage is off: they live as long as the page
  }
}

/** The conversation as the server reads it. Turns of one side that follow each other are one: templates want both in turns. */
export function messagesOf({ system, turns }) {
  const messages = [];
  for (const { role, content } of [{ role: "system", content: system }, ...turns]) {
    if (!content.trim()) continue;
    if (messages.at(-1)?.role === role) messages.at(-1).content += `\n\n${content}`;
    else messages.push({ role, content });
  }
  return messages;
}

/** As many messages as the server takes: the oldest exchanges are left out, what the system says stays. */
export function fitMessages(messages, mostCharacters) {
  const kept = [...messages];
  const first = kept[0]?.role === "system" ? 1 : 0;
  const count = () => kept.reduce((sum, { content }) => sum + countCharacters(content), 0);
  while (kept.length > first + 2 && count() > mostCharacters) kept.splice(first, 2);
  return kept;
}
