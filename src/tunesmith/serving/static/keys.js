// A server with a key: the page asks for it and keeps it in this tab only.

import { get } from "./dom.js";
import { forgetKey, hasKey, onKeyNeeded } from "./service.js";

let waiting = null;

/** Ask for a key once, however many requests need it. */
function ask(wasRefused) {
  waiting ??= new Promise((resolve) => {
    const [dialog, form, input] = [get("key-dialog"), get("key-form"), get("key")];
    get("key-refused").hidden = !wasRefused;
    input.value = "";
    dialog.returnValue = "";
    form.onsubmit = (event) => {
      event.preventDefault();
      const isKey = /^[\x21-\x7e]+$/.test(input.value.trim()); // what a header can carry
      if (isKey) return dialog.close("given");
      get("key-refused").hidden = false;
      input.focus();
    };
    dialog.onclose = () => {
      waiting = null;
      const given = dialog.returnValue === "given" ? input.value.trim() : null;
      input.value = "";
      resolve(given);
      setTimeout(showForget);
    };
    get("key-cancel").onclick = () => dialog.close("");
    dialog.showModal();
    input.focus();
  });
  return waiting;
}

function showForget() {
  get("forget-key").hidden = !hasKey();
}

export function startKeys() {
  onKeyNeeded(ask);
  get("forget-key").addEventListener("click", () => {
    forgetKey();
    location.reload();
  });
  showForget();
}
