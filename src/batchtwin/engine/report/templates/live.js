"use strict";
// While the job runs its page is fetched again, and only what is in <main> is replaced.
(() => {
  const SECONDS = 2;
  const again = async () => {
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", credentials: "same-origin" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("main");
        const main = document.querySelector("main");
        const focused = document.activeElement && main.contains(document.activeElement);
        const selected = !getSelection().isCollapsed;
        if (fresh && !focused && !selected) {
          main.innerHTML = fresh.innerHTML;
          document.title = page.title;
          document.dispatchEvent(new Event("batchtwin:replaced"));
          main.dataset.live = fresh.dataset.live;
          if (fresh.dataset.live !== "yes") return;
        }
      } else if (answer.status === 401) {
        return;
      }
    } catch { /* The server is away; it may come back. */ }
    setTimeout(again, SECONDS * 1000);
  };
  setTimeout(again, SECONDS * 1000);
})();
