"""Everything that knows CDS Hooks: discovery, hook calls, cards."""
