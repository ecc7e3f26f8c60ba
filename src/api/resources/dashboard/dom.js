// Builds elements. Every text becomes a text node, so that names, messages and logs are text whatever they hold.

/** An element: `h("a.link", { href, onclick }, "text", child)`. Null and false children are skipped. */
export function h(kind, properties, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Replaces what an element contains. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Sets the text of an element only where it differs: a screen reader and the layout see no change otherwise. */
export function text(element, value) {
  const next = String(value);
  if (element.textContent !== next) element.textContent = next;
}

/** An element of SVG. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, String(value));
  append(element, children);
  return element;
}

/** Says something to screen readers; one sentence at a time, and not the same twice in a row. */
export function announce(sentence) {
  text(document.getElementById("news"), sentence);
}

/** Asks in a dialog; resolves to whether the user confirmed. */
export function confirm({ title, lines, verb }) {
  const dialog = document.getElementById("dialog");
  return new Promise((resolve) => {
    const close = (answer) => {
      dialog.onclose = null;
      dialog.close();
      resolve(answer);
    };
    const cancel = h("button", { type: "button", onclick: () => close(false) }, "Cancel");
    fill(
      dialog,
      h("h2", { id: "dialog-title" }, title),
      lines.map((line) => h("p", null, line)),
      h("p.actions", null, cancel, h("button.danger", { type: "button", onclick: () => close(true) }, verb)),
    );
    dialog.setAttribute("aria-labelledby", "dialog-title");
    dialog.onclose = () => resolve(false);
    dialog.showModal();
    cancel.focus();
  });
}

/** Shows something in the dialog until it is closed. */
export function show(title, ...children) {
  const dialog = document.getElementById("dialog");
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  fill(dialog, h("h2", { id: "dialog-title" }, title), children, h("p.actions", null, close));
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.onclose = null;
  dialog.showModal();
}

/** A button that copies a text and confirms it. */
export function copier(label, value, title) {
  const button = h("button.quiet", { type: "button", title }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(typeof value === "function" ? value() : value);
      text(button, "Copied");
    } catch {
      show(label, h("pre", null, typeof value === "function" ? value() : value));
      return;
    }
    setTimeout(() => text(button, label), 1500);
  });
  return button;
}
