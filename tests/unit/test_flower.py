"""veilsum inside Flower, in one process: Flower's own strategies, apps, records and bytes.

What Flower's engines add, processes and networks, is in tests/integration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs Flower: pip install 'veilsum[flower]'")

from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as Proto
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdam, FedAvg
from flwr.supercore.task_identity import TaskIdentity

from veilsum import protocols
from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError
from veilsum.integrations.flower import Protection
from veilsum.integrations.flower.folders import Folder, deal, node_folder, server_folder
from veilsum.integrations.flower.records import Answer, Request, split
from veilsum.protocols import WeightedMean, masking
from veilsum.protocols.base import address_of
from veilsum.protocols.session import client_index

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RUN = 7
CLIENTS = 5
MEAN = WeightedMean(encoding=FixedPoint.binary(16, bound=8.0), max_weight=100)
MODEL = {"a": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), "b": np.ones(2)}
Hook = Callable[[int, int, Message], bool]


def goal(client: int) -> dict[str, np.ndarray]:
    """Return what a client trains its arrays to."""
    rng = np.random.default_rng(client)
    return {key: rng.normal(size=array.shape).astype(array.dtype) for key, array in MODEL.items()}


def app(protection: Protection | None) -> ClientApp:
    """Make an app whose client replaces every array, and whose loss is its own number."""
    built = ClientApp(mods=[] if protection is None else [protection.mod])

    @built.train()
    def train(message: Message, context: Context) -> Message:
        client = context.node_config["partition-id"]
        if "fails" in context.node_config:
            return Message(Error(code=0, reason="no data today"), reply_to=message)
        trained = ArrayRecord({key: Array(array) for key, array in goal(client).items()})
        metrics = MetricRecord({"num-examples": 10 + client, "loss": client / 4, "other": 1})
        return Message(RecordDict({"arrays": trained, "metrics": metrics}), reply_to=message)

    built.train("other")(train)

    @built.evaluate()
    def evaluate(message: Message, _: Context) -> Message:
        value = float(message.content["arrays"]["b"].numpy().sum())
        metrics = MetricRecord({"num-examples": 1, "value": value})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return built


@dataclass
class Network(Grid):
    """Flower's grid and its nodes, without an engine: messages go as the bytes that Flower sends.

    Every message is answered by a fresh app with the context that the node had, as by a process.
    """

    protection: Protection | None
    folders: Path
    nodes: int
    lost: Hook = lambda *_: False
    gone: Hook = lambda *_: False
    tamper: Callable[[Message], Message] = lambda message: message
    sent: list[tuple[int, Message]] = field(default_factory=list)
    replies: dict[str, Message] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=dict)
    contexts: dict[int, Context] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    letters: list[bytes] = field(default_factory=list)
    train: Message | None = None

    def __post_init__(self) -> None:
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN, 1, 0
        config = {"veilsum-folders": str(self.folders)}
        for place in range(self.nodes):
            node = 1000 + place
            self.contexts[node] = Context(
                RUN, node, {"partition-id": place}, RecordDict(), dict(config)
            )

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        return RUN

    def create_message(self, *args: Any, **options: Any) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return [*self.contexts]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return [self._push(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self.replies.pop(i) for i in [*message_ids] if i in self.replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        assert timeout
        return [*self.pull_messages([*self.push_messages(messages)])]

    def _push(self, message: Message) -> str:
        node = message.metadata.dst_node_id
        identifier = f"{node}-{len(self.sent)}"
        message.metadata.__dict__["_message_id"] = identifier
        self.sent.append((node, message))
        self.asked[node] = self.asked.get(node, 0) + 1
        if self.gone(node - 1000, self.asked[node], message):
            self.replies[identifier] = unavailable(message)
        elif not self.lost(node - 1000, self.asked[node], message):
            arrived = through_flower(self.tamper(message))
            reply = app(self.protection)(arrived, self.contexts[node])
            if reply.has_error():
                self.errors.append(reply.error.reason or "")
            elif "veilsum.answer" in reply.content:
                self.letters += Answer.of(reply.content).letters
            self.replies[identifier] = through_flower(reply)
        return identifier

    def grid(self) -> Any:
        assert self.protection is not None
        context = Context(RUN, 1, {}, RecordDict(), {"veilsum-folders": str(self.folders)})
        return self.protection.grid(self, context)


def through_flower(message: Message) -> Message:
    """Return the message that Flower makes of the bytes of another."""
    return message_from_proto(Proto.FromString(message_to_proto(message).SerializeToString()))


def unavailable(message: Message) -> Message:
    """Return what the SuperLink replies in its own name for a node that is gone."""
    error = Error(code=ErrorCode.NODE_UNAVAILABLE, reason="Error: Node Unavailable")
    reply = Message(error, reply_to=message)
    reply.metadata.__dict__["_src_node_id"] = SUPERLINK_NODE_ID
    return reply


def arrays() -> ArrayRecord:
    return ArrayRecord({key: Array(array) for key, array in MODEL.items()})


def fedavg() -> FedAvg:
    return FedAvg(min_train_nodes=CLIENTS, min_evaluate_nodes=1, min_available_nodes=CLIENTS)


PROTOCOLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "masking": {"threads": 1},
    "sharing": {"holders": 3},
    "serverless": {},
    "paillier": {"insecure": True},
    "threshold_paillier": {"insecure": True},
}
REQUESTS = {"plain": 1, "masking": 3, "sharing": 4, "paillier": 2, "threshold_paillier": 2}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make the folders of a federation for every protocol."""
    root = tmp_path_factory.mktemp("flower")
    for name in PROTOCOLS:
        options: dict[str, Any] = {"protocol": "sharing" if name == "serverless" else name}
        if name == "sharing":
            options |= {"holders": 3}
        if "paillier" in name:
            options |= {"key_bits": 1024, "insecure": True}
        deal(root / name, clients=CLIENTS, **options)
    return {name: root / name for name in PROTOCOLS}


