// Requests to our own server. What went wrong always comes back as an Error whose message is for people.

/** POST to one of our own paths. Resolves to the JSON answer; rejects with an Error that holds the reason. */
export async function post(path, body) {
  const headers = { Accept: "application/json" };
  const csrf = document.querySelector('meta[name="csrf"]')?.content;
  if (csrf) headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await asked(path, {
    method: "POST",
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 204) return null;
  return answer.json();
}

/** GET a piece of a page. */
export async function piece(path) {
  const answer = await asked(path, { headers: { Accept: "text/html" } });
  return answer.text();
}

async function asked(path, options) {
  let answer;
  try {
    answer = await fetch(path, { ...options, redirect: "error" });
  } catch {
    throw new Error("The server can't be reached, or it no longer knows who you are. Reload the page.");
  }
  if (!answer.ok) throw new Error(await reason(answer));
  return answer;
}

async function reason(answer) {
  const said = await answer.text();
  try {
    return JSON.parse(said).error.message;
  } catch {
    return `The server answered with ${answer.status} ${answer.statusText}. Its log says more.`;
  }
}
