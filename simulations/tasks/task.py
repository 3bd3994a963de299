"""A federated learning task: the examples of every node, the model, and one local training."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

BLOCK_BATCHES = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """The examples of every node, the test set, and the model to be learnt from them.

    Attributes
    ----------
    name : str
        Name of the task in reports.
    node_inputs : tuple[NDArray[np.float32], ...]
        One array of shape (examples, features) per node.
    node_labels : tuple[NDArray[np.int64], ...]
        One array of shape (examples,) per node, with values in [0, `num_classes`).
    test_inputs : NDArray[np.float32]
        Shape (examples, features).
    test_labels : NDArray[np.int64]
        Shape (examples,).
    hidden : tuple[int, ...]
        Widths of the hidden layers of the multilayer perceptron; () is logistic regression.
    num_classes : int
        Number of classes.
    learning_rate : float
        Step size of local SGD.
    batch_size : int
        Examples per local step.
    target_accuracy : float
        Test accuracy, a fraction, that counts as learnt.

    Raises
    ------
    ValueError
        If a node has no examples, or a value breaks a rule above.
    """

    name: str
    node_inputs: tuple[NDArray[np.float32], ...]
    node_labels: tuple[NDArray[np.int64], ...]
    test_inputs: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    hidden: tuple[int, ...]
    num_classes: int
    learning_rate: float
    batch_size: int
    target_accuracy: float

    def __post_init__(self) -> None:
        if not self.node_inputs or len(self.node_inputs) != len(self.node_labels):
            raise ValueError(
                f"task {self.name}: node_inputs and node_labels must hold one array per node, "
                f"got {len(self.node_inputs)} and {len(self.node_labels)}: set num_nodes >= 1"
            )
        for node, (inputs, labels) in enumerate(
            zip(self.node_inputs, self.node_labels, strict=True)
        ):
            self._check_examples(f"node {node}", inputs, labels)
        self._check_examples("the test set", self.test_inputs, self.test_labels)
        self._check_training()

    def _check_examples(
        self, owner: str, inputs: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> None:
        if len(labels) == 0:
            raise ValueError(
                f"task {self.name}: {owner} has no examples: "
                "use fewer nodes, a larger alpha or more examples"
            )
        if inputs.shape != (len(labels), self.test_inputs.shape[-1]):
            raise ValueError(
                f"task {self.name}: inputs of {owner} must have shape (examples, features) "
                f"= {(len(labels), self.test_inputs.shape[-1])}, got {inputs.shape}"
            )
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise ValueError(
                f"task {self.name}: labels of {owner} must be in [0, {self.num_classes}), "
                f"got {labels.min()} to {labels.max()}: set num_classes"
            )

    def _check_training(self) -> None:
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate must be finite and > 0, got {self.learning_rate}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {self.batch_size}")
        if not 0 < self.target_accuracy <= 1:
            raise ValueError(
                f"target_accuracy must be a fraction in (0, 1], got {self.target_accuracy}"
            )

    def build_model(self, seed: int) -> nn.Sequential:
        """Return the multilayer perceptron, its initial weights a function of `seed` alone.

        Weights and biases of a layer are uniform in ±1/sqrt(fan-in), as in torch.nn.Linear.
        """
        rng = np.random.default_rng((seed, *b"model"))
        widths = (self.test_inputs.shape[1], *self.hidden, self.num_classes)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            # On the meta device a layer is made without drawing from the global generator.
            linear = nn.Linear(fan_in, fan_out, device="meta")
            for name, parameter in list(linear.named_parameters()):
                uniform = rng.uniform(-1, 1, parameter.shape) / math.sqrt(fan_in)
                setattr(linear, name, nn.Parameter(torch.tensor(uniform, dtype=parameter.dtype)))
            layers += [linear, nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def batches(
        self, node_index: int, seed: int, dispatch_index: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of a node's examples without end, drawn with replacement.

        Parameters
        ----------
        node_index : int
            Node whose examples are drawn.
        seed : int
            Seed of the run.
        dispatch_index : int
            Number of the dispatch, so that each one draws other batches.

        Yields
        ------
        tuple[Tensor, Tensor]
            Inputs of shape (batch_size, features) and labels of shape (batch_size,).
        """
        rng = np.random.default_rng((seed, node_index, dispatch_index))
        inputs, labels = (
            torch.from_numpy(self.node_inputs[node_index]),
            self.node_labels[node_index],
        )
        while True:
            for rows in rng.integers(len(labels), size=(BLOCK_BATCHES, self.batch_size)):
                yield inputs.index_select(0, torch.from_numpy(rows)), torch.from_numpy(labels[rows])

    def accuracy(self, model: nn.Module) -> float:
        """Return the fraction of the test set that `model` classifies correctly."""
        with torch.no_grad():
            predicted = model(torch.from_numpy(self.test_inputs)).argmax(dim=1).numpy()
        return float(np.mean(predicted == self.test_labels))


