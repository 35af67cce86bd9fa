"""What runs in the parent: the job's rules, the pool of workers, output and logs. No pandas, no mlflow."""
