"""The four dashboards, generated: names and labels come from the catalog, so an unknown one is an error here."""
