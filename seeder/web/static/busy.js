// While something is under way ([data-busy]) no event tells of what it waits for, so it is asked for every few seconds;
// and once more when it is over, for all that has changed then.
import { refresh } from "/static/live.js";

const PAUSE = 3000;
let busy = false;

setInterval(() => {
  const now = document.querySelector("[data-busy]") !== null;
  if (now || busy) refresh();
  busy = now;
}, PAUSE);
