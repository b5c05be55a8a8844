"use strict";
// Lists that are alive: each event is the list, made anew by the server.
for (const list of document.querySelectorAll("[data-live]")) {
  const stream = new EventSource(list.dataset.live);
  stream.onmessage = (event) => {
    if (!list.contains(document.activeElement)) list.innerHTML = JSON.parse(event.data);
  };
}
// Something is about to be different: look again.
const soon = document.querySelector("[data-reload]");
if (soon) setTimeout(() => location.reload(), 1000 * Number(soon.dataset.reload));
