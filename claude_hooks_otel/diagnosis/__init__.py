"""The state of an installation: ``doctor`` checks every step between a session and the endpoint, ``status`` sums it up."""