def protection_of(name: str, **changes: Any) -> Protection:
    protocol = "sharing" if name == "serverless" else name
    options = {"mean": MEAN, "patience": 0.05, "ahead": 1, **changes}
    return Protection(protocol=protocol, options=PROTOCOLS[name], **options)


def network_of(places: dict[str, Path], name: str, **changes: Any) -> Network:
    hooks = {key: changes.pop(key) for key in ("lost", "gone", "tamper") if key in changes}
    folders = places[name]
    nodes = sum(1 for path in folders.iterdir() if path.name not in ("server", "aggregator"))
    return Network(protection_of(name, **changes), folders, nodes, **hooks)


def exact_mean(clients: Iterable[int]) -> dict[str, np.ndarray]:
    weights = {client: 10 + client for client in clients}
    total = sum(weights.values())
    return {
        key: sum(goal(client)[key].astype(float) * w for client, w in weights.items()) / total
        for key in MODEL
    }


def in_process(clients: Iterable[int], **options: Any) -> protocols.Aggregate:
    """Sum the contributions of the first round in plain."""
    flat = np.concatenate([array.astype(float).reshape(-1) for array in MODEL.values()])
    contributions = {}
    for client in clients:
        trained = np.concatenate([a.astype(float).reshape(-1) for a in goal(client).values()])
        contributions[client] = MEAN.encode(trained - flat, 10 + client)
    return protocols.aggregate(contributions, protocol="plain", encoding=MEAN.whole, **options)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_unmodified_fedavg_gets_the_plain_mean_to_the_quantisation_bound(
    places: dict[str, Path], name: str
) -> None:
    grid = network_of(places, name, metrics=("loss",)).grid()
    result = fedavg().start(grid, arrays(), num_rounds=2)
    expected = exact_mean(range(CLIENTS))
    for key, array in result.arrays.items():
        assert array.numpy().dtype == MODEL[key].dtype
        assert np.abs(array.numpy() - expected[key]).max() <= 0.5 / MEAN.encoding.scale + 1e-7
    loss = sum((10 + c) * c / 4 for c in range(CLIENTS)) / sum(10 + c for c in range(CLIENTS))
    assert [*result.train_metrics_clientapp[1]] == ["loss"]
    assert abs(result.train_metrics_clientapp[1]["loss"] - loss) < 1 / MEAN.encoding.scale
    assert result.evaluate_metrics_clientapp[2]["value"] == pytest.approx(
        expected["b"].sum(), abs=1e-3
    )
    assert [r.survivors for r in grid.rounds] == [tuple(range(CLIENTS))] * 2


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_sum_is_that_of_the_protocol_in_one_process_bit_for_bit(
    places: dict[str, Path], name: str
) -> None:
    grid = network_of(places, name).grid()
    fedavg().start(grid, arrays(), num_rounds=1)
    assert np.array_equal(grid.aggregate.integers, in_process(range(CLIENTS)).integers)


