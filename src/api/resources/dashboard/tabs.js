// Tabs: which of several panels is shown (WAI-ARIA Authoring Practices, "Tabs").

import { fill, h } from "./dom.js";

/** Tabs of which one is selected; the arrow keys move between them. `tabs`: `[name, label][]`. */
export function tabList({ label, tabs, selected, panel, onselect }) {
  const element = h("div.tabs", { role: "tablist", "aria-label": label });
  const buttons = tabs.map(([name, text]) => h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "panel", onclick: () => select(name) }, text));
  const draw = () => buttons.forEach((button, index) => {
    const is = tabs[index][0] === selected;
    button.setAttribute("aria-selected", String(is));
    button.tabIndex = is ? 0 : -1;
    if (is) panel.setAttribute("aria-labelledby", button.id);
  });
  function select(name) {
    selected = name;
    draw();
    onselect(name);
  }
  element.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    buttons[next].focus();
    select(tabs[next][0]);
  });
  panel.id = "panel";
  fill(element, buttons);
  draw();
  return element;
}
