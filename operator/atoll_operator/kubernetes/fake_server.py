"""The state of an API server in memory: versions, preconditions, owners, and what changed.

Small and typed. What it leaves out of a real one: schemas and defaults (`check` may refuse),
permissions, namespaces that have to exist, conversion, managed fields (server-side apply knows
one manager and replaces lists whole), and that an unconditional replacement is refused for
custom resources. Garbage is collected at once, without finalizers of its own. No faults and no
waiting: those are `fake_api`'s.
"""

import copy
import itertools
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from atoll_operator.errors import (
    AlreadyExistsError,
    ConflictError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from atoll_operator.kubernetes.api import (
    Changed,
    Json,
    Key,
    Page,
    Propagation,
    Removed,
    Resource,
    Selection,
    WatchEvent,
    key_of,
    version_of,
)
from atoll_operator.kubernetes.field_selector import fields_match
from atoll_operator.kubernetes.label_selector import matches
from atoll_operator.kubernetes.merging import applied, merge_patched

Check = Callable[[Resource, Json, Json | None], str]
"""(resource, new, old) -> why the server refuses that, or nothing."""
_KEPT: Final = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "generation")
"""Metadata that no client changes."""


@dataclass(frozen=True)
class _Change:
    """One step of the history."""

    version: int
    resource: Resource
    before: Json | None
    after: Json | None


