"""The background process that does the work, and the client that hosts use to talk to it."""
