"""Run the command line: python -m radlet.cli."""

from radlet.cli import main

main()