class FakeServer:
    """Several `FakeApi` may share one, as processes share a server."""

    def __init__(
        self, now: Callable[[], float] = lambda: 0.0, check: Check = lambda *_: ""
    ) -> None:
        self.listeners: set[Callable[[], None]] = set()
        """Called after every change."""
        self._now = now
        self._check = check
        self._objects: defaultdict[Resource, dict[Key, Json]] = defaultdict(dict)
        self._last_applied: dict[tuple[Resource, Key], Json] = {}
        self._history: list[_Change] = []
        self._version = 1
        self._forgotten = 0
        self._uids = itertools.count(1)
        self._lists: dict[str, list[Json]] = {}

    @property
    def version(self) -> str:
        """Of the newest state."""
        return str(self._version)

    def objects(self, resource: Resource) -> dict[Key, Json]:
        """Every object of a kind, copied."""
        return copy.deepcopy(self._objects[resource])

    # What clients ask for.

    def create(self, resource: Resource, body: Json) -> Json:
        """A new object."""
        new = copy.deepcopy(body)
        metadata = new["metadata"]
        if "resourceVersion" in metadata:
            raise InvalidError("resourceVersion must not be set on objects to be created")
        serial = next(self._uids)
        metadata.setdefault("name", f"{metadata.get('generateName', '')}{serial:05d}")
        if key_of(new) in self._objects[resource]:
            raise AlreadyExistsError(f'{resource.plural} "{key_of(new).name}" already exists')
        metadata["uid"] = str(uuid.UUID(int=serial))
        metadata["creationTimestamp"] = self._timestamp()
        if "spec" in new:
            metadata["generation"] = 1
        if resource.has_status:
            new.pop("status", None)
        self._refuse(resource, new, None)
        return self._write(resource, None, new)

    def get(self, resource: Resource, key: Key) -> Json:
        """The newest state."""
        return copy.deepcopy(self._found(resource, key))

    def list_page(self, selection: Selection, limit: int, continue_token: str) -> Page:
        """The state of one version, page by page."""
        if continue_token:
            version, _, _ = continue_token.partition(":")
            rest = self._lists.pop(continue_token, None)
            if rest is None:
                raise GoneError("the provided continue parameter is too old")
        else:
            version = self.version
            held = self._objects[selection.resource]
            rest = [copy.deepcopy(held[key]) for key in sorted(held) if _in(selection, held[key])]
        size = limit or len(rest)
        token = f"{version}:{next(self._uids)}" if len(rest) > size else ""
        if token:
            self._lists[token] = rest[size:]
        return Page(rest[:size], version, token)

    def replace(self, resource: Resource, body: Json, subresource: str) -> Json:
        """The object, or its status, as it shall be."""
        return self._update(resource, key_of(body), lambda _: copy.deepcopy(body), subresource)

    def merge_patch(self, resource: Resource, key: Key, patch: Json, subresource: str) -> Json:
        """Some fields as they shall be."""
        return self._update(resource, key, lambda old: merge_patched(old, patch), subresource)

    def apply(self, resource: Resource, body: Json) -> Json:
        """The fields of one manager as they shall be."""
        key = key_of(body)
        place = resource, key
        if key in self._objects[resource]:
            last = self._last_applied.get(place, {})
            result = self._update(resource, key, lambda old: applied(old, body, last), "")
        else:
            result = self.create(resource, body)
        self._last_applied[place] = copy.deepcopy(body)
        return result

    def delete(self, resource: Resource, key: Key, propagation: Propagation, uid: str) -> None:
        """No more object, or one that waits for its finalizers."""
        old = self._found(resource, key)
        if uid and old["metadata"]["uid"] != uid:
            raise ConflictError(f"precondition failed: the UID is {old['metadata']['uid']}")
        if not old["metadata"].get("finalizers"):
            self._remove(resource, key, propagation)
        elif "deletionTimestamp" not in old["metadata"]:
            new = copy.deepcopy(old)
            new["metadata"]["deletionTimestamp"] = self._timestamp()
            self._write(resource, old, new)

    def events_since(self, selection: Selection, version: str) -> list[WatchEvent]:
        """What a watch tells of the changes after a version."""
        since = int(version)
        if since < self._forgotten:
            raise GoneError(f"too old resource version: {version} ({self._forgotten})")
        if since > self._version:
            raise UnavailableError(f"too large resource version: {version}")
        recent = itertools.dropwhile(lambda it: it.version <= since, self._history)
        told = [_told(selection, change) for change in recent]
        return [event for event in told if event is not None]

    # What happens in its world.

    def put(self, resource: Resource, body: Json) -> Json:
        """Somebody else, with every right, makes an object what it is told, status and all."""
        key = key_of(body)
        old = self._objects[resource].get(key) or self.create(resource, {**body})
        return self._write(resource, old, merge_patched(old, body))

    def compact(self) -> None:
        """Forget the history: older watches and lists cannot go on."""
        self._history.clear()
        self._lists.clear()
        self._forgotten = self._version

    def collect_garbage(self) -> None:
        """Delete what has owners, none of which exists."""
        for resource, held in list(self._objects.items()):
            for key, body in list(held.items()):
                if _owners(body) and not self._owners_left(body) and key in held:
                    self._remove(resource, key, Propagation.BACKGROUND)

    def _update(
        self, resource: Resource, key: Key, change: Callable[[Json], Json], subresource: str
    ) -> Json:
        old = self._found(resource, key)
        new = change(old)
        asked = new["metadata"].get("resourceVersion")
        if asked and asked != version_of(old):
            raise ConflictError(f'{resource.plural} "{key.name}": the object has been modified')
        uid = new["metadata"].get("uid", old["metadata"]["uid"])
        if uid != old["metadata"]["uid"]:
            raise InvalidError(f"metadata.uid: Invalid value: {uid}: field is immutable")
        new = _allowed(resource, old, new, subresource)
        if new == old:
            return copy.deepcopy(old)
        self._refuse(resource, new, old)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        return self._write(resource, old, new)

    def _write(self, resource: Resource, old: Json | None, new: Json) -> Json:
        self._version += 1
        new["metadata"]["resourceVersion"] = self.version
        key = key_of(new)
        self._objects[resource][key] = new
        self._tell(_Change(self._version, resource, old, new))
        if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
            self._remove(resource, key, Propagation.BACKGROUND)
        return copy.deepcopy(new)

    def _remove(self, resource: Resource, key: Key, propagation: Propagation) -> None:
        old = self._objects[resource].pop(key)
        self._last_applied.pop((resource, key), None)
        self._version += 1
        last = copy.deepcopy(old)
        last["metadata"]["resourceVersion"] = self.version
        self._tell(_Change(self._version, resource, last, None))
        self._disown(old["metadata"]["uid"], propagation)

    def _disown(self, uid: str, propagation: Propagation) -> None:
        for resource, held in list(self._objects.items()):
            for key in [key for key, body in held.items() if uid in _owners(body)]:
                if key not in held:
                    continue  # gone with another dependent
                if propagation is Propagation.ORPHAN:
                    self._write(resource, held[key], _without_owner(held[key], uid))
                elif not self._owners_left(held[key]):
                    self.delete(resource, key, propagation, "")

    def _owners_left(self, body: Json) -> set[str]:
        kinds = self._objects.values()
        existing = {it["metadata"]["uid"] for held in kinds for it in held.values()}
        return _owners(body) & existing

    def _tell(self, change: _Change) -> None:
        self._history.append(change)
        for listener in list(self.listeners):
            listener()

    def _found(self, resource: Resource, key: Key) -> Json:
        try:
            return self._objects[resource][key]
        except KeyError:
            raise NotFoundError(f'{resource.plural} "{key.name}" not found') from None

    def _refuse(self, resource: Resource, new: Json, old: Json | None) -> None:
        if why := self._check(resource, new, old):
            raise InvalidError(f'{resource.kind} "{key_of(new).name}" is invalid: {why}')

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _allowed(resource: Resource, old: Json, new: Json, subresource: str) -> Json:
    """Of what is asked, that which may be written at this place."""
    if subresource == "status":
        return {**copy.deepcopy(old), "status": new.get("status")}
    result = copy.deepcopy(new)
    for field in (*_KEPT, "resourceVersion"):
        result["metadata"].pop(field, None)
        if field in old["metadata"]:
            result["metadata"][field] = old["metadata"][field]
    if resource.has_status:
        result.pop("status", None)
        if "status" in old:
            result["status"] = copy.deepcopy(old["status"])
    return result


def _in(selection: Selection, body: Json | None) -> bool:
    if body is None:
        return False
    labels = body["metadata"].get("labels") or {}
    in_namespace = not selection.namespace or selection.namespace == key_of(body).namespace
    selected = matches(selection.labels, labels) and fields_match(selection.fields, body)
    return in_namespace and selected


def _told(selection: Selection, change: _Change) -> WatchEvent | None:
    """An object that leaves the selection is removed for those who watch it."""
    if change.resource != selection.resource:
        return None
    if change.after is not None and _in(selection, change.after):
        return Changed(copy.deepcopy(change.after))
    if change.before is None or not _in(selection, change.before):
        return None
    last = copy.deepcopy(change.before)
    last["metadata"]["resourceVersion"] = str(change.version)
    return Removed(last)


def _owners(body: Json) -> set[str]:
    return {owner["uid"] for owner in body["metadata"].get("ownerReferences") or ()}


def _without_owner(body: Json, uid: str) -> Json:
    result = copy.deepcopy(body)
    owners = result["metadata"]["ownerReferences"]
    result["metadata"]["ownerReferences"] = [owner for owner in owners if owner["uid"] != uid]
    return result
