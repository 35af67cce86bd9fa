"""What is asked: the deployment, its input and the plan of the job. Imports nothing heavy."""
