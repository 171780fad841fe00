// What every page has: asking the server to do something, as the person who looks.

/** POST to one of our own paths. Resolves to the JSON answer; rejects with an Error that holds the reason. */
export async function post(path, body) {
  const headers = { Accept: "application/json" };
  const csrf = document.querySelector('meta[name="csrf"]')?.content;
  if (csrf) headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method: "POST",
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const said = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(said.error.message);
  return said;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-post]");
  if (!button) return;
  await post(button.dataset.post);
  location.assign(button.dataset.then ?? location.href);
});
