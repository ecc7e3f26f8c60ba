// Signing in: with name and password, or with a token. The server answers with a cookie that no script can read.

import { signedIn } from "./shell.js";
import { request } from "./api.js";
import { fill, h, text } from "./dom.js";

export function view(main, { parameters }) {
  document.title = "Sign in – scanwatch";
  const said = h("p.error", { role: "alert", id: "sign-in-error" });
  const field = (label, name, type, autocomplete) => h("label", null, label, h("input", { name, type, autocomplete, "aria-describedby": "sign-in-error" }));
  const form = h(
    "form.sign-in", { method: "post" },
    h("h1", null, "Sign in"),
    field("Name", "name", "text", "username"),
    field("Password", "password", "password", "current-password"),
    h("p.faint", null, "or"),
    field("Token", "token", "password", "off"),
    said,
    h("button.primary", { type: "submit" }, "Sign in"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { name, password, token } = Object.fromEntries(new FormData(form));
    text(said, "");
    try {
      await request("sign-in", { method: "POST", body: token ? { token } : { name, password } });
      await signedIn(parameters.get("back"));
    } catch (error) {
      text(said, error.message);
      form.elements.password.value = "";
    }
  });
  fill(main, form);
  form.elements.name.focus();
}
