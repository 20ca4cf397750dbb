"""The daemon: one per user, started on demand, alone by a lock, gone after some idle minutes; it may die at any instruction."""
