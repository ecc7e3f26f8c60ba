"""A client with strict types: from a submission to CSV, through the routes below /jobs.

The types are those of the previous service: an integer is no float, a string is no number, and a
list is never null. Members that the previous service did not have are allowed and ignored.

    strict_results.py SERVER FOLDER [URL…]

submits each URL, waits for its end, and writes the results of all jobs that the server knows as
CSV into FOLDER: one file per job. Jobs without results are listed in FOLDER/without.csv.
"""

import csv
import datetime
import os
import pathlib
import sys
import time
from typing import Literal

import requests
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, StrictBool, StrictStr

Coarse = Literal["pending", "running", "completed", "failed"]
Percent = Field(ge=0, le=100)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class Accepted(Strict):
    job_id: StrictStr
    status: Literal["pending"]
    created_at: datetime.datetime


class JobRow(Strict):
    job_id: StrictStr
    git_url: StrictStr
    status: Coarse
    created_at: datetime.datetime
    completed_at: datetime.datetime | None
    progress: int = Percent
    error_message: StrictStr | None


class Jobs(Strict):
    jobs: list[JobRow]
    total: NonNegativeInt
    page: int
    per_page: int
    total_pages: NonNegativeInt


class Job(Strict):
    job_id: StrictStr
    status: Coarse
    created_at: datetime.datetime
    completed_at: datetime.datetime | None
    progress: int = Percent


class Project(Strict):
    project_name: StrictStr
    git_url: StrictStr
    dependencies: dict[StrictStr, StrictBool]
    infrastructure_usage: dict[StrictStr, StrictBool]
    # "unknown": completed by the previous service, which left no results.
    status: Literal["success", "failed", "unknown"]
    error: StrictStr | None


class FailedProject(Strict):
    project_name: StrictStr
    git_url: StrictStr
    error: StrictStr


class Results(Strict):
    git_url: StrictStr
    dependencies: dict[StrictStr, StrictBool]
    infrastructure_usage: dict[StrictStr, StrictBool]
    scan_type: StrictStr
    total_projects: NonNegativeInt | None
    successful_scans: NonNegativeInt | None
    failed_scans: NonNegativeInt | None
    project_results: list[Project] | None
    failed_projects: list[FailedProject] | None


class Partial(Strict):
    job_id: StrictStr
    status: Literal["running", "pending"]
    progress: int = Percent
    partial_results: dict
    last_updated: datetime.datetime | None  # null where no file names a time


class Health(Strict):
    status: Literal["healthy", "degraded"]
    timestamp: datetime.datetime
    version: StrictStr
    user: StrictStr | None


class Refusal(Strict):
    detail: StrictStr


session = requests.Session()
session.trust_env = False
session.auth = (os.environ["API_USERNAME"], os.environ["API_PASSWORD"])


def read(model, answer, status=200):
    assert answer.status_code == status, f"{answer.url}: {answer.status_code} {answer.text}"
    return model.model_validate_json(answer.text)


def get(path, model, status=200, **params):
    return read(model, session.get(base + path, params=params, timeout=60), status)


def finished(job):
    """Polls until the job has a final state; its results so far must be readable at any time."""
    deadline = time.monotonic() + 120
    last = 0
    while True:
        row = get(f"/jobs/{job}", Job)
        assert row.progress >= last, f"{job}: {last} % and then {row.progress} %"
        last = row.progress
        if row.status in ("completed", "failed"):
            assert row.progress == 100 and row.completed_at, row
            return row
        answer = session.get(f"{base}/jobs/{job}/partial", timeout=60)
        if answer.status_code == 200:
            partials.append(read(Partial, answer))
        assert time.monotonic() < deadline, row
        time.sleep(0.02)


def every_row():
    page = 1
    while True:
        rows = get("/jobs", Jobs, page=page, per_page=3)
        yield from rows.jobs
        if page >= rows.total_pages:
            return
        page += 1


def write(row, results):
    """One line per project: the original's export."""
    group = results.project_results is not None
    if group:
        assert results.total_projects == len(results.project_results), results
        assert results.successful_scans + results.failed_scans == results.total_projects
        failed = [project for project in results.project_results if project.status == "failed"]
        assert [project.project_name for project in failed] == [
            project.project_name for project in results.failed_projects]
        assert all(project.error for project in failed), failed
    projects = results.project_results if group else [results]
    categories = sorted({name for project in projects for name in project.dependencies})
    with open(folder / f"{row.job_id}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["project", "url", "status", *categories])
        for project in projects:
            name = project.project_name if group else row.git_url.rsplit("/", 1)[-1]
            status = project.status if group else "success"
            used = ["yes" if project.dependencies.get(name) else "no" for name in categories]
            writer.writerow([name, project.git_url, status, *used])


base, folder, *urls = sys.argv[1:]
folder = pathlib.Path(folder)
partials = []
assert get("/health", Health).user == session.auth[0]
for url in urls:
    answer = session.post(f"{base}/scan", json={"git_url": url}, timeout=60)
    finished(read(Accepted, answer).job_id)
without = []
for row in every_row():
    assert get(f"/jobs/{row.job_id}", Job).status == row.status
    answer = session.get(f"{base}/jobs/{row.job_id}/results", timeout=60)
    if answer.status_code == 200:
        write(row, read(Results, answer))
        continue
    assert read(Refusal, answer, 400).detail == "Job not completed"
    if row.status == "running":
        partials.append(get(f"/jobs/{row.job_id}/partial", Partial))
    without.append(row)
with open(folder / "without.csv", "w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([row.job_id, row.status, row.error_message] for row in without)
assert not urls or partials, "no job was seen while it ran"
print("all types hold")
