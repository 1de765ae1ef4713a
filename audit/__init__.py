"""Checks statements without a server. Shares no code with what counted, but for the signature's and the log's form."""
