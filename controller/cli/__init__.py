"""The command line. Client commands import click, rich, json and http.client and no more, so that they answer
at once: everything heavier is imported inside the command that needs it."""
