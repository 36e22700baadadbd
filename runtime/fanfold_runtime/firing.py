"""What a schedule does when it is due: its next job is written down, and started."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import datetime, timezone
from typing import Any

import boto3

from fanfold.core.models import JobHeader, RunRef
from fanfold.engines.aws.engine import AwsEngine
from fanfold.engines.schedule import Definition, Listing
from fanfold.engines.steward import begin_ramp
from fanfold.errors import ResultDamaged
from fanfold.inputs.stored import objects_like
from fanfold.stores.keys import blob_key, definition_key, inputs_index_key, inputs_key, listing_key, scheduled_key
from fanfold.stores.packing import ManifestWriter
from fanfold_runtime.credentials import data_role
from fanfold_runtime.telemetry import logger

#: Large arguments are renewed when they are so old: the bucket keeps them for more than a year.
_RENEWED_AFTER_S = 30 * 86_400.0


def fire(engine: AwsEngine, name: str, at: str) -> str:
    """Start the job of a schedule that was due `at` that time, and return its id; doing it again changes nothing."""
    objects = engine.stores.objects
    try:
        definition = Definition.from_text(objects.get(definition_key(name)))
    except ResultDamaged:
        logger.error("schedule has no definition", schedule=name)
        return ""
    header = job_of(definition, at)
    for blob in definition.blobs:
        objects.renew(blob_key(blob), older_than_s=_RENEWED_AFTER_S)
    if definition.listing is not None:
        header = _list_anew(engine, definition.listing, header)
    else:
        for key in (inputs_key, inputs_index_key):
            objects.put_if_absent(key(header.id), objects.get(scheduled_key(name, key(definition.header.id))))
    engine.stores.log.put_job(header)
    if header.stages and header.count:
        begin_ramp(engine, header)
    elif header.count:
        engine.start(header, map(RunRef, range(header.count)))
    logger.info("schedule has started a job", schedule=name, job=header.id)
    return header.id


def _list_anew(engine: AwsEngine, listing: Listing, header: JobHeader) -> JobHeader:
    """Write down a run for each file that there is now. Of two calls for one time, the first one's list counts."""
    stores, key = engine.stores, listing_key(header.id)
    if not stores.objects.exists(key):
        found = list(objects_like(listing.pattern, _lister(engine, header)))
        stores.objects.put_if_absent(key, json.dumps(found).encode())
    with ManifestWriter(stores.scratch, header.id) as manifest:
        for address in json.loads(stores.objects.get(key)):
            own = listing.arguments(address)
            manifest.add(own, hashlib.sha256(f"scheduled {header.code_hash} {own}".encode()).digest())
        manifest.store(stores.objects)
    return header._replace(count=manifest.count)


def _lister(engine: AwsEngine, header: JobHeader) -> Any:
    """A client for S3 that may see what the runs may."""
    role = data_role(engine.stores.account)
    if role is None:
        return None
    role.serve(header.owner, header.id)
    key_id, secret, token, _ = role.credentials()
    return boto3.client("s3", aws_access_key_id=key_id, aws_secret_access_key=secret, aws_session_token=token)


def job_of(definition: Definition, at: str) -> JobHeader:
    """The header of the job that is due at a time: EventBridge may call more than once for it, and it is the same."""
    moment = _moment(at)
    mark = hashlib.sha256(f"{definition.name} {moment.isoformat()}".encode()).hexdigest()[:8]
    job_id = f"{moment:%Y%m%d-%H%M%S}-scheduled-{mark}"
    return definition.header._replace(id=job_id, created_at=time.time(), cache=False, flight="")


def _moment(at: str) -> datetime:
    """The time that EventBridge names, in UTC."""
    try:
        return datetime.fromisoformat(at.replace("Z", "+00:00")).astimezone(timezone.utc)
    except ValueError:
        return datetime.now(timezone.utc)
