"""From series to OTLP: the SDK's data classes built by hand, and the stock exporters that send them.

Hand-built, because a series outlives the process: the SDK's own instruments begin anew with each start, which a receiver takes
for a counter reset.
"""
