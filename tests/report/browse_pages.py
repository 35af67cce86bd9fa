"""Follow a link to the page of a job that runs: `browse_pages.py AXE CHROMIUM SHOTS LINK GATE` prints what was seen.

GATE is a file that lets the job end. Runs in the environment that `make test-browser` makes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

AXE_RUN = "axe.run().then(result => result.violations.map(entry => entry.id + ': ' + entry.nodes[0].html))"
MILLISECONDS = 120_000


def follow(page: Page, link: str, gate: Path, axe: str, shots: Path) -> dict[str, Any]:
    """Open the link, let the job end while the page is open, then look at the other pages."""
    seen: dict[str, Any] = {"console": [], "requests": [], "referers": [], "violations": []}
    page.on("console", lambda message: seen["console"].append(message.text))
    page.on("pageerror", lambda error: seen["console"].append(str(error)))
    page.on("request", lambda request: seen["requests"].append(request.url))
    page.on("request", lambda request: seen["referers"].append(request.headers.get("referer", "")))
    page.goto(link)
    seen["url"], seen["script_cookie"] = page.url, page.evaluate("document.cookie")
    seen["back"] = page.evaluate("history.length")
    page.wait_for_selector("h1 .running", timeout=MILLISECONDS)
    page.evaluate("window.kept = 'not reloaded'")
    page.screenshot(path=str(shots / "live-1280-light.png"), full_page=True)
    gate.touch()
    page.wait_for_selector("h1 .completed", timeout=MILLISECONDS)
    seen["kept"] = page.evaluate("window.kept")
    seen["buttons"] = page.locator("button", has_text="Copy table").count()
    page.evaluate(axe)
    seen["violations"] += page.evaluate(AXE_RUN)
    for label, name in (("Logs and files", "files"), ("All jobs", "index"), ("numbers:1", "model")):
        page.get_by_role("link", name=label).first.click()
        page.wait_for_load_state()
        page.screenshot(path=str(shots / f"{name}-1280-light.png"), full_page=True)
        page.evaluate(axe)
        seen["violations"] += page.evaluate(AXE_RUN)
    seen["model"], seen["jobs_of_the_model"] = page.url, page.locator("main").inner_text()
    for width, scheme in ((400, "light"), (1280, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=str(shots / f"model-{width}-{scheme}.png"), full_page=True)
        seen["violations"] += page.evaluate(AXE_RUN)
    return seen


def main() -> None:
    """Print what was seen."""
    axe, chromium, shots, link, gate = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium or None, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        print(json.dumps(follow(page, link, Path(gate), Path(axe).read_text(encoding="utf-8"), Path(shots))))
        browser.close()


if __name__ == "__main__":
    main()
