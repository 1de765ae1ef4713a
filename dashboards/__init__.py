"""What people look at: the live page (and, later, Grafana's boards)."""
