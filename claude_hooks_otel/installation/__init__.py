"""What ``install`` and ``uninstall`` do to a machine: settings files, the home's own files, and the record of the changes."""
