"""Faust tier: turns hits into facts with verdicts and into minute windows."""
