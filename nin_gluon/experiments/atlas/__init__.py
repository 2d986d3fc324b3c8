"""The published logs of the chapter's net: how the runs ended, and how to add a log."""
