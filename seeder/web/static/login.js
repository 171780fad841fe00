// `seeder web` prints a link with the token behind the #, which browsers send to nobody. It is moved into the
// form, and out of the address and the history.
function takeToken() {
  const token = decodeURIComponent(location.hash.slice(1));
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("token").value = token;
  document.getElementById("name").focus();
}

takeToken();
// Where this page is open already, the link only changes what is behind the #, and nothing is loaded.
addEventListener("hashchange", takeToken);
