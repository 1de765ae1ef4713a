"""Sets Grafana up through its HTTP API: for each advertiser an organisation that shows its own rows alone."""
