"""Pure decisions: values in (time too), decisions out, each with a `because`. No I/O, no clock, no CRM by name."""
