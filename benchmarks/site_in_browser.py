"""Look at a built site in Chromium: what axe-core finds on pages, in light and dark, wide and narrow; how quick it is.

Needs playwright (pip), a Chromium, and axe.min.js of axe-core (`npm pack axe-core`):

    xrealign-bench leaderboard site && python benchmarks/site_in_browser.py site axe.min.js /usr/bin/chromium
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

KINDS = ("index.html", "*/index.html", "*/checkpoints/*/index.html", "*/results/*/*.html", "*/languages/*.html")
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


def look(browser: Browser, page: Path, axe: str, width: int, scheme: str) -> bool:
    """Print one line a page and one a violation; True: none is serious."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    fetched: list[str] = []
    tab.on("request", lambda request: fetched.append(request.url))
    tab.goto(page.as_uri(), timeout=120_000)
    loaded = tab.evaluate("Math.round(performance.getEntriesByType('navigation')[0].loadEventEnd)")
    size = sum(Path(url.removeprefix("file://")).stat().st_size for url in set(fetched) if url.startswith("file:"))
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


def main(site: str, axe: str, chromium: str) -> int:
    root = Path(site).resolve()
    # Of each kind the largest page.
    pages = [max(root.glob(kind), key=lambda path: path.stat().st_size) for kind in KINDS]
    script = Path(axe).read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        ways = itertools.product(pages, (1400, 390), ("light", "dark"))
        good = [look(browser, page, script, width, scheme) for page, width, scheme in ways]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
