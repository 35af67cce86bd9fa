"""Named things: models, data, computes, endpoints, deployments and jobs. Open them with `workspace.Workspace`."""
