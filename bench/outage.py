"""What an hour without an endpoint costs: so many spans are written while nothing listens, then the endpoint comes back.

Prints the daemon's memory with the outage and without one, how large the store grew, how long delivery took, and what arrived. The
hour is the injected clock's; everything else is real: one home, the daemon's parts in this process, an OTLP receiver in another.

    python bench/outage.py [--spans 50000] [--protocol grpc]
"""
