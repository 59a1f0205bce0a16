"""The only room that starts things: settings, wiring, commands. Everything else is handed what it needs."""
