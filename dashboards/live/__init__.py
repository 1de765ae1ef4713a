"""The live page: the boards of :mod:`dashboards.boards` without Grafana, seconds after what they count happened.

What is looked at stands in the URL (`view`). Threads ask ClickHouse for it (`feed`, `clickhouse`). Rows become what is
shown (`pictures`, `table`, `charts`, `world`, `words`) on a page (`page`), which Dash keeps up to date (`server`) for
whoever may see it (`access`). The browser's part is small (`assets/live.js`): it knows the viewer's zone and colours.
"""
