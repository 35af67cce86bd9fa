"""`mlflow.pyfunc.spark_udf` on Spark in local mode, one task per core."""

import os
import sys

import mlflow.pyfunc
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, monotonically_increasing_id, struct

SCHEMA = (
    "age long, sex long, cp long, trestbps long, chol long, fbs long, restecg long, thalach long, exang long, "
    "oldpeak double, slope long, ca long, thal string"
)


def main(model_folder: str, inputs: str, output: str) -> None:
    """Score the CSV files of a folder; number the rows of each file as they stand in it."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false")
    spark = session.config("spark.sql.execution.arrow.pyspark.enabled", "true").getOrCreate()
    predict = mlflow.pyfunc.spark_udf(spark, model_folder, result_type="long", env_manager="local")
    rows = spark.read.csv(inputs, schema=SCHEMA, header=True)
    scored = rows.select(
        predict(struct(*rows.columns)).alias("prediction"),
        col("_metadata.file_name").alias("file"),
        monotonically_increasing_id().alias("order"),
    ).toPandas()
    scored = scored.sort_values(["file", "order"])
    scored.insert(0, "row", scored.groupby("file").cumcount())
    scored[["row", "prediction", "file"]].to_csv(output, header=False, index=False)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
