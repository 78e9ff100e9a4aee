"""Everything that knows FHIR: from the JSON of a record to a snapshot for the rules."""
