"""What a team deploys: the servers' configuration, dashboards and alerts, and the rig that proves them."""
