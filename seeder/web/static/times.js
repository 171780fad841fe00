// Moments in the viewer's zone, and those that count.

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const YEAR = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const WHOLE = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

/** By how much the server's clock is ahead of the viewer's, where they differ by more than a page takes to come. */
const AHEAD = (() => {
  const told = document.querySelector('meta[name="now"]')?.content;
  const ahead = told ? new Date(told) - Date.now() : 0;
  return Math.abs(ahead) > 10000 ? ahead : 0;
})();

/** As seeder/wording.py writes them: the two largest units. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600), Math.floor(whole / 60)];
  const two = (number) => String(number).padStart(2, "0");
  if (days) return `${days} d ${two(hours % 24)} h`;
  if (hours) return `${hours} h ${two(minutes % 60)} min`;
  if (minutes) return `${minutes} min ${two(whole % 60)} s`;
  return `${whole} s`;
}

function day(moment, now) {
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const days = Math.round((midnight(moment) - midnight(now)) / 86400000);
  const near = { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
  return near ?? (moment.getFullYear() === now.getFullYear() ? DAY : YEAR).format(moment);
}

function ago(moment, now) {
  const seconds = (now - moment) / 1000;
  const size = Math.abs(seconds);
  const rounded = size < 60 ? null : duration(size < 3600 ? Math.floor(size / 60) * 60 : size).replace(/ 00 s$/, "");
  if (rounded === null) return seconds < 0 ? "in less than a minute" : "just now";
  return seconds < 0 ? `in ${rounded}` : `${rounded} ago`;
}

const SHOWN = {
  "": (moment, now) => `${day(moment, now)} ${CLOCK.format(moment)}`,
  clock: (moment, now) => (day(moment, now) === "today" ? CLOCK.format(moment) : SHOWN[""](moment, now)),
  ago,
  until: (moment, now) => (moment > now ? ago(moment, now) : "any moment now"),
  since: (moment, now) => duration((now - moment) / 1000),
};

/** Write all times below that element as its viewer reads them. */
export function writeTimes(root) {
  const now = new Date(Date.now() + AHEAD);
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    const words = (SHOWN[time.dataset.show ?? ""] ?? SHOWN[""])(moment, now);
    if (time.textContent !== words) time.textContent = words;
    if (!time.title) time.title = WHOLE.format(moment);
  }
}

setInterval(() => {
  if (!document.hidden) writeTimes(document);
}, 1000);