@pytest.mark.parametrize(("name", "requests"), REQUESTS.items())
def test_rounds_take_few_requests(places: dict[str, Path], name: str, requests: int) -> None:
    grid = network_of(places, name, ahead=4).grid()
    fedavg().start(grid, arrays(), num_rounds=5)
    preparing = [2, 0, 0, 0, 2] if name == "masking" else [0] * 5
    assert [r.requests for r in grid.rounds] == [requests + more for more in preparing]


def test_an_adaptive_strategy_moves_as_it_does_without_protection(places: dict[str, Path]) -> None:
    def start(grid: Any) -> ArrayRecord:
        strategy = FedAdam(
            min_train_nodes=CLIENTS, min_evaluate_nodes=1, min_available_nodes=CLIENTS
        )
        return strategy.start(grid, arrays(), num_rounds=3).arrays

    protected = start(network_of(places, "masking").grid())
    plain = start(Network(None, places["plain"], CLIENTS))
    for key, array in plain.items():
        assert np.allclose(protected[key].numpy(), array.numpy(), atol=1e-3)


@pytest.mark.parametrize("request_number", range(2, 7))
@pytest.mark.parametrize("name", ["masking", "sharing", "serverless", "paillier"])
def test_a_node_lost_at_any_request_costs_only_its_own_update(
    places: dict[str, Path], name: str, request_number: int
) -> None:
    network = network_of(
        places, name, lost=lambda place, number, _: place == 2 and number >= request_number
    )
    grid = network.grid()
    result = fedavg().start(grid, arrays(), num_rounds=1, timeout=0.3)
    aggregate = grid.aggregate
    assert set(aggregate.survivors) in ({*range(CLIENTS)}, {*range(CLIENTS)} - {2})
    dropped = sorted({*range(CLIENTS)} - {*aggregate.survivors})
    assert np.array_equal(aggregate.integers, in_process(range(CLIENTS), dropped=dropped).integers)
    expected = exact_mean(aggregate.survivors)
    assert np.allclose(result.arrays["b"].numpy(), expected["b"], atol=1e-4)


def rewritten(message: Message, change: Callable[[bytes], bytes]) -> Message:
    """Return a message to a node with every letter in it changed."""
    request, content = split(message.content)
    if request is None:
        return message
    letters = tuple(map(change, request.letters))
    message.content = replace(request, letters=letters).added_to(content)
    return message


def test_a_server_that_shows_one_node_as_alive_and_as_lost_gets_no_sum(
    places: dict[str, Path],
) -> None:
    server = Folder.open(server_folder({"veilsum-folders": str(places["masking"])}))

    def lie(message: Message) -> Message:
        """Tell the nodes 0 and 1 that client 2 is lost, over the server's own signature."""
        if message.metadata.dst_node_id not in (1000, 1001):
            return message

        def without_client_2(letter: bytes) -> bytes:
            if masking.Survivors.label.encode() not in letter[:40]:
                return letter
            told = masking.Survivors.from_bytes(letter)
            alive = masking.pack(masking.unpack(told.alive, CLIENTS) & (np.arange(CLIENTS) != 2))
            lied = replace(told, alive=alive, signature=b"")
            return replace(lied, signature=server.credentials.identity.sign(lied.signed)).to_bytes()

        return rewritten(message, without_client_2)

    network = network_of(places, "masking", tamper=lie)
    grid = network.grid()
    fedavg().start(grid, arrays(), num_rounds=1)
    assert grid.aggregate is None
    confirmed = [
        masking.Confirmed.from_bytes(letter)
        for letter in network.letters
        if address_of(letter).label == masking.Confirmed.label
    ]
    assert len({message.agreed for message in confirmed}) == 2
    by_client = {client_index(message.sender): message for message in confirmed}
    for voters in ((0, 1, 2, 4), (2, 4)):  # all that the server has, and those that fit the list
        signatures = [np.frombuffer(by_client[voter].signature, np.uint8) for voter in voters]
        confirmations = masking.Confirmations(
            session_id=confirmed[0].session_id,
            sender="server",
            recipient="client-3",
            whose=masking.pack(np.isin([0, 1, 2, 4], voters)),
            rows=np.array(signatures),
        )
        signed = replace(
            confirmations, signature=server.credentials.identity.sign(confirmations.signed)
        )
        content = Request(letters=(signed.to_bytes(),)).added_to()
        network.push_messages([Message(content, 1003, "train")])
    assert "refuses 'masking/confirmed' from 'client-0'" in reasons_of(network)
    assert masking.Revealed.label not in labels_of(network)


