"""What a finished tool call did to the code: lines, files, commits, pull requests, test runs. Pure functions of its input and result."""
