"""The in-process engine hands a grid of the right size to the server; Ray has its own test."""

from flwr.app import Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from simulations.engines import run_in_process


def test_the_server_gets_a_grid_with_all_nodes() -> None:
    seen = list[list[int]]()
    run_in_process(lambda grid: seen.append(list(grid.get_node_ids())), ClientApp(), num_nodes=3)
    assert seen == [[1, 2, 3]]


def test_the_grid_runs_the_client_app() -> None:
    app, replies = ClientApp(), list[Message]()

    @app.query()
    def query(message: Message, _context: object) -> Message:
        return Message(RecordDict({"m": MetricRecord({"answer": 42})}), reply_to=message)

    def server(grid: Grid) -> None:
        replies.extend(grid.send_and_receive([Message(RecordDict(), 2, "query")]))

    run_in_process(server, app, num_nodes=2)
    (reply,) = replies
    assert reply.content.metric_records["m"]["answer"] == 42
    assert reply.metadata.src_node_id == 2