@pytest.mark.parametrize("name", ["masking", "sharing", "serverless", "paillier"])
def test_letters_altered_on_their_way_to_nodes_are_refused(
    places: dict[str, Path], name: str
) -> None:
    def flip(letter: bytes) -> bytes:
        return letter[:-1] + bytes([letter[-1] ^ 1])

    network = network_of(places, name, tamper=lambda message: rewritten(message, flip))
    grid = network.grid()
    fedavg().start(grid, arrays(), num_rounds=1)
    assert grid.aggregate is None
    assert "signature" in reasons_of(network)


def test_a_model_that_differs_from_node_to_node_gives_no_sum(places: dict[str, Path]) -> None:
    def swap(message: Message) -> Message:
        if message.metadata.dst_node_id == 1003 and "arrays" in message.content:
            zeros = {key: Array(np.zeros_like(array)) for key, array in MODEL.items()}
            message.content = RecordDict({**message.content, "arrays": ArrayRecord(zeros)})
        return message

    for name in ("masking", "sharing"):
        grid = network_of(places, name, tamper=swap).grid()
        fedavg().start(grid, arrays(), num_rounds=1)
        aggregate = grid.aggregate
        assert aggregate is None or 3 not in aggregate.survivors


def test_a_setting_that_differs_from_node_to_node_counts_as_another_model(
    places: dict[str, Path],
) -> None:
    def slow_down(message: Message) -> Message:
        if message.metadata.dst_node_id != 1003 and "config" in message.content:
            config = ConfigRecord({**message.content["config"], "learning-rate": 0.0})
            message.content = RecordDict({**message.content, "config": config})
        return message

    grid = network_of(places, "masking", tamper=slow_down).grid()
    fedavg().start(grid, arrays(), num_rounds=1, train_config=ConfigRecord({"learning-rate": 1.0}))
    assert grid.aggregate is None


def as_metrics(content: RecordDict) -> RecordDict:
    """Return the records with the same settings in a record of another type."""
    return RecordDict({**content, "config": MetricRecord({**content["config"]})})


def with_settings_reversed(content: RecordDict) -> RecordDict:
    """Return the records with the settings the other way round."""
    return RecordDict(
        {**content, "config": ConfigRecord(dict(reversed(content["config"].items())))}
    )


def with_records_reversed(content: RecordDict) -> RecordDict:
    """Return the records the other way round."""
    return RecordDict(dict(reversed(content.items())))


@pytest.mark.parametrize("change", [as_metrics, with_settings_reversed, with_records_reversed])
def test_the_types_and_the_order_of_what_a_node_is_sent_count_as_another_model(
    places: dict[str, Path], change: Callable[[RecordDict], RecordDict]
) -> None:
    def tampered(message: Message) -> Message:
        if message.metadata.dst_node_id == 1003 and "config" in message.content:
            message.content = change(message.content)
        return message

    network = network_of(places, "sharing", tamper=tampered)
    grid = network.grid()
    fedavg().start(grid, arrays(), num_rounds=1, train_config=ConfigRecord({"learning-rate": 1.0}))
    assert grid.rounds[0].survivors == (0, 1, 2, 4)
    assert "model_digest" in reasons_of(network)


@pytest.mark.parametrize("what", ["group", "action", "run"])
def test_another_group_action_or_setting_of_the_run_counts_as_another_model(
    places: dict[str, Path], what: str
) -> None:
    def change(message: Message) -> Message:
        if message.metadata.dst_node_id == 1003 and "arrays" in message.content:
            changes = {"group": {"_group_id": "other"}, "action": {"_message_type": "train.other"}}
            message.metadata.__dict__.update(changes.get(what, {}))
        return message

    network = network_of(places, "sharing", tamper=change)
    if what == "run":
        network.contexts[1003].run_config["learning-rate"] = 0.0
    grid = network.grid()
    fedavg().start(grid, arrays(), num_rounds=1)
    assert grid.rounds[0].survivors == (0, 1, 2, 4)
    assert "model_digest" in reasons_of(network)


