"use strict";

const byId = (id) => document.getElementById(id);
const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
};

let cases = [];

async function fetchJson(address) {
  const answer = await fetch(address);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.issue?.[0]?.details?.text ?? `HTTP ${answer.status}`);
  return body;
}

function listCases() {
  const wanted = byId("filter").value.toLowerCase();
  const list = byId("cases");
  list.replaceChildren();
  let group = "";
  for (const item of cases) {
    const text = `${item.id} ${item.title} ${item.story}`.toLowerCase();
    if (!text.includes(wanted)) continue;
    const [hook, card] = item.id.split("/");
    const heading = `${hook}: ${card.replaceAll("-", " ")}`;
    if (heading !== group) list.append(element("li", heading, "group"));
    group = heading;
    const row = element("li");
    const button = element("button", item.title);
    button.type = "button";
    button.dataset.case = item.id;
    button.addEventListener("click", () => show(item, button));
    row.append(button);
    list.append(row);
  }
}

function card(content, detail) {
  const made = element("article", "", content.indicator);
  made.append(element("div", content.indicator, "kind"), element("h3", content.summary));
  const body = element("div", "", "detail");
  body.innerHTML = detail; // rendered by the service, which lets no HTML of a record through
  const source = element("p", "Source: ", "source");
  const link = element("a", content.source.label);
  link.href = content.source.url;
  link.rel = "noreferrer";
  source.append(link);
  const offers = element("ul", "", "offers");
  for (const suggestion of content.suggestions ?? []) {
    const row = element("li", suggestion.label);
    const actions = suggestion.actions.map((action) => action.description).join("; ");
    row.append(element("small", actions));
    offers.append(row);
  }
  const overrides = (content.overrideReasons ?? []).map((reason) => reason.display);
  const reasons = overrides.length ? element("p", `Override: ${overrides.join("; ")}`, "source") : "";
  made.append(body);
  if (offers.children.length) made.append(element("p", "The EHR can take over:", "source"), offers);
  made.append(source, reasons);
  return made;
}

async function show(item, button) {
  document.querySelector("[aria-current]")?.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true");
  byId("case-title").textContent = item.title;
  byId("story").textContent = item.story;
  byId("state").textContent = "Asking the service ...";
  byId("cards").replaceChildren();
  byId("messages").hidden = true;
  try {
    const answer = await fetchJson(`demo/cases/${item.id}`);
    const found = answer.response.cards;
    const count = found.length === 1 ? "1 card" : `${found.length || "No"} cards`;
    byId("state").textContent = `${count}, judged as of ${answer.asOf}.`;
    byId("cards").replaceChildren(...found.map((c, i) => card(c, answer.details[i])));
    byId("request").textContent = JSON.stringify(answer.request, null, 2);
    byId("response").textContent = JSON.stringify(answer.response, null, 2);
    byId("messages").hidden = false;
  } catch (error) {
    byId("state").textContent = `The service could not answer: ${error.message}`;
  }
}

async function start() {
  try {
    cases = await fetchJson("demo/cases");
    listCases();
  } catch (error) {
    byId("state").textContent = `The list of patients could not be loaded: ${error.message}`;
  }
}

byId("filter").addEventListener("input", listCases);
start();
