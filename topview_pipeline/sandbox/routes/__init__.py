"""HTTP routes, one module per area; each offers its list as `ROUTES`."""
