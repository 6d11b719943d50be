"""Node providers: adapters to whoever makes machines, each a plugin of the group `lepton_ai.node_providers`."""
