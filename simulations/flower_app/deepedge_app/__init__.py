"""A Flower app: a perceptron in NumPy, trained with DeepEdge or with Flower's FedAvg."""
