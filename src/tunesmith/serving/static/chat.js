// A conversation with a model: messages, the box below them, and what is said of an answer while it is written.

import { countCharacters, shorten } from "./characters.js";
import { readWish, showSettings, startSettings } from "./chat_settings.js";
import { beginAnew, conversationWith, fitMessages, keepConversations, messagesOf } from "./conversations.js";
import { announce, get, isSendKey, make } from "./dom.js";
import { ServiceError } from "./service.js";
import { talk } from "./talking.js";
import { describeTrouble } from "./trouble.js";
import { formatNumber, say, word } from "./words.js";

const NEAR_PX = 32;
const MOST_ANNOUNCED = 1_000;
const ENDS = { length: "chat.cut", stopped: "trouble.stopped", cut: "chat.broke_off" };

let model = null;
let conversation = null;
let writing = null; // {turn, controller}: the answer that is being written, and what stops it

/** Wire the chat; it is shown once a model that converses is chosen. */
export function startChat() {
  const [form, box] = [get("chat-form"), get("chat-text")];
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  form.addEventListener("keydown", (event) => {
    if (!isSendKey(event)) return;
    event.preventDefault();
    send();
  });
  box.addEventListener("input", () => {
    conversation.draft = box.value;
    grow();
    showProblem(() => "");
  });
  get("chat-stop").addEventListener("click", () => writing.controller.abort());
  get("chat-new").addEventListener("click", startAnew);
  get("chat-example").addEventListener("click", () => fillBox(exampleOf(model)));
  startSettings(() => conversation);
  addEventListener("pagehide", () => {
    writing?.controller.abort(); // otherwise it would break off, which reads like a fault
    keepConversations();
  });
}

/** Show the conversation with a model; null shows none. What was being written stops. */
export function showChat(next) {
  const isOther = next?.name !== model?.name;
  model = next;
  get("chat").hidden = !next;
  if (!isOther) return;
  leave();
  if (!next) return;
  conversation = conversationWith(next.name);
  showSettings(conversation);
  draw();
}

function leave() {
  writing?.controller.abort();
  writing = null;
  showBusy(false);
  keepConversations();
}

function startAnew() {
  leave();
  conversation = beginAnew(model.name);
  keepConversations();
  draw();
  get("chat-text").focus();
  announce(word("chat.began"));
}

/** Write down the whole conversation as it is. */
function draw() {
  get("chat-messages").replaceChildren(...conversation.turns.map((turn) => messageOf(turn).node));
  get("chat-trouble").replaceChildren();
  say(get("chat-left-out"), () => "");
  showProblem(() => "");
  fillBox(conversation.draft, false);
  drawEmptiness();
  scrollDown();
  if (conversation.turns.at(-1)?.role === "user") offerAgain(new ServiceError("stopped"));
}

function drawEmptiness() {
  const isEmpty = conversation.turns.length === 0;
  get("chat-log").hidden = isEmpty;
  get("chat-empty").hidden = !isEmpty;
  get("chat-new").hidden = isEmpty;
  get("chat-example").hidden = !isEmpty || !exampleOf(model);
}

/** A message: its element, and what adds to its text. */
function messageOf(turn) {
  const author = make("p", { class: "message-author", dir: "auto" }, model.name);
  if (turn.role === "user") say(author, "chat.you");
  const text = document.createTextNode(turn.content);
  const note = make("p", { class: "hint" });
  const node = make("li", { class: `message ${turn.role}` }, author, make("p", { class: "text message-text", dir: "auto" }, text), note);
  const refresh = () => {
    const isWriting = turn === writing?.turn;
    node.setAttribute("aria-busy", String(isWriting));
    say(note, () => noteOf(turn, isWriting));
  };
  refresh();
  return { node, refresh, add: (piece) => text.appendData(piece) };
}

function noteOf({ role, content, end }, isWriting) {
  if (role === "user") return "";
  if (isWriting) return word("chat.writing");
  if (ENDS[end]) return word(ENDS[end]);
  return content.trim() ? "" : word("chat.nothing");
}

function send() {
  if (writing) return;
  const text = get("chat-text").value;
  const [length, most] = [countCharacters(text), model.limits?.max_characters ?? Infinity];
  if (!text.trim()) return showProblem(() => word("ask.empty"));
  if (length > most) return showProblem(() => word("row.too_long", { n: formatNumber(length), most: formatNumber(most) }));
  const wish = readWish();
  if (!wish) return;
  conversation.turns.push({ role: "user", content: text });
  fillBox("");
  get("chat-messages").append(messageOf(conversation.turns.at(-1)).node);
  answer(wish);
}

