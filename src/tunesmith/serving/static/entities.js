// An editor of entities. The text takes a caret and a selection, by mouse, finger and keyboard alike, but no change.

import { colourOf } from "./answers.js";
import { sliceCharacters, toCharacters, toUnits } from "./characters.js";
import { announce, freshId, make } from "./dom.js";
import { count, say, word } from "./words.js";

const BLANK = /\s/;

/**
 * @typedef {Object} Entity
 * @property {number} start in characters
 * @property {number} end in characters, behind the last
 * @property {string} label
 */

/**
 * @param {string} text
 * @param {Entity[]} before
 * @param {string[]} labels types to choose from
 * @returns {{node: Element, begin: function(), read: function(): Entity[]}}
 */
export function entityEditor(text, before, labels) {
  let entities = before.map(({ start, end, label }) => ({ start, end, label }));
  let selected = null; // {start, end} in characters
  let type = labels[0];
  const types = [...new Set([...labels, ...entities.map(({ label }) => label)])];

  const hintId = freshId("hint");
  const box = make("div", {
    class: "text editor", contenteditable: "true", role: "textbox", "aria-multiline": "true", "aria-readonly": "true",
    inputmode: "none", spellcheck: "false", autocapitalize: "off", autocorrect: "off", translate: "no", dir: "auto", tabindex: "0",
    "aria-describedby": hintId,
  });
  say(box, "entities.text", "aria-label");
  const list = make("ul", { class: "entity-list" });
  const adder = make("div", { class: "adder row" });
  const title = say(make("legend", {}), "entities.title");
  const hint = say(make("p", { class: "hint", id: hintId }), "entities.hint");
  const node = make("fieldset", { class: "stack-small" }, title, hint, box, adder, list);

  function draw() {
    entities.sort((one, other) => one.start - other.start || one.end - other.end);
    const units = toUnits(text, entities.flatMap(({ start, end }) => [start, end]));
    const parts = [];
    let behind = 0;
    entities.forEach((entity, place) => {
      const [start, end] = [Math.max(behind, units[2 * place]), units[2 * place + 1]];
      if (end <= start) return;
      const mark = make("mark", { class: `entity ${colourOf(entity.label, labels)}`, "data-label": entity.label }, text.slice(start, end));
      mark.addEventListener("click", () => {
        if (document.getSelection().isCollapsed) list.children[place].querySelector("select").focus();
      });
      parts.push(text.slice(behind, start), mark);
      behind = end;
    });
    box.replaceChildren(...parts, text.slice(behind));
    list.replaceChildren(...entities.map(entityRow));
    drawAdder();
  }

  function entityRow(entity) {
    const quoted = sliceCharacters(text, entity.start, entity.end);
    const choose = typeSelect(entity.label, (label) => {
      entity.label = label;
      const place = entities.indexOf(entity);
      draw();
      list.children[place].querySelector("select").focus();
    });
    say(choose, () => word("entities.type_of", { text: quoted }), "aria-label");
    const remove = say(make("button", { type: "button", class: "button quiet" }), "entities.remove");
    say(remove, () => word("entities.remove_this", { text: quoted }), "aria-label");
    remove.addEventListener("click", () => removeEntity(entity));
    return make("li", { class: "entity-row" }, make("span", { class: `entity-name text ${colourOf(entity.label, labels)}`, dir: "auto" }, quoted), choose, remove);
  }

  function removeEntity(entity) {
    const place = entities.indexOf(entity);
    entities = entities.filter((one) => one !== entity);
    draw();
    announce(word("entities.removed", { text: sliceCharacters(text, entity.start, entity.end) }));
    (list.children[Math.min(place, entities.length - 1)]?.querySelector("select") ?? box).focus();
  }

  function typeSelect(value, onChange) {
    const options = types.map((label) => make("option", { value: label, selected: label === value }, label));
    return make("select", { on: { change: (event) => onChange(event.target.value) } }, ...options);
  }

  function drawAdder() {
    adder.hidden = selected === null;
    if (selected === null) return adder.replaceChildren();
    const quoted = sliceCharacters(text, selected.start, selected.end);
    const choose = typeSelect(type, (label) => {
      type = label;
    });
    say(choose, "entities.new_type", "aria-label");
    const add = say(make("button", { type: "button", class: "button", on: { click: addSelected } }), "entities.add");
    adder.replaceChildren(make("span", { class: "text quoted", dir: "auto" }, quoted), choose, add);
  }

  function addSelected() {
    if (selected === null) return;
    const added = { ...selected, label: type };
    const covered = entities.filter(({ start, end }) => start < added.end && added.start < end);
    entities = [...entities.filter((one) => !covered.includes(one)), added];
    selected = null;
    draw();
    const quoted = sliceCharacters(text, added.start, added.end);
    announce(covered.length ? count("entities.replaced", covered.length, { text: quoted }) : word("entities.added", { text: quoted, type }));
    box.focus();
    placeCaret(box, toUnits(text, [added.end])[0]);
  }

  box.addEventListener("keydown", (event) => {
    const number = Number(event.key) - 1;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (selected && event.key === "Enter") addSelected();
    else if (selected && types[number] !== undefined) {
      type = types[number];
      addSelected();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const here = selectionIn(box, text) ?? caretIn(box, text);
      const entity = here && entities.find(({ start, end }) => start <= here.start && here.end <= end);
      if (entity) removeEntity(entity);
    } else return;
    event.preventDefault();
  });
  for (const event of ["beforeinput", "paste", "cut", "drop", "dragstart"]) box.addEventListener(event, (one) => one.preventDefault());
  const follow = () => {
    if (!node.isConnected) return document.removeEventListener("selectionchange", follow);
    if (adder.contains(document.activeElement)) return; // choosing a type must not lose the selection
    const found = selectionIn(box, text);
    if (found === null && !box.contains(document.getSelection().anchorNode)) return;
    if (found?.start === selected?.start && found?.end === selected?.end) return;
    selected = found;
    drawAdder();
  };

  draw();
  return {
    node,
    begin: () => {
      document.addEventListener("selectionchange", follow);
      box.focus();
      placeCaret(box, 0);
    },
    read: () => entities.map((entity) => ({ ...entity })),
  };
}

/** The selection inside of a box as characters of its text, without blanks at its edges; null where there is none. */
function selectionIn(box, text) {
  const selection = document.getSelection();
  if (selection.rangeCount === 0 || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!box.contains(range.startContainer) || !box.contains(range.endContainer)) return null;
  let [start, end] = [unitsBefore(box, range.startContainer, range.startOffset), unitsBefore(box, range.endContainer, range.endOffset)];
  while (start < end && BLANK.test(text[start])) start += 1;
  while (start < end && BLANK.test(text[end - 1])) end -= 1;
  return start < end ? { start: toCharacters(text, start), end: toCharacters(text, end) } : null;
}

function caretIn(box, text) {
  const { anchorNode, anchorOffset } = document.getSelection();
  if (!box.contains(anchorNode)) return null;
  const place = toCharacters(text, unitsBefore(box, anchorNode, anchorOffset));
  return { start: place, end: place };
}

/** UTF-16 units of a box's text before a place in it. */
function unitsBefore(box, node, offset) {
  const range = document.createRange();
  range.setStart(box, 0);
  range.setEnd(node, offset);
  return range.toString().length;
}

function placeCaret(box, unit) {
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  let left = unit;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (left <= node.data.length) {
      document.getSelection().collapse(node, left);
      return;
    }
    left -= node.data.length;
  }
}
