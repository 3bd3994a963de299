"""A ClientApp as in Flower's PyTorch quickstart, on scikit-learn's digits: it knows nothing of us.

https://flower.ai/docs/framework/tutorial-quickstart-pytorch.html
"""

import functools
from collections.abc import Sequence

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

Loader = DataLoader[tuple[torch.Tensor, ...]]


class Net(nn.Module):
    """A small CNN."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(4 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.conv(x)))
        return self.fc(x.flatten(1))  # type: ignore[no-any-return]


class NormalisedNet(nn.Module):
    """An MLP with batch normalisation: buffers, one of them an integer without dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(64, 24)
        self.norm = nn.BatchNorm1d(24)
        self.fc2 = nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.fc1(x.flatten(1))))
        return self.fc2(x)  # type: ignore[no-any-return]


@functools.cache
def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return x, torch.tensor(labels)


def load_data(partition_id: int, num_partitions: int, batch_size: int) -> Loader:
    """Return the training data of one node."""
    images, labels = (tensor[:800] for tensor in _digits())
    part = slice(partition_id, None, num_partitions)
    dataset = TensorDataset(images[part], labels[part])
    return DataLoader(dataset, batch_size=batch_size, shuffle=True)


def train(net: nn.Module, loader: Loader, epochs: int, lr: float) -> float:
    """Train on the training set, and return the mean loss."""
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    net.train()
    running_loss = 0.0
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(images), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
    return running_loss / (epochs * len(loader))


def test(net: nn.Module) -> tuple[float, float]:
    """Return loss and accuracy on the test set."""
    images, labels = (tensor[800:] for tensor in _digits())
    net.eval()
    with torch.no_grad():
        outputs = net(images)
    loss = nn.functional.cross_entropy(outputs, labels).item()
    return loss, (outputs.argmax(1) == labels).float().mean().item()


def client_app(net: type[nn.Module], mods: Sequence[Mod] = ()) -> ClientApp:
    """The quickstart's app for either model."""
    app = ClientApp(mods=list(mods))

    @app.train()
    def train_fn(msg: Message, context: Context) -> Message:
        model = net()
        model.load_state_dict(msg.content["arrays"].to_torch_state_dict())
        partition_id = int(context.node_config["partition-id"])
        num_partitions = int(context.node_config["num-partitions"])
        loader = load_data(partition_id, num_partitions, batch_size=16)
        config = msg.content["config"]
        train_loss = train(model, loader, config["local-epochs"], config["lr"])
        metrics = {"train_loss": train_loss, "num-examples": len(loader) * 16}
        content = RecordDict(
            {"arrays": ArrayRecord(model.state_dict()), "metrics": MetricRecord(metrics)}
        )
        return Message(content=content, reply_to=msg)

    @app.evaluate()
    def evaluate_fn(msg: Message, context: Context) -> Message:
        model = net()
        model.load_state_dict(msg.content["arrays"].to_torch_state_dict())
        eval_loss, eval_acc = test(model)
        metrics = {"eval_loss": eval_loss, "eval_acc": eval_acc, "num-examples": 997}
        content = RecordDict({"metrics": MetricRecord(metrics)})
        return Message(content=content, reply_to=msg)

    return app
