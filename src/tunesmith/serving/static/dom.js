// Elements made without markup: texts become text nodes, so nothing of a row or a label can act as HTML.

/**
 * Make an element.
 * @param {string} tag
 * @param {Object} properties attributes; `class`, `on` = {event: listener}; true is an empty attribute, false and null none.
 * @param {...(Node|string|null)} children
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** The element with this id, which the template holds. */
export function get(id) {
  return document.getElementById(id);
}

let made = 0;

/** An id that no other element has. */
export function freshId(stem) {
  made += 1;
  return `${stem}-${made}`;
}

/** Tell screen readers something, without moving the focus. The same words said twice are read twice. */
export function announce(text) {
  const place = get("announcer");
  place.textContent = "";
  setTimeout(() => {
    place.textContent = text;
  }, 50);
}

/** Offer bytes as a file. */
export function save(name, parts, type) {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  const link = make("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Ctrl+Enter, on a Mac also Cmd+Enter, outside of an input method's window. */
export function isSendKey(event) {
  return event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing;
}
