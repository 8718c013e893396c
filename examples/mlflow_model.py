"""A model of fastcf in MLflow: logged with its file, loaded as a pyfunc, asked for lists and predictions.

pip install "fastcf[mlflow]" pandas

python examples/mlflow_model.py        # logs into the working folder

This file is the code that MLflow stores beside the model's file: nothing is pickled.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

import fastcf


class FastcfModel(mlflow.pyfunc.PythonModel):
    """Predicts the pairs of a table with the columns user and item; of one with users alone, recommends."""

    def load_context(self, context: Any) -> None:
        """Load the file that was logged; it is checked, and holds no code."""
        self.model = fastcf.load(context.artifacts["model"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return predictions, or lists of ``params["n"]`` items."""
        users = model_input["user"].to_numpy()
        if "item" in model_input:
            pairs = list(zip(users.tolist(), model_input["item"].tolist(), strict=True))
            return model_input.assign(prediction=self.model.predict(pairs))
        return self.model.recommend(users, n=int((params or {}).get("n", 10))).to_frame()


def log(model: Any, name: str) -> str:
    """Log a fitted model to the active run, or to a new one, and return its URI."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.fastcf"
        model.save(path, metadata={"logged as": name})
        signature = mlflow.models.ModelSignature(
            params=mlflow.types.ParamSchema([mlflow.types.ParamSpec("n", mlflow.types.DataType.long, 10)])
        )
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=__file__,
            artifacts={"model": str(path)},
            pip_requirements=[f"fastcf=={fastcf.__version__}", "pandas"],
            signature=signature,
        )
    uri: str = logged.model_uri
    return uri


def main() -> None:
    ratings = fastcf.data.make_ratings(200, 100, 4_000, random_state=0)
    model = fastcf.MatrixFactorization(8, random_state=0).fit(ratings)
    with mlflow.start_run():
        uri = log(model, "recommender")
    loaded = mlflow.pyfunc.load_model(uri)
    print(loaded.predict(pd.DataFrame({"user": [3, 7], "item": [5, 6]})))
    print(loaded.predict(pd.DataFrame({"user": [3, 7]}), params={"n": 3}))


mlflow.models.set_model(FastcfModel())

if __name__ == "__main__":
    main()