def test_a_session_replayed_in_another_run_is_refused(places: dict[str, Path]) -> None:
    network = network_of(places, "sharing")
    fedavg().start(network.grid(), arrays(), num_rounds=1)
    asked = [message for node, message in network.sent if node == 1000]
    (train,) = (message for message in asked if "arrays" in message.content and is_ours(message))
    network.contexts[1000].state.clear()
    network.push_messages([train])
    assert "answers once" in reasons_of(network)


def test_a_context_that_was_rolled_back_gets_no_second_answer(places: dict[str, Path]) -> None:
    kept: dict[str, bytes] = {}

    def remember(place: int, number: int, message: Message) -> bool:
        if place == 0 and number == 4:  # after advertising and sharing, before the masked update
            kept.update(
                {k: [*v] for k, v in network.contexts[1000].state["veilsum.parties"].items()}
            )
            network.train = message
        return False

    network = network_of(places, "masking", lost=remember, ahead=1)
    fedavg().start(network.grid(), arrays(), num_rounds=1)
    network.contexts[1000].state["veilsum.parties"] = ConfigRecord(kept)
    network.push_messages([network.train])
    assert "answers once" in reasons_of(network)


def test_the_party_in_a_context_can_be_neither_altered_nor_made_up(places: dict[str, Path]) -> None:
    def corrupt(place: int, number: int, _: Message) -> bool:
        if place == 0 and number == 3:
            record = network.contexts[1000].state["veilsum.parties"]
            for key, (session, sealed, signature) in [*record.items()]:
                record[key] = [session, sealed[:-1] + bytes([sealed[-1] ^ 1]), signature]
        return False

    network = network_of(places, "masking", lost=corrupt)
    grid = network.grid()
    fedavg().start(grid, arrays(), num_rounds=1)
    assert grid.rounds[0].survivors == (1, 2, 3, 4)
    assert "signature" in reasons_of(network)


def test_a_train_message_that_asks_for_an_update_in_the_open_is_refused(
    places: dict[str, Path],
) -> None:
    network = network_of(places, "masking")
    result = fedavg().start(network, arrays(), num_rounds=1)
    assert not result.arrays
    assert "asks for an update in the open" in reasons_of(network)


@pytest.mark.parametrize("name", ["masking", "sharing", "serverless", "paillier"])
def test_a_server_that_invites_one_client_alone_gets_no_update(
    places: dict[str, Path], name: str
) -> None:
    network = network_of(places, name)
    grid = network.grid()
    alone = Message(RecordDict({"arrays": arrays()}), 1000, "train")
    (reply,) = grid.send_and_receive([alone])
    assert reply.has_error()
    assert "min_survivors is 1, this client asks for 2" in reasons_of(network)
    assert not network.letters


def test_a_holder_opens_no_sum_of_a_client_that_was_invited_alone(places: dict[str, Path]) -> None:
    network = network_of(places, "paillier")
    network.grid().clients()
    folder = Folder.open(server_folder({"veilsum-folders": str(places["paillier"])}))
    aggregator = folder.aggregator("paillier", insecure=True)
    session = aggregator.open_session(
        [0], length=2, encoding=MEAN.whole, directory=folder.credentials.directory
    )
    proposal = Request(sessions=(session.to_bytes(),)).added_to()
    network.push_messages([Message(proposal, 1000 + CLIENTS, "train")])
    assert "min_survivors is 1" in reasons_of(network)


def test_the_sum_of_one_client_is_opened_where_its_node_was_told_so(
    places: dict[str, Path],
) -> None:
    network = Network(
        replace(protection_of("sharing"), options={"holders": 3, "min_survivors": 1}),
        places["sharing"],
        CLIENTS + 3,
    )
    grid = network.grid()
    grid.send_and_receive([Message(RecordDict({"arrays": arrays()}), 1000, "train")])
    assert grid.rounds[0].survivors == (0,)


