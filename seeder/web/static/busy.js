// While something is under way ([data-busy]) no event tells of what it waits for, so it is asked for every few seconds.
import { refresh } from "/static/live.js";

const PAUSE = 3000;

setInterval(() => document.querySelector("[data-busy]") && refresh(), PAUSE);
