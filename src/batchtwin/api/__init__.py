"""batchtwin for scripts, tests and notebooks: what the command line does, as functions. `batchtwin` exports them.

Nothing is printed unless `progress` asks for it, and no signal handler is left behind. A job that fails is a `Result`;
what can be refused raises a `BatchTwinError` with the text that the command line prints. The keywords of `score`,
`plan` and `resume` are the options of the commands: `--ray-cpus 2` is `ray_cpus=2`.
"""
