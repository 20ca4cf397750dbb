"""Pictures of the dashboards, drawn from their JSON and a Prometheus's live answers: Grafana itself is not needed."""
