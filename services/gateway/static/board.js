// Replaces the live part of the board when the server says that it changed. Without scripts the page is as complete,
// only not live.
const live = document.querySelector("[data-live]");
if (live && "EventSource" in window) {
  const source = new EventSource(live.dataset.live);
  const state = document.querySelector("[data-connection]");
  source.addEventListener("board", (event) => {
    const focused = document.activeElement && live.contains(document.activeElement) ? document.activeElement.id : "";
    live.innerHTML = event.data;
    if (focused) document.getElementById(focused)?.focus();
  });
  source.addEventListener("open", () => { if (state) state.hidden = false; });
  source.addEventListener("error", () => { if (state) state.hidden = true; });
  source.addEventListener("expired", () => { source.close(); location.assign("/login"); });
}
