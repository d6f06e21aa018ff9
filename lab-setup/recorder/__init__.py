"""Recording a live lab: record, write, scrub, validate."""
