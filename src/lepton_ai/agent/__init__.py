"""The node agent: what runs on a machine that has joined a cluster, beside Ray, and how it joins and leaves."""
