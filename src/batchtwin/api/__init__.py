"""batchtwin for scripts, tests and notebooks: the command line as functions. `batchtwin` exports them.

Nothing is printed without `progress`, and no signal handler stays. A job that fails is a `Result`; a job that is
refused raises a `BatchTwinError` with the text that the command line prints. The keywords of `score`, `plan` and
`resume` are the options of the commands: `--ray-cpus 2` is `ray_cpus=2`.
"""
