// Buttons that make the server do something: <button data-post="/api/…" data-ask="Refresh …?" data-label="Refresh">.
// The dialog of base.html asks once, and then says what came of it, whatever that is. Without data-ask it is done at
// once; data-then is where to go afterwards.
import { post } from "/static/posting.js";

const dialog = document.getElementById("ask");
const title = document.getElementById("ask-title");
const body = document.getElementById("ask-body");
const act = document.getElementById("ask-do");
const close = document.getElementById("ask-close");

/** The button that was pressed, and where it stands: it may be another one, in the same place, once the dialog closes. */
let asker = null;
let place = null;

/** Runs that a dialog lists; the rest is a number. */
const MOST_LISTED = 10;

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-post]");
  if (!button) return;
  if (button.dataset.ask === undefined) return void doIt(button.dataset);
  [asker, place] = [button, button.closest("[id]")?.id];
  show(button.dataset.label, button.dataset.ask);
  offer(button.dataset);
});

close.addEventListener("click", () => dialog.close());

// A browser gives the focus back to the button that had it, unless the page has changed there meanwhile: then it would be
// at the page's top, and whoever has only a keyboard would have to come all the way again.
dialog.addEventListener("close", () => {
  if (asker?.isConnected) return;
  const there = document.getElementById(place);
  (there?.querySelector("[data-post]") ?? there?.querySelector("a, button"))?.focus({ preventScroll: true });
});

function offer(wish) {
  act.hidden = false;
  act.disabled = false;
  act.textContent = wish.label;
  act.onclick = () => doIt(wish);
  act.focus();
}

async function doIt(wish) {
  act.disabled = true;
  act.textContent = "Asking …";
  try {
    const said = await post(wish.post);
    if (wish.then !== undefined) return location.assign(wish.then);
    act.hidden = true;
    tell(said);
    document.dispatchEvent(new CustomEvent("seeder:asked"));
  } catch (error) {
    act.hidden = true;
    show("That didn't work", element("p", error.message, "alarm message"));
  }
  close.focus();
}

function tell(said) {
  if ("cancelled" in said) {
    const words = said.cancelled
      ? `${said.runId} is cancelled${said.ended ? "." : "; PostgreSQL is still rolling it back."}`
      : `${said.runId} was over already.`;
    return show(said.cancelled ? "Cancelled" : "Nothing to cancel", words);
  }
  const queued = said.queued === 1 ? "1 run queued" : `${said.queued} runs queued`;
  const parts = [];
  if (said.queued) {
    const link = element("a", said.seedingId);
    link.href = `/nights/${encodeURIComponent(said.seedingId)}`;
    const line = element("p", "Follow it live, here or on the page of this seeding: ");
    line.append(link);
    parts.push(line);
  }
  parts.push(...list("In the queue already, so not queued again", said.alreadyQueued, (one) => one.tableName));
  parts.push(...list("Refused, and recorded as errors", said.refused, (one) => `${one.runId}: ${one.reason}`));
  parts.push(...list("Not recorded", said.notRecorded, (one) => `${one.runId}: ${one.reason}`));
  show(said.queued ? queued : "Nothing was queued", ...parts);
}

function list(what, items, words) {
  if (!items.length) return [];
  const rows = element("ul");
  for (const one of items.slice(0, MOST_LISTED)) rows.append(element("li", words(one)));
  if (items.length > MOST_LISTED) rows.append(element("li", `and ${items.length - MOST_LISTED} more`));
  return [element("p", `${what}:`), rows];
}

function show(heading, ...parts) {
  title.textContent = heading;
  body.replaceChildren(...parts.map((part) => (typeof part === "string" ? element("p", part) : part)));
  if (!dialog.open) dialog.showModal();
}

function element(name, text = "", classes = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (classes) made.className = classes;
  return made;
}
