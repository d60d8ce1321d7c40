// The messages of a conversation as they are seen.

import { get, make } from "./dom.js";
import { say, word } from "./words.js";

const NEAR_PX = 32;
const ENDS = { length: "chat.cut", stopped: "trouble.stopped", cut: "chat.broke_off" };

/**
 * Add a message below the others.
 * @param {Turn} turn
 * @param {string} modelName who speaks where the user does not
 * @param {function(): boolean} isWriting whether more of it is to come
 * @returns {{node: Element, add: function(string), refresh: function()}} add: more text; refresh: it has ended
 */
export function addMessage(turn, modelName, isWriting) {
  const author = make("p", { class: "message-author", dir: "auto" }, modelName);
  if (turn.role === "user") say(author, "chat.you");
  const text = document.createTextNode(turn.content);
  const note = make("p", { class: "hint" });
  const node = make("li", { class: `message ${turn.role}` }, author, make("p", { class: "text message-text", dir: "auto" }, text), note);
  const refresh = () => {
    const isBusy = isWriting();
    node.setAttribute("aria-busy", String(isBusy));
    say(note, () => noteOf(turn, isBusy));
  };
  refresh();
  get("chat-messages").append(node);
  return { node, refresh, add: (piece) => text.appendData(piece) };
}

/** What is said below a message of itself. */
function noteOf({ role, content, end }, isBusy) {
  if (role === "user") return "";
  if (isBusy) return word("chat.writing");
  if (ENDS[end]) return word(ENDS[end]);
  return content.trim() ? "" : word("chat.nothing");
}

/** Change the messages; who is at their end stays there, who reads further up is left alone. */
export function following(change) {
  const log = get("chat-log");
  const isNear = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
  change();
  if (isNear) scrollDown();
}

export function scrollDown() {
  get("chat-log").scrollTop = get("chat-log").scrollHeight;
}
