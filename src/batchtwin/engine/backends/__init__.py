"""Where nodes are: this machine (`local`), a container, a Ray cluster. One protocol: `base.Backend`."""
