"""The engine: data, plan, journal, saga and evidence; knows Protocols only, no host and no product."""
