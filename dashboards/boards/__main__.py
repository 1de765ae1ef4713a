"""`python -m dashboards.boards` writes Grafana's files anew."""

from dashboards.boards.files import write

write()
