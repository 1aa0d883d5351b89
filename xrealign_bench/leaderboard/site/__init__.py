"""The leaderboard as static HTML: pages from templates, charts as inline SVG, one style sheet and one script."""
