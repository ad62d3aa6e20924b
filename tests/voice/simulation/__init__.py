"""Parley's voice rooms in simulation: three instances around the pure modules.

Real are `app.voice.rooms` and `lifetimes`, `app.realtime.rooms` (what a hub knows) and the
client's `Negotiation`. Simulated are the database (transactions happen at a moment), the leases
(`LeaseTable`), the hints between instances, which may be late, lost, doubled or out of order,
sockets that break, instances that die, and clocks that are wrong. All that must hold at every
moment is asserted where it happens; the rest in `quiet`.
"""
