"""What people look at: boards, in Grafana and on the live page."""
