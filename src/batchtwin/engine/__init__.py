"""What runs in the controller: the job's rules, backends, output and logs. No pandas, no mlflow."""
