// Replaces what has changed of the live part of a page when the server says so. Without scripts the page is as complete, only not
// live.
const live = document.querySelector("[data-live]");
const state = document.querySelector("[data-connection]");
// Where it is said that something has changed, for those who do not see it.
const updated = document.querySelector("[data-updated]");
// What the keyboard reaches.
const REACHED = "a[href], button, input, summary, [tabindex='0']";
let source = null;
let again = 0;
// The last event heard, where events have names: from there a new connection goes on.
let last = "";
// Stopped by the reader, until they go on.
let paused = false;

// By this a part is known again in what comes later.
const name = (part) => part.getAttribute("aria-labelledby") ?? `${part.tagName}.${part.className}`;

// Puts a part in the place of an old one; the focus and what was scrolled to stay.
function put(part, old) {
  const focused = document.activeElement;
  const place = [...old.querySelectorAll(REACHED)].indexOf(focused);
  const scrolled = [...old.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  old.replaceWith(part);
  part.querySelectorAll(".scroll").forEach((box, n) => { box.scrollLeft = scrolled[n] ?? 0; });
  if (place < 0) return;
  const next = focused.id ? document.getElementById(focused.id) : part.querySelectorAll(REACHED)[place];
  next?.focus({ preventScroll: true });
}

function show(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const parts = [...fresh.content.children];
  const names = new Set(parts.map(name));
  let old = live.firstElementChild;
  const drop = () => { const gone = old; old = old.nextElementSibling; gone.remove(); };
  for (const part of parts) {
    while (old && !names.has(name(old))) drop();
    if (!old || name(old) !== name(part)) {
      live.insertBefore(part, old);
    } else {
      const following = old.nextElementSibling;
      if (!old.isEqualNode(part)) put(part, old);
      old = following;
    }
  }
  while (old) drop();
}

function listen() {
  clearTimeout(again);
  // What is not open yet may be bringing a renewed session's cookie, which would be lost: it is closed once it has come.
  if (source?.readyState === EventSource.CONNECTING) return;
  source?.close();
  state.hidden = true;
  // A browser has few connections to one server: a page that nobody looks at takes none, and goes on when it is seen.
  if (document.hidden || paused) return;
  const url = new URL(live.dataset.live, location.href);
  if (last) url.searchParams.set("after", last);
  const opened = new EventSource(url);
  source = opened;
  const heard = (event) => {
    last = event.lastEventId;
    show(event.data);
    if (updated) updated.textContent = `${updated.dataset.updated} ${new Date().toLocaleTimeString()}`;
  };
  opened.addEventListener("board", heard);
  opened.addEventListener("case", heard);
  opened.addEventListener("open", () => {
    if (document.hidden || paused) opened.close();
    else state.hidden = false;
  });
  opened.addEventListener("error", () => {
    state.hidden = true;
    // The browser comes back by itself after a break, but not after an error status of something in between.
    if (opened.readyState === EventSource.CLOSED) again = setTimeout(listen, 5000);
  });
  opened.addEventListener("expired", () => { opened.close(); location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`); });
  // Out of reach: the page itself says so.
  opened.addEventListener("gone", () => { opened.close(); location.reload(); });
}

// The button by which what changes by itself is stopped.
function addPause() {
  const button = document.createElement("button");
  button.type = "button";
  const label = () => { button.textContent = paused ? state.dataset.resume : state.dataset.pause; };
  button.addEventListener("click", () => { paused = !paused; label(); listen(); });
  label();
  state.parentElement.after(button);
}

if (live && state && "EventSource" in window) {
  addPause();
  listen();
  document.addEventListener("visibilitychange", listen);
}
