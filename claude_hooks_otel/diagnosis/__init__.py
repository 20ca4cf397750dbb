"""The state of an installation: ``doctor`` checks every link between a session and the endpoint, ``status`` sums it up."""
