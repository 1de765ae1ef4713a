"""What the tiers share: settings, the hit, topics, metrics and the command line."""