def test_a_node_without_the_mod_is_left_out_and_said_so(
    places: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    network = network_of(places, "masking")
    grid = network.grid()
    network.protection = None
    with caplog.at_level("WARNING", logger="flwr"):
        assert [*grid.get_node_ids()] == []
    assert "ClientApp(mods=[protection.mod])" in caplog.text


def test_a_node_that_does_not_say_who_it_is_is_waited_for_once_and_taken_when_it_has(
    places: dict[str, Path],
) -> None:
    held: dict[str, Message] = {}

    def silent(place: int, number: int, message: Message) -> bool:
        if place == 4 and number == 1:
            held["asked"] = message
        return place == 4 and number == 1

    network = network_of(places, "masking", lost=silent)
    grid = network.grid()
    for _ in range(3):
        assert sorted(grid.clients()) == [0, 1, 2, 3]
    assert network.asked[1004] == 1
    message = held["asked"]
    reply = app(network.protection)(through_flower(message), network.contexts[1004])
    network.replies[message.metadata.message_id] = through_flower(reply)
    assert sorted(grid.clients()) == [0, 1, 2, 3, 4]


def test_a_node_that_comes_back_is_asked_anew_who_it_is(places: dict[str, Path]) -> None:
    network = network_of(places, "masking", lost=lambda place, number, _: place == 4 and number < 2)
    grid = network.grid()
    assert sorted(grid.clients()) == [0, 1, 2, 3]
    away = network.contexts.pop(1004)
    assert sorted(grid.clients()) == [0, 1, 2, 3]
    network.contexts[1004] = away
    assert sorted(grid.clients()) == [0, 1, 2, 3, 4]


def test_a_node_of_a_foreign_federation_is_left_out(
    places: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deal(tmp_path / "other", clients=1)
    network = network_of(places, "masking")
    network.contexts[1000].node_config["veilsum-folder"] = str(tmp_path / "other" / "client-0")
    with caplog.at_level("WARNING", logger="flwr"):
        assert [*network.grid().get_node_ids()] == [1001, 1002, 1003, 1004]
    assert "node 1000 takes no part" in caplog.text


def test_holders_and_key_holders_are_no_nodes_for_the_strategy(places: dict[str, Path]) -> None:
    grid = network_of(places, "paillier").grid()
    assert [*grid.get_node_ids()] == [1000 + client for client in range(CLIENTS)]


def test_a_failed_round_leaves_the_model_and_tells_why(places: dict[str, Path]) -> None:
    network = network_of(places, "masking", lost=lambda place, number, _: place > 1 and number > 1)
    grid = network.grid()
    result = fedavg().start(grid, arrays(), num_rounds=1, timeout=0.2)
    assert not result.arrays
    assert isinstance(grid.rounds[0].failure, ProtocolError)


def test_an_update_beyond_the_bound_costs_its_client_the_round(places: dict[str, Path]) -> None:
    narrow = WeightedMean(encoding=FixedPoint.binary(16, bound=3.0), max_weight=100)
    largest = {c: max(np.abs(goal(c)[k] - MODEL[k]).max() for k in MODEL) for c in range(CLIENTS)}
    within = tuple(client for client, size in largest.items() if size <= 3.0)
    assert within != tuple(range(CLIENTS))
    grid = network_of(places, "sharing", mean=narrow).grid()
    fedavg().start(grid, arrays(), num_rounds=1)
    assert grid.rounds[0].survivors == within


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mean": replace(MEAN, encoding=FixedPoint.binary(16, bound=1e-3))}, "within the bound"),
        ({"mean": replace(MEAN, max_weight=9)}, "'num-examples' is no integer from 1 to 9"),
        ({"weighted_by": "loss"}, "'loss' is no integer from 1 to 100"),
        ({"weighted_by": "number"}, "'number' is no integer"),
        ({"metrics": ("accuracy",)}, "'accuracy' is missing or no number"),
    ],
)
def test_what_is_wrong_with_a_reply_is_told_without_what_the_client_has_measured(
    places: dict[str, Path], changes: dict[str, Any], reason: str
) -> None:
    network = network_of(places, "sharing", **changes)
    grid = network.grid()
    fedavg().start(grid, arrays(), num_rounds=1)
    assert grid.aggregate is None
    refused = [error for error in network.errors if error.startswith("reply")]
    assert len(refused) == CLIENTS
    assert len({*refused}) == 1  # of five clients with five weights and losses
    assert reason in refused[0]


