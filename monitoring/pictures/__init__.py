"""Pictures of the dashboards, drawn from their JSON and the answers of a real Prometheus, without Grafana."""
