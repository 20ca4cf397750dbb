"""Tests of the room ``cli``: what people see."""
