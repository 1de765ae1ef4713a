"""How fast the tiers are, as ratios against named peers measured in the same run."""
