// Replaces the live part of the board when the server says that it changed. Without scripts the page is as complete,
// only not live.
const live = document.querySelector("[data-live]");
const state = document.querySelector("[data-connection]");

function show(html) {
  const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = [...live.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  live.innerHTML = html;
  live.querySelectorAll(".scroll").forEach((box, n) => { box.scrollLeft = scrolled[n] ?? 0; });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function listen() {
  const source = new EventSource(live.dataset.live);
  source.addEventListener("board", (event) => show(event.data));
  source.addEventListener("open", () => { state.hidden = false; });
  source.addEventListener("error", () => {
    state.hidden = true;
    // The browser comes back by itself after a break, but not after an error status of something in between.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
  source.addEventListener("expired", () => { source.close(); location.assign("/login"); });
}

if (live && state && "EventSource" in window) listen();