@torch.inference_mode()  # no_grad still keeps autograd's books: a tenth of a step
def train(
    model: nn.Sequential,
    batches: Iterable[tuple[Tensor, Tensor]],
    learning_rate: float,
    proximal_mu: float = 0.0,
) -> float:
    """Train `model` in place by plain SGD on the cross-entropy, one step per batch.

    One step is w <- w - learning_rate (∇F(w) + proximal_mu (w - w_t)), where F is the mean
    cross-entropy of the batch and w_t the weights at the call; the second term is the gradient
    of FedProx's (proximal_mu / 2) ||w - w_t||².

    Parameters
    ----------
    model : nn.Sequential
        Linear layers with a ReLU between each two, as `Task.build_model` returns it.
    batches : Iterable[tuple[Tensor, Tensor]]
        Inputs and labels; a step is complete before the next batch is taken.
    learning_rate : float
        Step size.
    proximal_mu : float
        Weight of the proximal term; 0 is FedAvg's local training.

    Returns
    -------
    float
        Mean cross-entropy over the batches, each before its step and without the proximal term;
        NaN if there was no batch.

    Raises
    ------
    ValueError
        If `proximal_mu` is negative.

    References
    ----------
    Li et al., "Federated Optimization in Heterogeneous Networks", arXiv:1812.06127, sec. 3.2.
    """
    if proximal_mu < 0:
        raise ValueError(f"proximal_mu must be >= 0, got {proximal_mu}: use 0 for FedAvg")
    weights = [parameter.detach() for parameter in model.parameters()]
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    received = [weight.clone() for weight in weights] if proximal_mu else []
    loss_sum, num_steps = torch.zeros(()), 0
    for inputs, labels in batches:
        loss, gradients = _loss_and_gradients(layers, inputs, labels)
        for weight, origin in zip(weights, received, strict=False):
            weight.lerp_(origin, learning_rate * proximal_mu)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.sub_(gradient, alpha=learning_rate)
        loss_sum += loss
        num_steps += 1
    return float(loss_sum) / num_steps if num_steps else math.nan


def _loss_and_gradients(
    layers: list[tuple[Tensor, Tensor]], inputs: Tensor, labels: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Backpropagate by hand: for models this small autograd's bookkeeping is most of the time."""
    activations = [inputs]
    for weight, bias in layers[:-1]:
        activations.append(torch.addmm(bias, activations[-1], weight.t()).relu_())
    weight, bias = layers[-1]
    log_probabilities = torch.addmm(bias, activations[-1], weight.t()).log_softmax(dim=1)
    # The gradient of the mean cross-entropy by the logits is (softmax - one-hot) / batch size.
    delta = log_probabilities.exp()
    delta.scatter_(1, labels.unsqueeze(1), -1.0, reduce="add").div_(len(labels))
    gradients: list[Tensor] = []
    for (weight, _), activation in zip(reversed(layers), reversed(activations), strict=True):
        gradients[:0] = [delta.t().mm(activation), delta.sum(dim=0)]
        if activation is not inputs:  # the sign of a ReLU's output is its derivative
            delta = delta.mm(weight).mul_(activation.sign())
    return functional.nll_loss(log_probabilities, labels), gradients
