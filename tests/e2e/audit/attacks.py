"""What somebody does to the log who can write its bucket and its table, and what that is called when it is found."""

from collections.abc import Callable
from dataclasses import dataclass

from pqtransfer.audit.checkpoints import Checkpoint, sign_checkpoint
from pqtransfer.audit.note_keys import NoteSigner
from pqtransfer.audit.positions import ProducerPosition
from pqtransfer.audit.sequencing import IncomingBatch, LogState, read_batch, read_edge, sequence_batch
from pqtransfer.audit.tiles import encode_bundle, list_tiles, split_entries
from pqtransfer.crypto.canonical_json import write_canonical_json
from tests.e2e.audit.scene import Scene, make_facts, read_size
from tests.unit.audit.samples import make_event

BUNDLE, TILE = "tile/entries/000", "tile/0/000"


@dataclass(frozen=True)
class Attack:
    """`found`: the kinds of finding that name it. `evidence`: the file of which both versions must be preserved."""

    name: str
    commit: Callable[[Scene], None]
    found: tuple[str, ...]
    evidence: str = BUNDLE


def _rewrite_entries(scene: Scene, change: Callable[[list[bytes]], None]) -> None:
    entries = list(split_entries(scene.read(BUNDLE), path=BUNDLE))
    change(entries)
    scene.overwrite(BUNDLE, encode_bundle(entries))


def change_entry(scene: Scene) -> None:
    """It did not succeed, they say."""

    def change(entries: list[bytes]) -> None:
        entries[17] = entries[17].replace(b'"status_id":1', b'"status_id":2')

    _rewrite_entries(scene, change)


def delete_entry(scene: Scene) -> None:
    """It never happened."""
    _rewrite_entries(scene, lambda entries: entries.pop(17) and None)


def insert_entry(scene: Scene) -> None:
    """It happened, too."""
    _rewrite_entries(scene, lambda entries: entries.insert(17, make_event().to_json()))


def reorder_entries(scene: Scene) -> None:
    """It happened later."""

    def change(entries: list[bytes]) -> None:
        entries[17], entries[99] = entries[99], entries[17]

    _rewrite_entries(scene, change)


def truncate_tail(scene: Scene) -> None:
    """The last entries are gone, with the tiles over them."""
    for path in scene.list_keys("tile/"):
        if ".p/" in path:
            scene.remove(path)


def swap_tile(scene: Scene) -> None:
    """Two hashes of a tile change places."""
    data = scene.read(TILE)
    scene.overwrite(TILE, data[32:64] + data[:32] + data[64:])


def replace_log(scene: Scene) -> None:
    """Every file is of another log of the same size, under the checkpoint that was signed."""
    for path, data in make_other_log(scene.state).items():
        scene.overwrite(path, data)


def sign_with_own_keys(scene: Scene, signers: list[NoteSigner]) -> None:
    """Every file is of another log, and its checkpoint is signed: with other keys."""
    files = make_other_log(scene.state)
    for path, data in files.items():
        scene.overwrite(path, data)
    other = Checkpoint(scene.deployment.audit_origin, scene.state.size, bytes(32))
    scene.overwrite("checkpoint", sign_checkpoint(other, signers, time_seconds=1).to_bytes())


def roll_checkpoint_back(scene: Scene) -> None:
    """An older checkpoint, truly signed and cosigned, is shown again."""
    now = read_size(scene.read("checkpoint"))
    older = next(each for each in scene.versions("checkpoint") if read_size(each) < now)
    scene.overwrite("checkpoint", older)


def set_state_back(scene: Scene) -> None:
    """The sequencer shall sign another history of the same numbers."""
    scene.replace_item("state", LogState(origin=scene.deployment.audit_origin).to_json().decode())


def move_position_on(scene: Scene) -> None:
    """The sequencer shall take a producer's next events for old ones."""
    trail = scene.make_trail("e2e-victim")
    scene.write(2, trail=trail)
    position = scene.states.read_positions([trail.producer])[trail.producer]
    moved = ProducerPosition(last_sequence=position.last_sequence + 5, recent=position.recent)
    scene.replace_item(f"producer#{trail.producer}", write_canonical_json(moved).decode())


def drop_events(scene: Scene) -> None:
    """Some of a producer's events never reach the log; in the end it sends them again."""
    trail = scene.make_trail("e2e-silenced")
    trail.record(make_facts(1))
    trail._last_number += 3
    scene.write(1, trail=trail)

    def send_again() -> None:
        trail._last_number = 1
        scene.write(3, trail=trail)

    scene.undo_later(send_again)


def make_other_log(state: LogState) -> dict[str, bytes]:
    """The files of another log with the same origin and size."""
    files: dict[str, bytes] = {}
    entries = [make_event(sequence=number, producer="mallory/1").to_json() for number in range(1, state.size + 1)]
    empty = LogState(origin=state.origin)
    incoming: IncomingBatch = read_batch(entries)
    batch = sequence_batch(empty, read_edge(empty, lambda path: files[path]), incoming, positions={})
    wanted = {tile.path for tile in list_tiles(state.size)}
    return {path: data for path, data in batch.files.items() if path in wanted}


ATTACKS = [
    Attack("an entry is changed", change_entry, ("entry-changed",)),
    Attack("an entry is deleted", delete_entry, ("entry-deleted",)),
    Attack("an entry is inserted", insert_entry, ("entry-inserted",)),
    Attack("entries are reordered", reorder_entries, ("entries-reordered",)),
    Attack("a tile is swapped", swap_tile, ("tile-changed",), TILE),
    Attack("the tail is truncated", truncate_tail, ("log-truncated",), ""),
    Attack("the whole log is replaced", replace_log, ("tree-replaced",), "checkpoint"),
    Attack("the checkpoint is rolled back", roll_checkpoint_back, ("log-rolled-back",), "checkpoint"),
    Attack("the state is set back", set_state_back, ("state-changed",), ""),
    Attack("a producer's position is moved on", move_position_on, ("events-withheld",), ""),
    Attack("a producer's events are dropped", drop_events, ("sequence-gap",), ""),
]
