"""The leaderboard as static HTML: pages from templates, charts as SVG in them, one style sheet and one script."""
