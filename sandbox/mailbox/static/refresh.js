// Brings new mail into the list without disturbing what is typed or focused.
const list = document.querySelector("[data-inbox]");

async function refresh() {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-inbox]");
    if (answer.ok && fresh && fresh.innerHTML !== list.innerHTML) {
      list.replaceChildren(...fresh.childNodes);
    }
  } catch {
    // The mailbox is being restarted: try again with the next tick.
  }
}

setInterval(() => {
  if (!document.hidden && !list.contains(document.activeElement)) refresh();
}, 2000);
