"""A client with strict types that shows progress: it polls the document of each job below /scan.

The types are those of the previous service; the states are the words that it used, and the numbers
of a document must agree with its lists. Members that it did not have are allowed and ignored.

    strict_progress.py SERVER FOLDER [URL…]

submits each URL, follows it to its end, then reads the documents of all jobs that the server
knows, and writes one line per repository to FOLDER/progress.csv.
"""

import csv
import datetime
import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, StrictStr, model_validator

Overall = Literal["initializing", "in_progress", "processing", "completed", "completed_with_errors",
                  "all_failed", "failed", "timeout", "cancelled"]
Working = Literal["starting", "downloading", "extracting", "cloning", "scanning", "analyzing"]
FINAL = {"completed", "completed_with_errors", "all_failed", "failed", "timeout", "cancelled"}
Percentage = Annotated[float, Field(ge=0, le=100, strict=False)]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class Progress(Strict):
    total_files: NonNegativeInt | None = None
    current_file: NonNegativeInt | None = None
    percentage: Percentage | None = None
    current_file_name: StrictStr | None = None
    message: StrictStr | None = None
    download_bytes: NonNegativeInt | None = None
    download_mb: float | None = None
    files_extracted: NonNegativeInt | None = None
    total_extraction_files: NonNegativeInt | None = None
    stage: StrictStr | None = None
    stage_index: NonNegativeInt | None = None
    stage_total: NonNegativeInt | None = None
    stage_progress: Any = None

    @model_validator(mode="after")
    def has_one_kind(self):
        if self.total_files is not None:
            assert self.current_file is not None and self.percentage is not None, self
        elif self.download_bytes is not None:
            assert self.download_mb is not None and self.message, self
        elif self.files_extracted is not None:
            assert self.percentage is not None and self.message, self
        else:
            assert self.message, self
        return self


class Repository(Strict):
    repo_index: NonNegativeInt
    repo_name: StrictStr
    status: StrictStr
    started_at: datetime.datetime | None
    last_update: datetime.datetime | None
    progress: Progress | None = None


class Current(Strict):
    repo_name: StrictStr
    status: Working
    started_at: datetime.datetime | None
    progress: Progress | None = None


class Failed(Strict):
    repo_name: StrictStr
    error: StrictStr = Field(min_length=1)


class Summary(Strict):
    total_repositories: NonNegativeInt
    completed: NonNegativeInt
    in_progress: NonNegativeInt
    pending: NonNegativeInt
    failed: NonNegativeInt


class Document(Strict):
    job_id: StrictStr
    status: Overall
    group_url: StrictStr | None  # null where no master file names it
    summary: Summary
    repositories: list[Repository]
    current_repositories: list[Current]
    completed_repositories: list[StrictStr]
    failed_repositories: list[Failed]
    pending_repositories: list[StrictStr]
    elapsed_time_seconds: NonNegativeInt
    last_update: datetime.datetime | None

    @model_validator(mode="after")
    def agrees_with_itself(self):
        parts = self.summary
        whole = parts.completed + parts.in_progress + parts.pending + parts.failed
        assert whole == parts.total_repositories, parts
        assert len(self.completed_repositories) == parts.completed, self
        assert len(self.current_repositories) == parts.in_progress, self
        assert len(self.failed_repositories) == parts.failed, self
        # Their names may not be known yet.
        assert len(self.pending_repositories) <= parts.pending, self
        indices = [row.repo_index for row in self.repositories]
        assert indices == sorted(set(indices)), indices
        return self


def request(path, body=None, tag=None):
    """The status, the body and the entity tag of an answer."""
    asked = urllib.request.Request(base + path)
    asked.add_header("Authorization", login)
    if tag:
        asked.add_header("If-None-Match", tag)
    if body is not None:
        asked.data = json.dumps(body).encode()
        asked.add_header("Content-Type", "application/json")
    try:
        with opener.open(asked, timeout=60) as answer:
            return answer.status, answer.read(), answer.headers["ETag"]
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers["ETag"]


def follow(job):
    """Polls as the original's page did: again and again, and only what has changed."""
    deadline = time.monotonic() + 120
    tag, seen = None, []
    while not seen or seen[-1].status not in FINAL:
        status, body, new = request(f"/scan/{job}", tag=tag)
        if status != 304:
            assert status == 200, body
            seen.append(Document.model_validate_json(body))
            done = [document.summary.completed + document.summary.failed for document in seen]
            assert done == sorted(done), done
            tag = new
        assert time.monotonic() < deadline, seen[-1]
        time.sleep(0.02)


base, folder, *urls = sys.argv[1:]
login = "Basic " + b64encode(
    f"{os.environ['API_USERNAME']}:{os.environ['API_PASSWORD']}".encode()).decode()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for url in urls:
    status, body, _ = request("/scan", {"git_url": url})
    assert status == 200, body
    follow(json.loads(body)["job_id"])
status, body, _ = request("/jobs?per_page=100")
assert status == 200, body
with open(pathlib.Path(folder) / "progress.csv", "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["job", "job_status", "repository", "status", "percentage"])
    for row in json.loads(body)["jobs"]:
        status, body, _ = request(f"/scan/{row['job_id']}")
        assert status == 200, body
        document = Document.model_validate_json(body)
        for repository in document.repositories:
            shown = repository.progress and repository.progress.percentage
            writer.writerow([document.job_id, document.status, repository.repo_name,
                             repository.status, shown])
print("all types hold")
