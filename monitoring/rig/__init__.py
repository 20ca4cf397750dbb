"""The real Collector and the real Prometheus, built from their Go modules, with the shipped configuration on loopback."""
