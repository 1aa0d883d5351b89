"""Check a built site in Chromium with axe-core, in light and dark mode, wide and narrow, and measure its speed.

Needs playwright (pip), a Chromium, and axe.min.js of axe-core (`npm pack axe-core`):

    xrealign-bench leaderboard site && python benchmarks/site_in_browser.py site axe.min.js /usr/bin/chromium

A folder as a fourth argument gets screenshots: PAGE-WIDTH-SCHEME.png.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

PAGES = {
    "index": "index.html",
    "board": "*/index.html",
    "checkpoint": "*/checkpoints/*/index.html",
    "result": "*/results/*/*.html",
    "language": "*/languages/*.html",
}
"""Type of page -> its files; the largest one is checked."""
HEIGHTS = {1400: 900, 390: 844}
TALLEST = 1500
"""Largest height of a screenshot in pixels."""
TIMED = """async (what) => {
  const start = performance.now();
  what();
  document.body.offsetHeight;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return Math.round(performance.now() - start);
}"""
SORT = "() => document.querySelector('th.n button').click()"
FILTER = """() => {
  const search = document.querySelector('input[type=search]');
  search.value = 'a';
  search.dispatchEvent(new Event('input', { bubbles: true }));
}"""


def check_page(browser: Browser, page: Path, axe: str, width: int, scheme: str, picture: Path | None) -> bool:
    """Print one line for the page and one for each violation. Returns whether none is serious."""
    context = browser.new_context(viewport={"width": width, "height": HEIGHTS[width]}, color_scheme=scheme)
    tab = context.new_page()
    fetched: list[str] = []
    tab.on("request", lambda request: fetched.append(request.url))
    tab.goto(page.as_uri(), timeout=120_000)
    loaded = tab.evaluate("Math.round(performance.getEntriesByType('navigation')[0].loadEventEnd)")
    size = sum(Path(url.removeprefix("file://")).stat().st_size for url in set(fetched) if url.startswith("file:"))
    if picture is not None:
        height = min(TALLEST, tab.evaluate("document.documentElement.scrollHeight"))
        tab.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    times = {
        name: tab.evaluate(f"({TIMED})({action})")
        for name, action in (("sort", SORT), ("filter", FILTER))
        if tab.query_selector("form.filter")
    }
    tab.evaluate(axe)
    found = tab.evaluate("axe.run().then((run) => run.violations)")
    beyond = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
    elsewhere = [url for url in fetched if not url.startswith(("file:", "data:"))]
    print(
        f"{page.name} {width} {scheme}: {size / 1e3:.0f} kB, load {loaded} ms, {times}, {len(found)} violations, "
        f"{max(0, beyond)} px too wide, fetched elsewhere: {elsewhere}"
    )
    for violation in found:
        print(f"  {violation['impact']}: {violation['id']}: {violation['nodes'][0]['html'][:120]}")
    context.close()
    return not elsewhere and not any(violation["impact"] in ("serious", "critical") for violation in found)


def main(site: str, axe: str, chromium: str, pictures: str | None = None) -> int:
    root = Path(site).resolve()
    pages = {name: max(root.glob(like), key=lambda path: path.stat().st_size) for name, like in PAGES.items()}
    script = Path(axe).read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        good = []
        for (name, page), width, scheme in itertools.product(pages.items(), HEIGHTS, ("light", "dark")):
            picture = Path(pictures, f"{name}-{width}-{scheme}.png") if pictures else None
            good.append(check_page(browser, page, script, width, scheme, picture))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
