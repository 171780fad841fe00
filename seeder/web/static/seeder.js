// What every page has: times in the viewer's zone, and asking the server to do something as the person who looks.
import { writeTimes } from "/static/times.js";
import "/static/asking.js";

export { post } from "/static/posting.js";

writeTimes(document);
