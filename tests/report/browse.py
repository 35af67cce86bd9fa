"""Show pages in Chromium: `browse.py AXE CHROMIUM SHOTS URL...` prints what happened, as one JSON object per page.

Runs in the environment that `make test-browser` makes; SHOTS is the folder for screenshots.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

VIEWS = ((1280, "light"), (1280, "dark"), (400, "light"))
AXE_RUN = "axe.run().then(result => result.violations.map(entry => entry.id + ': ' + entry.nodes[0].html))"


def browse(browser: Browser, url: str, axe: str, shots: Path) -> dict[str, Any]:
    """Load a page in each view, with and without JavaScript."""
    seen: dict[str, Any] = {"url": url, "console": [], "requests": [], "violations": [], "overflow": []}
    for width, scheme in VIEWS:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, permissions=["clipboard-read"]
        )
        page = context.new_page()
        page.on("console", lambda message: seen["console"].append(message.text))
        page.on("pageerror", lambda error: seen["console"].append(str(error)))
        page.on("dialog", lambda dialog: (seen["console"].append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: seen["requests"].append(request.url))
        page.goto(url)
        name = f"{Path(url).parent.name}-{width}-{scheme}.png"
        page.screenshot(path=str(shots / name), full_page=True)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            seen["overflow"].append(name)
        page.evaluate(axe)
        seen["violations"] += page.evaluate(AXE_RUN)
        if (button := page.locator("button", has_text="Copy table").first).count():
            button.click()
            page.wait_for_function("document.querySelector('.tools button').textContent === 'Copied'")
            seen["copied"] = page.evaluate("navigator.clipboard.readText()")
        context.close()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(url)
    seen["without_script"] = plain.locator("main").inner_text()
    return seen


def main() -> None:
    """Print a line for each page."""
    axe, chromium, shots, *urls = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium or None, args=["--no-sandbox"])
        for url in urls:
            print(json.dumps(browse(browser, url, Path(axe).read_text(encoding="utf-8"), Path(shots))))
        browser.close()


if __name__ == "__main__":
    main()