@pytest.mark.parametrize(
    ("roster", "length", "encoding", "reason"),
    [
        ((0, 1, 2), 9, FixedPoint.binary(16, bound=8.0), "its encoding is not this node's"),
        ((0, 1, 2), 4, MEAN.whole, "it sums 4 coordinates, and this node has 9"),
        ((1, 2, 3), 9, MEAN.whole, "client-0 is not invited"),
    ],
)
def test_a_node_trains_for_no_session_that_does_not_fit(
    places: dict[str, Path], roster: tuple[int, ...], length: int, encoding: Any, reason: str
) -> None:
    network = network_of(places, "masking")
    folder = Folder.open(server_folder({"veilsum-folders": str(places["masking"])}))
    session = folder.aggregator("masking").open_session(
        roster, length=length, encoding=encoding, directory=folder.credentials.directory
    )
    digest = protection_of("masking").digest_of(
        Message(RecordDict({"arrays": arrays()}), 1000, "train"), network.contexts[1000].run_config
    )
    bound = replace(session, model_digest=digest)
    asked = Request(sessions=(bound.to_bytes(),), trains=bound.id)
    content = asked.added_to(RecordDict({"arrays": arrays()}))
    network.push_messages([Message(content, 1000, "train")])
    assert reason in reasons_of(network)
    assert not network.letters


def test_a_key_holder_trains_on_nothing(places: dict[str, Path]) -> None:
    network = network_of(places, "paillier")
    folder = Folder.open(server_folder({"veilsum-folders": str(places["paillier"])}))
    session = folder.aggregator("paillier", insecure=True).open_session(
        range(CLIENTS), length=9, encoding=MEAN.whole, directory=folder.credentials.directory
    )
    asked = Request(sessions=(session.to_bytes(),), trains=session.id)
    content = asked.added_to(RecordDict({"arrays": arrays()}))
    network.push_messages([Message(content, 1000 + CLIENTS, "train")])
    assert "key-holder holds keys or shares, and trains on nothing" in reasons_of(network)


def test_what_a_client_was_not_asked_for_stays_with_it(places: dict[str, Path]) -> None:
    grid = network_of(places, "masking").grid()
    result = fedavg().start(grid, arrays(), num_rounds=1)
    assert not result.train_metrics_clientapp[1]


