"""Grafana dashboards as code: `python -m grafana.generate` writes grafana/dashboards/*.json. Not a part of the wheel."""
