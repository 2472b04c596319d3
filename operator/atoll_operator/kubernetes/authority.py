"""The operator's own authority: made once, kept in a Secret of its namespace, trusted by all hubs.

With it a leader asks hubs that another one started: what it shows is a certificate of its own for
the job, signed just then. It may read this one Secret and no other.
"""

import base64
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from atoll_api import names
from atoll_api.names import Process
from atoll_operator.errors import AlreadyExistsError, NotFoundError, SettingsError
from atoll_operator.identity import Authority, Identity
from atoll_operator.kubernetes.api import Api, Json, Key
from atoll_operator.kubernetes.resources import SECRETS

LIFETIME: Final = timedelta(days=3650)
_CERTIFICATE: Final = "ca.crt"
_KEY: Final = "ca.key"


@dataclass(frozen=True)
class OperatorAuthority:
    """What signs for the operator."""

    certificate: bytes
    """In PEM: what hubs trust."""
    key: bytes

    def identity(self, job_uid: str, trusted: bytes, now: datetime) -> Identity:
        """What the operator shows to the hub of a job.

        Args:
            job_uid: of the job.
            trusted: certificates of the authorities that may have signed the hub's, in PEM.
            now: in UTC.
        """
        authority = Authority(None, now, restored=(self.certificate, self.key))
        issued = authority.issue(Process(job_uid, names.OPERATOR))
        return replace(issued, authority=trusted)


async def load_authority(api: Api, key: Key, now: datetime) -> OperatorAuthority:
    """Read the Secret, or make it: of several operators that try, one makes it.

    Raises:
        SettingsError: the Secret holds something else.
        ApiError: the API server did not do as asked.
    """
    try:
        return _read(await api.get(SECRETS, key))
    except NotFoundError:
        made = Authority(None, now, lifetime=LIFETIME)
    try:
        return _read(await api.create(SECRETS, _secret(key, made)))
    except AlreadyExistsError:
        return _read(await api.get(SECRETS, key))


def _secret(key: Key, authority: Authority) -> Json:
    data = {_CERTIFICATE: authority.certificate, _KEY: authority.private_pem()}
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {"namespace": key.namespace, "name": key.name},
        "immutable": True,
        "type": "Opaque",
        "data": {name: base64.b64encode(it).decode() for name, it in data.items()},
    }


def _read(secret: Json) -> OperatorAuthority:
    try:
        certificate, key = (base64.b64decode(secret["data"][it]) for it in (_CERTIFICATE, _KEY))
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"Secret {secret['metadata']['name']} holds no authority: delete it, and a new one is "
            "made; hubs of running jobs will not know it"
        ) from error
    return OperatorAuthority(certificate, key)