def test_train_messages_that_differ_or_go_to_strangers_are_wrong_usage(
    places: dict[str, Path],
) -> None:
    grid = network_of(places, "paillier").grid()
    one, other, holder = (
        Message(RecordDict({"arrays": ArrayRecord([np.full(2, n)])}), 1000 + n, "train")
        for n in (0, 1, 5)
    )
    with pytest.raises(ValueError, match="train messages differ"):
        grid.send_and_receive([one, other])
    with pytest.raises(ValueError, match="no client"):
        grid.send_and_receive([holder])
    query = Message(RecordDict(), 1000, "query")
    with pytest.raises(ValueError, match="send them apart"):
        grid.send_and_receive([one, query])
    with pytest.raises(ValueError, match="use send_and_receive"):
        grid.push_messages([one])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"metrics": "loss"}, "a tuple of names"),
        ({"metrics": ("num-examples",)}, "leave it out"),
        ({"ahead": 0}, "1 to 255"),
        ({"patience": 0.0}, "above 0"),
    ],
)
def test_a_protection_refuses_options_that_make_no_sense(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        Protection(**options)


def test_nodes_find_their_folders_by_setting_or_by_number(places: dict[str, Path]) -> None:
    run = {"veilsum-folders": str(places["paillier"])}
    assert node_folder({"veilsum-folder": "/elsewhere"}, {}) == Path("/elsewhere")
    assert node_folder({"partition-id": 4}, run).name == "client-4"
    assert node_folder({"partition-id": 5}, run).name == "key-holder"
    with pytest.raises(FileNotFoundError, match="has none for node 6"):
        node_folder({"partition-id": 6}, run)
    with pytest.raises(FileNotFoundError, match="no setting 'veilsum-folders'"):
        node_folder({"partition-id": 0}, {})
    with pytest.raises(FileNotFoundError, match="is not a directory"):
        server_folder({"veilsum-folders": "/nowhere"})


def test_a_folder_that_cannot_be_used_is_told_to_the_node_and_not_to_the_server(
    places: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = network_of(places, "masking")
    network.contexts[1000].node_config["veilsum-folder"] = str(tmp_path / "gone")
    with caplog.at_level("ERROR", logger="flwr"):
        assert [*network.grid().get_node_ids()] == [1001, 1002, 1003, 1004]
    assert str(tmp_path) in caplog.text
    assert reasons_of(network) == "the node cannot use its folder; its own log says why"


@pytest.mark.parametrize("request_number", range(1, 6))
def test_a_node_for_which_the_superlink_answers_is_lost(
    places: dict[str, Path], request_number: int
) -> None:
    network = network_of(
        places, "masking", gone=lambda place, number, _: place == 2 and number >= request_number
    )
    grid = network.grid()
    strategy = FedAvg(min_train_nodes=4, min_evaluate_nodes=1, min_available_nodes=4)
    strategy.start(grid, arrays(), num_rounds=1)
    (done,) = grid.rounds
    assert set(done.survivors) in ({0, 1, 3, 4}, {*range(CLIENTS)})
    dropped = [2] if 2 not in done.survivors else []
    expected = in_process(range(CLIENTS), dropped=dropped)
    assert np.array_equal(grid.aggregate.integers, expected.integers)


def test_no_client_is_offered_while_the_key_holder_is_missing(
    places: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    network = network_of(places, "paillier")
    holder = network.contexts.pop(1000 + CLIENTS)
    grid = network.grid()
    with caplog.at_level("WARNING", logger="flwr"):
        assert [*grid.get_node_ids()] == [*grid.get_node_ids()] == []
    assert caplog.text.count("no node is key-holder; start more SuperNodes") == 1
    network.contexts[1000 + CLIENTS] = holder
    assert [*grid.get_node_ids()] == [1000 + client for client in range(CLIENTS)]


def test_a_holder_more_or_less_is_not_waited_for(places: dict[str, Path]) -> None:
    network = network_of(places, "threshold_paillier")
    del network.contexts[1000 + CLIENTS]
    assert len([*network.grid().get_node_ids()]) == CLIENTS
    del network.contexts[1001 + CLIENTS]
    assert [*network.grid().get_node_ids()] == []


def test_a_strategy_that_selects_too_few_gets_a_failed_round(places: dict[str, Path]) -> None:
    network = network_of(places, "masking")
    network.protection = replace(network.protection, options={"min_survivors": 4, "threads": 1})
    grid = network.grid()
    strategy = FedAvg(fraction_train=0.4, min_train_nodes=2, min_available_nodes=CLIENTS)
    result = strategy.start(grid, arrays(), num_rounds=1)
    assert not result.arrays
    assert "min_survivors: got 4, expected 1 to 2" in str(grid.rounds[0].failure)


def test_a_sum_of_impossible_weights_is_a_failed_round(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(mean: WeightedMean, update: Any, weight: int) -> np.ndarray:
        return np.append(mean.encoding.quantise(update) * weight, -weight)

    monkeypatch.setattr(WeightedMean, "encode", spoiled)
    grid = network_of(places, "masking").grid()
    result = fedavg().start(grid, arrays(), num_rounds=1)
    assert not result.arrays
    assert grid.aggregate is None
    assert "sum of weights" in str(grid.rounds[0].failure)


def test_an_app_that_replies_an_error_costs_its_node_the_round(places: dict[str, Path]) -> None:
    network = network_of(places, "masking")
    network.contexts[1003].node_config["fails"] = True
    grid = network.grid()
    fedavg().start(grid, arrays(), num_rounds=1)
    assert grid.rounds[0].survivors == (0, 1, 2, 4)
    assert "no data today" in reasons_of(network)


def test_what_stands_in_a_context_for_a_party_has_to_be_one(places: dict[str, Path]) -> None:
    def replace_party(place: int, number: int, _: Message) -> bool:
        if place == 0 and number == 3:
            record = network.contexts[1000].state["veilsum.parties"]
            record.update({key: ["no", "party"] for key in record})
        return False

    network = network_of(places, "masking", lost=replace_party)
    grid = network.grid()
    fedavg().start(grid, arrays(), num_rounds=1)
    assert grid.rounds[0].survivors == (1, 2, 3, 4)
    assert "the party in it was altered" in reasons_of(network)


def test_other_messages_pass_the_grid_as_they_are(places: dict[str, Path]) -> None:
    network = network_of(places, "masking")
    grid = network.grid()
    record = ArrayRecord({"b": Array(np.full(2, 3.0))})
    message = Message(RecordDict({"arrays": record}), 1001, "evaluate")
    (identifier,) = grid.push_messages([message])
    (reply,) = grid.pull_messages([identifier])
    assert reply.content["metrics"]["value"] == 6.0
    assert grid.run == RUN


def is_ours(message: Message) -> bool:
    return split(message.content)[0] is not None


def reasons_of(network: Network) -> str:
    """Return why nodes refused something, all together."""
    return "\n".join(network.errors)


def labels_of(network: Network) -> set[str]:
    """Return the labels of all letters that nodes have sent."""
    return {address_of(letter).label for letter in network.letters}
