// Reads the OpenAPI document and shows it. All content is inserted as text, so nothing in the
// document can become markup.
"use strict";

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Text in which `code` stands between backticks. */
function prose(text) {
  return text.split("`").map((part, n) => (n % 2 ? element("code", {}, part) : part));
}

function paragraphs(text) {
  return text.split("\n\n").map((paragraph) => element("p", {}, ...prose(paragraph)));
}

function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, ...cell))));
  const whole = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { class: "table", tabindex: "0", role: "group" }, whole);
}

function nameOf(reference) {
  return reference.split("/").pop();
}

/** What a schema allows, in a few words; named schemas as links to their tables. */
function kind(schema) {
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    return [element("a", { href: `#schema-${name}` }, name)];
  }
  if (schema.const !== undefined) return [element("code", {}, JSON.stringify(schema.const))];
  if (schema.enum) return schema.enum.flatMap((value, n) => [n ? " | " : "", element("code", {}, String(value))]);
  const choices = schema.anyOf || schema.oneOf;
  if (choices) return choices.flatMap((choice, n) => [n ? " | " : "", ...kind(choice)]);
  const types = [schema.type || "anything"].flat();
  return types.flatMap((type, n) => {
    const before = n ? [" | "] : [];
    if (type === "array") return [...before, "list of ", ...kind(schema.items || {})];
    if (type === "object" && typeof schema.additionalProperties === "object") {
      return [...before, "map to ", ...kind(schema.additionalProperties)];
    }
    return [...before, schema.format === "date-time" && type === "string" ? "time" : type];
  });
}

function members(schema) {
  const required = schema.required || [];
  return Object.entries(schema.properties || {}).map(([name, member]) => [
    [element("code", {}, name)],
    kind(member),
    [required.includes(name) ? "" : "may be absent"],
    prose(member.description || ""),
  ]);
}

function schemaSection(name, schema) {
  const parts = [schema, ...(schema.anyOf || []), ...(schema.oneOf || [])];
  const rows = parts.flatMap(members);
  const shown = rows.length > 0
    ? table(["Member", "Type", "", ""], rows)
    : element("p", {}, ...kind(schema));
  const about = schema.description ? paragraphs(schema.description) : [];
  return element("article", { id: `schema-${name}` }, element("h3", {}, name), ...about, shown);
}

// The address of the server: that of this page, without its own path. A proxy may have a prefix before it.
const base = location.origin + location.pathname.replace(/\/docs$/, "");

function example(operation) {
  const body = operation.requestBody;
  return body ? body.content["application/json"].example : undefined;
}

function curl(method, path, operation) {
  const login = operation.security.length > 0 ? ' -u "$API_USERNAME:$API_PASSWORD"' : "";
  const verb = method === "get" ? "" : ` -X ${method.toUpperCase()}`;
  const body = example(operation);
  // A quote would end the single-quoted string, so it is written between two quoted pieces.
  const sent = body === undefined ? "" : ` --json '${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
  const place = base + path.replaceAll(/\{(\w+)\}/g, (_, name) => `$${name}`);
  return `curl${login}${verb} "${place}"${sent}`;
}

function copyable(line) {
  const text = element("pre", {}, element("code", {}, line));
  if (!navigator.clipboard) return element("div", { class: "curl" }, text);
  const button = element("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(line);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
  });
  return element("div", { class: "curl" }, text, button);
}

function answers(operation) {
  return Object.entries(operation.responses).map(([status, answer]) => [
    [element("code", {}, status)],
    prose(answer.description),
    Object.entries(answer.content || {}).flatMap(([type, body], n) => [
      n ? ", " : "", element("code", {}, type), " ", ...kind(body.schema || {}),
    ]),
    Object.keys(answer.headers || {}).flatMap((name, n) => [n ? ", " : "", element("code", {}, name)]),
  ]);
}

function operationSection(method, path, operation) {
  const verb = element("span", { class: `method method-${method}` }, method.toUpperCase());
  const parts = [
    element("h3", {}, verb, " ", element("code", {}, path)),
    element("p", {}, element("strong", {}, ...prose(operation.summary))),
    ...(operation.description ? paragraphs(operation.description) : []),
  ];
  const scope = operation["x-scope"];
  const needs = scope ? `Needs credentials of the scope ${scope}.` : "Needs no credentials.";
  parts.push(element("p", { class: "quiet" }, needs));
  if (operation.parameters) {
    const rows = operation.parameters.map((parameter) => [
      [element("code", {}, parameter.name)], [parameter.in], kind(parameter.schema), prose(parameter.description || ""),
    ]);
    parts.push(element("h4", {}, "Parameters"), table(["Name", "In", "Type", ""], rows));
  }
  if (operation.requestBody) {
    const body = operation.requestBody.content["application/json"];
    parts.push(element("h4", {}, "Body"), element("p", {}, element("code", {}, "application/json"), " ", ...kind(body.schema)));
  }
  parts.push(element("h4", {}, "Answers"), table(["Status", "When", "Body", "Headers"], answers(operation)));
  parts.push(element("h4", {}, "On the command line"), copyable(curl(method, path, operation)));
  return element("article", { id: operation.operationId }, ...parts);
}

/** All operations, by the name of their resource. */
function byResource(api) {
  const groups = new Map(api.tags.map((tag) => [tag.name, { about: tag.description, operations: [] }]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      groups.get(operation.tags[0]).operations.push({ method, path, operation });
    }
  }
  return groups;
}

function show(api) {
  const main = document.getElementById("operations");
  const contents = document.getElementById("contents");
  const shown = [];
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("about").replaceWith(...paragraphs(api.info.description));
  for (const [name, { about, operations }] of byResource(api)) {
    main.append(element("h2", {}, name), element("p", {}, ...prose(about)));
    const list = element("ul", {});
    for (const { method, path, operation } of operations) {
      const section = operationSection(method, path, operation);
      const label = `${method.toUpperCase()} ${path}`;
      const line = element("li", {}, element("a", { href: `#${operation.operationId}` }, label));
      list.append(line);
      main.append(section);
      shown.push({ words: `${label} ${operation.summary}`.toLowerCase(), parts: [section, line] });
    }
    contents.append(element("h2", {}, name), list);
  }
  main.append(element("h2", {}, "Schemas"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    main.append(schemaSection(name, schema));
  }
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const { words, parts } of shown) {
      for (const part of parts) part.hidden = !words.includes(wanted);
    }
  });
}

async function start() {
  const state = document.getElementById("state");
  try {
    // An absolute URL: browsers refuse to fetch a relative one if the page's URL contains credentials.
    const answer = await fetch(`${base}/openapi.json`);
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    show(await answer.json());
    state.remove();
    // The element that the address names exists only now.
    const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (wanted) wanted.scrollIntoView();
  } catch (error) {
    state.textContent = `The document cannot be shown: ${error.message}`;
  }
}

start();
