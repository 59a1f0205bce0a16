"""`python -m connector`: the console script without its shim."""

from connector.app.cli import main

main()
