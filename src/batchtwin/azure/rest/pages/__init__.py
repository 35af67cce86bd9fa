"""The pages that `batchtwin serve` shows a person: the workspace, and each job as its report. They change nothing."""
