// Makes the page live. Without it, the page shows the same as it was when it was loaded: all that is
// shown is made by the process, and this script only puts it in place.
"use strict";

const byId = (id) => document.getElementById(id);

// parse returns the element with an id of some HTML. Scripts in it would not run.
const parse = (html, id) => new DOMParser().parseFromString(html, "text/html").getElementById(id);

// become makes an element like another one, and keeps what need not change: where the focus is, and
// what is selected, scrolled and open.
function become(now, then) {
  if (now.nodeType !== then.nodeType || now.nodeName !== then.nodeName) {
    now.replaceWith(document.importNode(then, true));
    return;
  }
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.data !== then.data) now.data = then.data;
    return;
  }
  for (const {name} of [...now.attributes]) {
    if (!then.hasAttribute(name) && name !== "open") now.removeAttribute(name);
  }
  for (const {name, value} of then.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  const had = [...now.childNodes], wanted = [...then.childNodes];
  wanted.forEach((child, i) => {
    if (i < had.length) become(had[i], child);
    else now.append(document.importNode(child, true));
  });
  had.slice(wanted.length).forEach((child) => child.remove());
}

// Live: the process sends the sections that have changed.
const connection = byId("connection");
let heard = Date.now();

function connected(text, lost) {
  if (connection.textContent !== text) connection.textContent = text;
  connection.classList.toggle("lost", lost);
}

function start() {
  const source = new EventSource("api/v1/live");
  source.addEventListener("section", (event) => {
    heard = Date.now();
    const {id, html} = JSON.parse(event.data);
    const now = byId(id), then = parse(html, id);
    if (now && then) become(now, then);
    connected("live", false);
    if (id === "groups" && shown) readOut();
  });
  source.addEventListener("say", (event) => { byId("announce").textContent = JSON.parse(event.data).text; });
  source.addEventListener("error", () => {
    connected("connection lost, trying again", true);
    if (source.readyState === EventSource.CLOSED) setTimeout(start, 5000); // it was refused
  });
}
setInterval(() => {
  if (Date.now() - heard > 15000) connected("nothing heard for " + Math.round((Date.now() - heard) / 1000) + " s", true);
}, 1000);

// Charts: the values under the pointer.
let shown = null; // where the pointer is: the place of the chart, and the part of its width

function readOut() {
  const figure = document.querySelectorAll("figure")[shown.chart];
  if (!figure) return;
  const texts = figure.dataset.texts.split("|"), width = Number(figure.dataset.width);
  const i = Math.round(shown.part * width) - (width + 1 - texts.length);
  let cursor = figure.querySelector(".cursor");
  if (!cursor) {
    cursor = document.createElement("span");
    cursor.className = "cursor";
    figure.querySelector(".plot").append(cursor);
  }
  cursor.style.left = 100 * shown.part + "%";
  const now = figure.querySelector(".now"), ago = Math.round((1 - shown.part) * figure.dataset.span);
  now.textContent = (texts[i] || "–") + ", " + (ago < 60 ? ago + " s" : Math.floor(ago / 60) + " min") + " ago";
  now.classList.add("past");
}

function forget() {
  if (!shown) return;
  const figure = document.querySelectorAll("figure")[shown.chart];
  shown = null;
  if (!figure) return;
  figure.querySelector(".cursor")?.remove();
  const now = figure.querySelector(".now");
  now.classList.remove("past");
  now.textContent = figure.dataset.texts.split("|").pop() || "no values yet";
}

document.addEventListener("pointermove", (event) => {
  const plot = event.target.closest?.(".plot");
  const chart = plot ? [...document.querySelectorAll("figure")].indexOf(plot.closest("figure")) : -1;
  if (shown && shown.chart !== chart) forget();
  if (!plot) return;
  const box = plot.getBoundingClientRect();
  shown = {chart, part: Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))};
  readOut();
});
document.addEventListener("pointerleave", forget);

// Forms: where a key lives, and actions, without loading the page again.
async function find(form) {
  const query = "?" + new URLSearchParams(new FormData(form));
  const answer = await fetch("./" + query, {headers: {Accept: "text/html"}});
  const then = parse(await answer.text(), "found");
  if (!then) throw new Error("status " + answer.status);
  byId("found").replaceChildren(...[...then.childNodes].map((n) => document.importNode(n, true)));
  history.replaceState(null, "", "./" + query);
}

const done = {
  removed: "The key is removed everywhere.",
  cleared: "The group is cleared everywhere.",
  drained: "This process has left its peers, and is not ready any more.",
};

function tell(text, bad) {
  const p = document.createElement("p");
  p.className = bad ? "notice bad" : "notice";
  p.textContent = text;
  byId("notice").replaceChildren(p);
}

async function act(form) {
  const answer = await fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form)), headers: {Accept: "application/json"}});
  const said = await answer.json().catch(() => ({error: "status " + answer.status}));
  tell(said.error || done[said.done], !answer.ok);
  if (answer.ok && !form.dataset.again) form.reset();
  if (form.dataset.again) await find(byId(form.dataset.again));
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, button = form.querySelector("button");
  button.disabled = true;
  try {
    await (form.method === "get" ? find(form) : act(form));
  } catch (err) {
    tell("This process did not answer: " + err.message, true);
  } finally {
    button.disabled = false;
  }
});

start();
