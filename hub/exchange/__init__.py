"""What leaves the hub for other systems: FHIR documents of visits, to one endpoint."""
