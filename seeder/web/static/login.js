// `seeder web` prints a link with the token behind the #, which browsers send to nobody. It is moved into the
// form, and out of the address and the history.
const token = decodeURIComponent(location.hash.slice(1));
if (token) {
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("token").value = token;
  document.getElementById("name").focus();
}
