"use strict";
// Only comfort: without it the page reads the same. A table is copied as lines of tab-separated cells.
(() => {
  const cell = (node) => {
    const text = node.innerText.replace(/\s+/g, " ").trim();
    // A spreadsheet would run what looks like a formula.
    return /^[=+@-]/.test(text) && Number.isNaN(Number(text.replace(/,/g, ""))) ? "'" + text : text;
  };
  const rows = (table) =>
    [...table.rows].map((row) => [...row.cells].map(cell).join("\t")).join("\n");
  const copy = async (text, button) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
  };
  const button = (label, what, text) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = made.dataset.label = label;
    made.setAttribute("aria-label", label + ": " + what);
    made.addEventListener("click", () => copy(text(), made));
    return made;
  };
  const enhance = () => {
    for (const scroll of document.querySelectorAll(".scroll:not([data-copy])")) {
      scroll.dataset.copy = "";
      const tools = document.createElement("div");
      tools.className = "tools";
      tools.append(button("Copy table", scroll.getAttribute("aria-label"), () => rows(scroll.querySelector("table"))));
      scroll.after(tools);
    }
    for (const code of document.querySelectorAll(".commands code:not([data-copy])")) {
      code.dataset.copy = "";
      code.after(button("Copy", code.innerText.slice(0, 60), () => code.innerText));
    }
  };
  enhance();
  document.addEventListener("batchtwin:replaced", enhance);
})();