/** Have the model say the next turn. */
async function answer(wish) {
  const mine = { turn: { role: "assistant", content: "", end: "stopped" }, controller: new AbortController(), conversation };
  const messages = chooseMessages();
  writing = mine;
  conversation.turns.push(mine.turn);
  const message = messageOf(mine.turn);
  get("chat-messages").append(message.node);
  get("chat-trouble").replaceChildren();
  drawEmptiness();
  showBusy(true);
  scrollDown();
  keepConversations();
  let trouble = null;
  try {
    for await (const { text, end } of talk({ model: model.name, messages, ...wish }, mine.controller.signal)) {
      if (end) mine.turn.end = end;
      mine.turn.content += text;
      following(() => message.add(text));
    }
  } catch (error) {
    trouble = error;
  }
  if (trouble && !(trouble instanceof ServiceError)) throw trouble;
  if (trouble && trouble.kind !== "stopped") mine.turn.end = "cut";
  end(mine, message, trouble);
}

/** What is sent of the conversation; where that is not all of it, it is told. */
function chooseMessages() {
  const all = messagesOf(conversation);
  const kept = fitMessages(all, model.limits?.max_characters ?? Infinity);
  say(get("chat-left-out"), kept.length < all.length ? "chat.left_out" : () => "");
  return kept;
}

/** An answer has ended, well or not. What it says stays; one that says nothing for a fault is no answer. */
function end(mine, message, trouble) {
  const { turn, conversation: its } = mine;
  const isNone = trouble && !turn.content;
  if (isNone) its.turns.splice(its.turns.indexOf(turn), 1);
  keepConversations();
  if (writing !== mine) return;
  writing = null;
  if (isNone) message.node.remove();
  following(message.refresh);
  showBusy(false);
  if (trouble && (isNone || trouble.kind !== "stopped")) return offerAgain(trouble);
  announce(trouble ? word("trouble.stopped") : word("answer.announced", { answer: shorten(turn.content, MOST_ANNOUNCED) || word("chat.nothing") }));
}

/** Say what went wrong; the same can be asked again, or what was asked changed. */
function offerAgain(trouble) {
  const note = describeTrouble(trouble, { again: tryAgain });
  const edit = say(make("button", { type: "button", class: "button", on: { click: takeBack } }), "chat.edit");
  note.lastElementChild.classList.add("row");
  note.lastElementChild.append(edit);
  get("chat-trouble").replaceChildren(note);
}

function tryAgain() {
  const wish = readWish();
  if (!wish) return;
  dropAnswer();
  get("chat-text").focus();
  answer(wish);
}

/** The last message goes back into the box, in front of what is there. */
function takeBack() {
  dropAnswer();
  const { content } = conversation.turns.pop();
  conversation.draft = [content, conversation.draft].filter((text) => text.trim()).join("\n\n");
  draw();
  keepConversations();
  get("chat-text").focus();
}

/** What was written of the last answer goes. */
function dropAnswer() {
  if (conversation.turns.at(-1).role !== "assistant") return;
  conversation.turns.pop();
  get("chat-messages").lastElementChild.remove();
}

function fillBox(text, isFocused = true) {
  get("chat-text").value = text;
  conversation.draft = text;
  grow();
  if (isFocused) get("chat-text").focus();
}

/** The box is as high as its text; where style sheets can say so, they do. */
function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  const box = get("chat-text");
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + box.offsetHeight - box.clientHeight}px`;
}

function exampleOf({ examples }) {
  const said = examples?.[0]?.messages ?? ""; // a text alone is what a user says
  return typeof said === "string" ? said : (said.findLast(({ role }) => role === "user")?.content ?? "");
}

function showProblem(speak) {
  say(get("chat-problem"), speak);
  const isBad = speak() !== "";
  if (!isBad) return get("chat-text").removeAttribute("aria-invalid");
  get("chat-text").setAttribute("aria-invalid", "true");
  get("chat-text").focus();
}

function showBusy(isBusy) {
  get("chat-send").setAttribute("aria-disabled", String(isBusy));
  const stop = get("chat-stop");
  if (!isBusy && stop === document.activeElement) get("chat-text").focus();
  stop.hidden = !isBusy;
}

/** Change the messages; who is at their end stays there, who reads further up is left alone. */
function following(change) {
  const log = get("chat-log");
  const isNear = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
  change();
  if (isNear) scrollDown();
}

function scrollDown() {
  get("chat-log").scrollTop = get("chat-log").scrollHeight;
}
