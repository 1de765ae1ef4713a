"""`python -m pixeltally`: the command line, wherever its script is."""

from pixeltally.cli import main

main(prog_name="pixeltally")
