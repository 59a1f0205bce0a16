"""One module per command: what it does when it runs. Options and help stand in `app/cli.py`."""
