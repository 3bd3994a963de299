"""A ClientApp as in Flower's scikit-learn quickstart, on the digits: it knows nothing of us.

https://flower.ai/docs/framework/tutorial-quickstart-scikitlearn.html
"""

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss


def get_model(local_epochs: int) -> LogisticRegression:
    """Return a model that goes on from the parameters it is given."""
    return LogisticRegression(max_iter=local_epochs, warm_start=True)


def get_model_params(model: LogisticRegression) -> list[NDArray[Any]]:
    """Return the parameters of a model."""
    return [model.coef_, model.intercept_]


def set_model_params(model: LogisticRegression, params: list[NDArray[Any]]) -> None:
    """Set the parameters of a model."""
    model.classes_ = np.arange(10)
    model.coef_, model.intercept_ = params


def initial_params() -> list[NDArray[Any]]:
    """Return the parameters of the first model."""
    return [np.zeros((10, 64)), np.zeros(10)]


@functools.cache
def load_data() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return images and labels: 800 to train, the rest to test."""
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels


def test(model: LogisticRegression) -> tuple[float, float]:
    """Return loss and accuracy on the test set."""
    images, labels = (values[800:] for values in load_data())
    loss = log_loss(labels, model.predict_proba(images), labels=range(10))
    return float(loss), float(model.score(images, labels))


def client_app(mods: Sequence[Mod] = ()) -> ClientApp:
    """The quickstart's app."""
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(msg: Message, context: Context) -> Message:
        model = get_model(msg.content["config"]["local-epochs"])
        set_model_params(model, msg.content["arrays"].to_numpy_ndarrays())
        first, step = context.node_config["partition-id"], context.node_config["num-partitions"]
        images, labels = (values[first:800:step] for values in load_data())
        with warnings.catch_warnings():  # a few iterations do not converge
            warnings.simplefilter("ignore")
            model.fit(images, labels)
        loss = log_loss(labels, model.predict_proba(images))
        metrics = {"train_logloss": float(loss), "num-examples": len(images)}
        content = RecordDict(
            {"arrays": ArrayRecord(get_model_params(model)), "metrics": MetricRecord(metrics)}
        )
        return Message(content=content, reply_to=msg)

    @app.evaluate()
    def evaluate(msg: Message, context: Context) -> Message:
        model = get_model(1)
        set_model_params(model, msg.content["arrays"].to_numpy_ndarrays())
        eval_loss, eval_acc = test(model)
        metrics = {"eval_loss": eval_loss, "eval_acc": eval_acc, "num-examples": 997}
        content = RecordDict({"metrics": MetricRecord(metrics)})
        return Message(content=content, reply_to=msg)

    return app
