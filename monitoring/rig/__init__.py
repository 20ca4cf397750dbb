"""The rig: a real Collector and a real Prometheus with the shipped configuration, on loopback."""
