"""The nightly pass: decisions of weeks as Parquet, and the questions that live checks cannot answer."""
