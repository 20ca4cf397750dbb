"""What ``doctor`` looks at: every link between a session and the endpoint, a small function each."""
