// Keeps a page up to date. Whatever the server tells of (/api/events), the piece named by data-live is fetched anew;
// each element in it takes the place of the page's element with the same id, where it is other than that. Elements
// that the page doesn't have, or the piece doesn't, stay as they are, so that nothing jumps under a reader's eyes.
//
// <div data-live="/pieces/…">            the piece to fetch, anywhere in the page; with data-table="…" it is of one
//                                        table, and fetched only for what changes about that
// <p id="live" role="status">            whether this works (parts.html: live)
// <p id="said" role="status">            what a screen reader is told: the piece's data-say, every few seconds at most
import { piece } from "/static/posting.js";
import { writeTimes } from "/static/times.js";

const PAUSE = 800;
const SAY_PAUSE = 5000;
/** What no event tells of: a seeding that should have begun. */
const ANYWAY = 60000;
/** After an answer that was no stream of events. */
const AGAIN = 10000;

let wanted = false;
let busy = false;
let events = null;
let said = "";
let saidAt = 0;
let later;

/** Fetch soon, and once more where something else happens meanwhile. */
export function refresh() {
  wanted = true;
  if (!busy && !document.hidden) void work();
}

async function work() {
  busy = true;
  while (wanted && !document.hidden) {
    wanted = false;
    try {
      put(await piece(document.querySelector("[data-live]").dataset.live));
      state("on");
    } catch (error) {
      state("off", error.message);
    }
    // A large piece says itself how often it may be asked for.
    const pause = Number(document.querySelector("[data-live]").dataset.pause ?? PAUSE);
    await new Promise((done) => setTimeout(done, pause));
  }
  busy = false;
}

function put(html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  for (const fresh of made.content.querySelectorAll("[id]")) {
    const old = document.getElementById(fresh.id);
    if (old && plain(old) !== plain(fresh)) swap(old, fresh.cloneNode(true));
  }
  say(made.content.querySelector("[data-say]")?.dataset.say ?? said);
}

function swap(old, fresh) {
  const parts = (root) => [...root.querySelectorAll("a, button, input, select, summary")];
  const focused = parts(old).indexOf(document.activeElement);
  if (old.matches("details[open]")) fresh.setAttribute("open", "");
  for (const details of old.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`details[id="${CSS.escape(details.id)}"]`)?.setAttribute("open", "");
  }
  writeTimes(fresh);
  fresh.classList.add("fresh");
  old.replaceWith(fresh);
  parts(fresh)[focused]?.focus({ preventScroll: true });
}

/** An element without what only a viewer's clock makes of it. */
function plain(element) {
  const copy = element.cloneNode(true);
  copy.classList.remove("fresh");
  if (!copy.classList.length) copy.removeAttribute("class");
  for (const within of copy.querySelectorAll(".fresh")) within.classList.remove("fresh");
  for (const details of [copy, ...copy.querySelectorAll("details")]) details.removeAttribute("open");
  for (const time of copy.querySelectorAll("time")) {
    time.textContent = "";
    time.removeAttribute("title");
  }
  return copy.outerHTML;
}

function say(words) {
  const place = document.getElementById("said");
  if (!place || words === said) return;
  // Not more often than somebody can listen to; what holds by then is said.
  clearTimeout(later);
  const early = saidAt + SAY_PAUSE - Date.now();
  if (early > 0) {
    later = setTimeout(say, early, words);
    return;
  }
  place.textContent = words;
  [said, saidAt] = [words, Date.now()];
}

const STATES = { on: "Live", wait: "Connecting …", off: "Not live" };

function state(name, reason = "") {
  const place = document.getElementById("live");
  if (!place || (place.dataset.state === name && !reason)) return;
  place.dataset.state = name;
  place.textContent = reason ? `${STATES[name]}: ${reason}` : STATES[name];
}

/** Whether the page shows what has changed: one of a single table (data-table) needn't be fetched for all others. */
function concerns(said) {
  const table = document.querySelector("[data-live]").dataset.table;
  return table === undefined || said.count > said.jobs.length || said.jobs.some((job) => job.tableName === table);
}

/** Browsers have six connections to a server for all their tabs, so only a page that is seen keeps one. */
function follow() {
  events?.close();
  events = null;
  if (document.hidden) return;
  events = new EventSource("/api/events");
  // What happened between the page and this was told to others only.
  events.addEventListener("open", refresh);
  events.addEventListener("changes", (event) => concerns(JSON.parse(event.data)) && refresh());
  events.addEventListener("reload", refresh);
  events.addEventListener("unread", (event) => state("off", JSON.parse(event.data).reason));
  events.addEventListener("error", () => {
    state("wait");
    // A browser comes back by itself after a broken connection, but not after an answer such as 503.
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, AGAIN);
  });
}

said = document.querySelector("[data-say]")?.dataset.say ?? "";
state("wait");
follow();
document.addEventListener("seeder:asked", refresh);
document.addEventListener("visibilitychange", follow);
setInterval(refresh, ANYWAY);
