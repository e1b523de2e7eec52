"""What is done about each container that a lost key protected or signed. Every task ends; none is dropped in silence.

LISTED -> RENEWED -> REENCRYPTING -> REPLACED -> DONE
   |         |             |------------|----> FAILED      a worker could not do it: the reason stands beside it
   |---------|-------------------------------> FOR_SENDER  the system has no key for it: its sender or a reader does it
   |-----------------------------------------> UNPROVEN    signed by a lost key, and the audit log does not show that it
                                                           is older than the loss: refused, here as by every reader

What cannot be brought back is removed last: a run that finds the new container whole writes down when the old one may
be removed, and a later run, then or after, looks at the new container once more right before it removes the old one.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.respond_to_compromise.ports import Surroundings
from functions.respond_to_compromise.replacements import require_replacement
from pqtransfer.audit.events import AuditFacts, EventKind, Target
from pqtransfer.aws.failures import CloudAccessDeniedError
from pqtransfer.crypto.manifest import Manifest, SignedManifest, sign_manifest
from pqtransfer.errors import IntegrityError, PqtransferError, UnavailableError
from pqtransfer.keys.lifecycle import may_verify
from pqtransfer.keys.participant import ParticipantKind
from pqtransfer.protection.incidents import ENDED_TASKS, Incident, Task, TaskState, name_replacement
from pqtransfer.protection.renewing import EnvelopeRenewer, Renewal
from pqtransfer.protection.settling import release_dependencies
from pqtransfer.protection.signature_trust import MANIFEST_DIGEST, digest_manifest
from pqtransfer.transfers.container import read_manifest, read_resigned_manifest
from pqtransfer.transfers.dependencies import KeyRole, iterate_all
from pqtransfer.transfers.folder import RESIGNED_NAME, DocumentChangedError, Folder, ObjectExistsError
from pqtransfer.transfers.ledger import FINAL_STATES, TransferNotFoundError, TransferRecord, TransferState
from pqtransfer.transfers.request import TransferKind, TransferRequest

ACTOR = "incident-response"
THREADS = 16
MOST_TRIES = 30
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=10), timedelta(minutes=30)
"""What cannot be had is asked for ever less often, for half a day."""
RESIGNED_LIMIT_BYTES = 1 << 20
REENCRYPTED_BY_AND_BY = {TaskState.RENEWED, TaskState.REENCRYPTING, TaskState.REPLACED}


@dataclass(frozen=True)
class TaskWorker:
    """Works off the tasks of incidents. Each `..._all` returns True when nothing of its kind is left."""

    around: Surroundings
    now: Callable[[], datetime]
    has_time: Callable[[], bool]
    removal_wait: timedelta

    def all_tasks(self, incident_id: str) -> Iterator[Task]:
        """Every task."""
        cursor: str | None = None
        while True:
            page = self.around.incidents.list_tasks(incident_id, cursor=cursor)
            yield from page.tasks
            cursor = page.cursor
            if cursor is None:
                return

    def list_all(self, incident: Incident) -> bool:
        """List every container that a revoked key protected or signed."""
        with ThreadPoolExecutor(THREADS) as pool:
            for key_id in incident.key_ids:
                for role in KeyRole:
                    found = iterate_all(self.around.index, key_id, role)
                    for _ in pool.map(lambda each, role=role: self._list(incident, each, role), found):
                        pass
        return True

    def renew_all(self, incident: Incident) -> bool:
        """Wrap anew what is listed, and renew signatures that are proven older than the loss."""
        return self._for_each(incident, {TaskState.LISTED}, self._renew)

    def reencrypt_all(self, incident: Incident) -> bool:
        """Have workers re-encrypt what the lost key could open, and remove the old containers of what is done."""
        return self._for_each(incident, REENCRYPTED_BY_AND_BY, self._reencrypt)

    def next_due(self, incident: Incident) -> datetime | None:
        """When the next task that has not ended is due; None when there is none."""
        waiting = (task for task in self.all_tasks(incident.incident_id) if task.state not in ENDED_TASKS)
        return min((task.due_at or self.now() for task in waiting), default=None)

    def _list(self, incident: Incident, transfer_id: str, role: KeyRole) -> None:
        task = Task(
            transfer_id=transfer_id, roles=(role,), replacement_id=name_replacement(incident.report, transfer_id)
        )
        self.around.incidents.add_tasks(incident.incident_id, [task])

    def _for_each(self, incident: Incident, states: set[TaskState], work: Callable[[Incident, Task], Task]) -> bool:
        def attempt(task: Task) -> bool:
            if not self.has_time():
                return False
            after = self._attempt(incident, task, work)
            if after != task:
                self.around.incidents.change_task(incident.incident_id, task, after)
            return after.state not in states

        waiting = [task for task in self.all_tasks(incident.incident_id) if task.state in states]
        due = [task for task in waiting if task.due_at is None or task.due_at <= self.now()]
        with ThreadPoolExecutor(THREADS) as pool:
            return all(list(pool.map(attempt, due))) and len(due) == len(waiting)

    def retry_failed(self, incident: Incident) -> int:
        """List anew what failed, and return how much that is. A re-encryption that came to nothing gets another id.

        `remove_at` stays: it says that the container was once REPLACED, and may have been removed in part.
        """
        failed = [task for task in self.all_tasks(incident.incident_id) if task.state is TaskState.FAILED]
        for task in failed:
            replacement_id = task.replacement_id
            if self._came_to_nothing(incident, task):
                replacement_id = name_replacement(incident.report, task.transfer_id, after=replacement_id)
            again = task.change(
                state=TaskState.LISTED,
                replacement_id=replacement_id,
                tries=0,
                retry_at=None,
                outcome=None,
            )
            self.around.incidents.change_task(incident.incident_id, task, again)
        return len(failed)

    def _came_to_nothing(self, incident: Incident, task: Task) -> bool:
        replacement = self._find_record(task.replacement_id)
        if replacement is None or replacement.state not in FINAL_STATES:
            return False
        if replacement.state is not TransferState.COMPLETED:
            return True
        try:
            self._require_replacement(incident, task, replacement)
        except UnavailableError:
            raise
        except PqtransferError:
            return True
        return False

    def _attempt(self, incident: Incident, task: Task, work: Callable[[Incident, Task], Task]) -> Task:
        try:
            return work(incident, task).change(tries=0, retry_at=None)
        except (UnavailableError, DocumentChangedError) as error:
            if task.tries >= MOST_TRIES:
                return task.change(state=TaskState.FAILED, outcome=_explain(error))
            wait = min(FIRST_RETRY * 2**task.tries, LONGEST_RETRY)
            return task.change(tries=task.tries + 1, retry_at=self.now() + wait)
        except IntegrityError as error:
            return task.change(state=TaskState.FAILED, outcome=_explain(error))
        except CloudAccessDeniedError as error:  # a role that lacks a permission, or does not trust us: an operator can
            return task.change(state=TaskState.FAILED, outcome=_explain(error))
        except PqtransferError as error:  # no key for it, or none that fits: somebody else has to
            return task.change(state=TaskState.FOR_SENDER, outcome=_explain(error))

    def _renew(self, incident: Incident, task: Task) -> Task:
        renewed = self._renewer(incident).renew(task.transfer_id, correlation_id=incident.incident_id, rescue=True)
        if renewed.renewal is Renewal.GONE:
            return self._settle_missing(incident, task)
        container = self._container(task.transfer_id)
        manifest = read_manifest(container)
        after = task.change(
            state=TaskState.RENEWED, epoch=renewed.epoch, keyless=renewed.keyless, dropped=renewed.dropped
        )
        if self._counts(manifest) or self._is_resigned(container, manifest):
            return after
        since = incident.report.since
        if since is None or not self.around.evidence.proves_older(manifest, than=since):
            return after.change(
                state=TaskState.UNPROVEN,
                outcome="the audit log does not show that its manifest was signed before the key was lost",
            )
        self._resign(incident, container, manifest)
        return after

    def _settle_missing(self, incident: Incident, task: Task) -> Task:
        """No envelope: of a transfer that goes on, it comes later; of one that ended, never.

        An earlier run may have begun to remove it, and failed: that is brought to its end, after one more look.
        """
        record = self._find_record(task.transfer_id)
        if record is not None and record.state not in FINAL_STATES:
            return task
        if task.remove_at is not None:
            replacement = self._find_record(task.replacement_id)
            if replacement is None or replacement.state is not TransferState.COMPLETED:
                return task.change(
                    state=TaskState.FAILED,
                    outcome="its envelope is gone, and what it was re-encrypted as is not whole any more: restore one",
                )
            self._require_replacement(incident, task, replacement)
            return self._remove(incident, task)
        if record is not None:
            release_dependencies(task.transfer_id, self._container(task.transfer_id), index=self.around.index)
        return task.change(state=TaskState.DONE, outcome="no container stands there")

    def _resign(self, incident: Incident, container: Folder, manifest: SignedManifest) -> None:
        """The same manifest, signed by the key that its sender has now, beside the one that stays as it is."""
        key = self._renewer(incident).read_signing_key(manifest.body.sender)
        resigned = sign_manifest(manifest.body, key)
        self.around.trail.record(
            AuditFacts(
                kind=EventKind.CRYPTOGRAPHY,
                action="manifest.sign",
                actor=ACTOR,
                target=Target(type="transfer", id=manifest.body.transfer_id),
                succeeded=True,
                correlation_id=incident.incident_id,
                key_id=key.public_key.key_id,
                suite=manifest.body.suite,
                details={
                    "replaces": manifest.signing_key.key_id,
                    "in_the_name_of": manifest.body.sender,
                    MANIFEST_DIGEST: digest_manifest(resigned),
                },
            )
        )
        document = resigned.to_json()
        try:
            container.create_document(RESIGNED_NAME, document)
        except ObjectExistsError:
            before = container.read_document(RESIGNED_NAME, limit_bytes=RESIGNED_LIMIT_BYTES)
            container.replace_document(RESIGNED_NAME, document, etag=before.etag)

    def _reencrypt(self, incident: Incident, task: Task) -> Task:
        if not task.is_exposed:
            return task.change(state=TaskState.DONE, outcome="its envelope is signed anew")
        replacement = self._find_record(task.replacement_id)
        if replacement is None:
            return self._ask(incident, task)
        if replacement.state is TransferState.COMPLETED:
            self._require_replacement(incident, task, replacement)
            if task.state is TaskState.REPLACED:
                return self._remove(incident, task)
            return task.change(state=TaskState.REPLACED, remove_at=self.now() + self.removal_wait)
        if replacement.state in FINAL_STATES:
            reason = replacement.failure.message if replacement.failure else "it was cancelled"
            return task.change(state=TaskState.FAILED, outcome=f"it was not re-encrypted: {reason}"[:1000])
        if task.state is TaskState.RENEWED:  # recorded, and maybe not on the queue
            self._submit(incident, replacement.request)
        return task.change(state=TaskState.REENCRYPTING)

    def _ask(self, incident: Incident, task: Task) -> Task:
        manifest = read_manifest(self._container(task.transfer_id))
        sender = self.around.registry.load(manifest.body.sender)
        if sender.participant.kind is not ParticipantKind.MANAGED:
            return task.change(
                state=TaskState.FOR_SENDER,
                outcome=f"{sender.name} keeps its own keys, and nobody else can sign for it: it sends the model again",
            )
        readers = self._renewer(incident).find_readers(task.transfer_id)
        self._submit(incident, self._make_request(incident, task, manifest.body, readers))
        return task.change(state=TaskState.REENCRYPTING)

    def _make_request(
        self, incident: Incident, task: Task, manifest: Manifest, recipients: tuple[str, ...]
    ) -> TransferRequest:
        return TransferRequest.create(
            transfer_id=task.replacement_id,
            kind=TransferKind.REENCRYPT,
            source=f"s3://{self.around.containers.bucket}/transfers/{task.transfer_id}/",
            sender=manifest.sender,
            recipients=recipients,
            suite=manifest.suite,
            correlation_id=incident.incident_id,
        )

    def _submit(self, incident: Incident, request: TransferRequest) -> None:
        key = self._renewer(incident).read_signing_key(request.sender)
        self.around.requests.submit(request, key, at=self.now())

    def _remove(self, incident: Incident, task: Task) -> Task:
        """The new container was looked at a moment ago: the old one is not used any more, and is removed."""
        self.around.ledger.supersede(task.transfer_id, by=task.replacement_id)
        self.around.trail.record(
            AuditFacts(
                kind=EventKind.CRYPTOGRAPHY,
                action="model.reencrypt",
                actor=ACTOR,
                target=Target(type="transfer", id=task.transfer_id),
                succeeded=True,
                correlation_id=incident.incident_id,
                details={"reencrypted_as": task.replacement_id},
            )
        )
        self.around.containers.remove_model(task.transfer_id)
        release_dependencies(task.transfer_id, self._container(task.transfer_id), index=self.around.index)
        return task.change(state=TaskState.DONE, remove_at=None, outcome="its old payload and envelope are deleted")

    def _require_replacement(self, incident: Incident, task: Task, replacement: TransferRecord) -> None:
        old = self._container(task.transfer_id)
        require_replacement(
            self._make_request(incident, task, read_manifest(old).body, replacement.request.recipients),
            replacement,
            old=old,
            new=self._container(task.replacement_id),
            registry=self.around.registry,
            renewer=self._renewer(incident),
            lost_key_ids=incident.key_ids,
        )

    def _counts(self, manifest: SignedManifest) -> bool:
        key = self.around.registry.load(manifest.body.sender).find_key(manifest.signing_key.key_id)
        return key is not None and key.public_key == manifest.signing_key and may_verify(key.state)

    def _is_resigned(self, container: Folder, manifest: SignedManifest) -> bool:
        resigned = read_resigned_manifest(container, manifest)
        return resigned is not None and self._counts(resigned)

    def _renewer(self, incident: Incident) -> EnvelopeRenewer:
        return self.around.renewer_for(incident.incident_id)

    def _container(self, transfer_id: str) -> Folder:
        return self.around.containers.container(f"transfers/{transfer_id}/")

    def _find_record(self, transfer_id: str) -> TransferRecord | None:
        try:
            return self.around.ledger.get(transfer_id)
        except TransferNotFoundError:
            return None


def _explain(error: PqtransferError) -> str:
    return f"{error.code}: {error}"[:1000]
