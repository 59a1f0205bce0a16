"""Pure questions to the facts: explain, simulate, funnel, trial. Reads values, stores nothing, starts nothing."""
