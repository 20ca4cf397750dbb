"""The servers' configuration, dashboards and alerts that a team deploys, and the rig that tests them."""
