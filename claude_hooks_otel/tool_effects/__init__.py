"""What a finished tool call did: lines, files, commits, pull requests, test runs. Pure functions of the call's input and result."""
