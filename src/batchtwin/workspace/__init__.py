"""What has a name: models, data, computes, endpoints, deployments, jobs. `service.Workspace` is the one door."""
