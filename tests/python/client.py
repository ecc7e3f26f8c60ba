"""A client of the previous service, written only from the documentation of that service.

The client submits one repository and one group, polls both, pages through the jobs, provokes every
error that such clients know, and writes the results as CSV. While the group is scanned, the test
kills the server and starts it again: the client only sees requests that fail and repeats them.
Every expectation is an assertion; the exit code reports whether all assertions held.

    client.py SERVER REPOSITORY_URL GROUP_URL FOLDER

API_USERNAME and API_PASSWORD are the credentials. The client creates `group-is-running` in FOLDER
when the test may kill the server, and writes the CSV files there.
"""

import csv
import datetime
import os
import pathlib
import sys
import time
import uuid

import requests

TIMEOUT_SECONDS = 120
OVERALL = {
    "initializing", "in_progress", "processing",
    "completed", "completed_with_errors", "all_failed", "failed", "timeout", "cancelled",
}
FINAL = OVERALL - {"initializing", "in_progress", "processing"}
COARSE = {"pending", "running", "completed", "failed"}


class Client:
    """Repeats requests that fail or get 503, as clients behind a proxy do."""

    def __init__(self, base, auth):
        self.base, self.session = base, requests.Session()
        self.session.auth = auth
        self.session.trust_env = False

    def request(self, method, path, **options):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                answer = self.session.request(method, self.base + path, timeout=30, **options)
                if answer.status_code != 503:
                    return answer
            except (requests.ConnectionError, requests.Timeout):
                pass
            assert time.monotonic() < deadline, f"timeout: {method} {path}"
            time.sleep(0.1)

    def get(self, path, status=200, **options):
        answer = self.request("GET", path, **options)
        assert answer.status_code == status, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def submit(self, url):
        answer = self.request("POST", "/scan", json={"git_url": url, "unknown_member": 1})
        assert answer.status_code == 200, answer.text
        document = answer.json()
        uuid.UUID(document["job_id"])
        assert document["status"] == "pending", document
        moment(document["created_at"])
        return document["job_id"]

    def follow(self, job, on_document=lambda document: None):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            document = self.get(f"/scan/{job}")
            check_progress(document, job)
            on_document(document)
            if document["status"] in FINAL:
                return document
            assert time.monotonic() < deadline, f"timeout: job {job} has no final state: {document}"
            time.sleep(0.05)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def check_progress(document, job):
    assert document["job_id"] == job and document["status"] in OVERALL, document
    summary = document["summary"]
    parts = [summary[name] for name in ("completed", "in_progress", "pending", "failed")]
    assert sum(parts) == summary["total_repositories"], summary
    for name in ("repositories", "current_repositories", "completed_repositories",
                 "failed_repositories", "pending_repositories"):
        assert isinstance(document[name], list), name
    indices = [row["repo_index"] for row in document["repositories"]]
    assert indices == sorted(indices), indices
    assert isinstance(document["elapsed_time_seconds"], int), document
    for row in document["repositories"]:
        progress = row.get("progress") or {}
        assert 0 <= progress.get("percentage", 0) <= 100, row
    for row in document["failed_repositories"]:
        assert row["repo_name"] and row["error"], row


def check_row(row):
    assert row["status"] in COARSE and 0 <= row["progress"] <= 100, row
    moment(row["created_at"])
    if row["status"] in ("completed", "failed"):
        assert moment(row["completed_at"]) >= moment(row["created_at"]), row
        assert row["progress"] == 100, row


def single(client, url, folder):
    job = client.submit(url)
    early = client.request("GET", f"/jobs/{job}/results")
    assert early.status_code in (200, 400), early.text
    if early.status_code == 400:
        assert early.json()["detail"] == "Job not completed", early.text
    document = client.follow(job)
    assert document["status"] == "completed", document
    assert document["group_url"] == url, document
    name = url.rsplit("/", 1)[1].removesuffix(".git")
    assert document["completed_repositories"] == [name], document
    row = client.get(f"/jobs/{job}")
    assert row["job_id"] == job and row["status"] == "completed", row
    check_row(row)
    finished = client.get(f"/jobs/{job}/partial", status=400)
    assert finished["detail"].startswith("Job is not currently running."), finished
    results = client.get(f"/jobs/{job}/results")
    assert results["git_url"] == url, results
    assert results["dependencies"] and all(
        isinstance(used, bool) for used in results["dependencies"].values()), results
    assert all(isinstance(used, bool) for used in results["infrastructure_usage"].values())
    for member in ("total_projects", "successful_scans", "failed_scans",
                   "project_results", "failed_projects"):
        assert results[member] is None, (member, results)
    write_csv(folder / "single.csv", [results])
    return job


def group(client, url, folder):
    job = client.submit(url)
    seen = set()

    def note_state(document):
        seen.add(document["status"])
        if document["summary"]["completed"] and document["status"] == "in_progress":
            (folder / "group-is-running").touch()
            partial = client.request("GET", f"/jobs/{job}/partial")
            if partial.status_code == 200:
                partial = partial.json()
                assert partial["job_id"] == job and partial["status"] == "running", partial
                assert 0 <= partial["progress"] <= 100, partial
                seen.add("partial")

    document = client.follow(job, note_state)
    assert {"in_progress", "partial"} <= seen, seen
    assert document["status"] == "completed_with_errors", document
    results = client.get(f"/jobs/{job}/results")
    summary = document["summary"]
    assert results["total_projects"] == summary["total_repositories"], results
    assert results["successful_scans"] == summary["completed"], results
    assert results["failed_scans"] == summary["failed"] > 0, results
    rows = results["project_results"]
    assert len(rows) == summary["total_repositories"], rows
    for row in rows:
        assert row["status"] in ("success", "failed"), row
        assert bool(row["error"]) == (row["status"] == "failed"), row
    failed = {row["project_name"] for row in results["failed_projects"]}
    assert failed == {row["repo_name"] for row in document["failed_repositories"]}, failed
    assert all("/" in row["project_name"] for row in rows), "names are paths below the group"
    write_csv(folder / "group.csv", rows)
    return job


def write_csv(path, rows):
    categories = sorted({name for row in rows for name in row["dependencies"]})
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["project", "url", *categories])
        for row in rows:
            used = [row["dependencies"].get(name, False) for name in categories]
            writer.writerow([row.get("project_name", ""), row["git_url"], *used])


def pages(client, jobs):
    seen, page = [], 1
    while True:
        document = client.get("/jobs", params={"page": page, "per_page": 2})
        assert document["page"] == page and document["per_page"] == 2, document
        assert document["total_pages"] == -(-document["total"] // 2), document
        seen += [row["job_id"] for row in document["jobs"]]
        for row in document["jobs"]:
            check_row(row)
            assert {"git_url", "error_message"} <= row.keys(), row
        if page >= document["total_pages"]:
            break
        page += 1
    assert len(seen) == len(set(seen)) == document["total"], seen
    assert set(jobs) <= set(seen), (jobs, seen)
    assert seen.index(jobs[-1]) < seen.index(jobs[0]), "newest first"
    assert client.get("/jobs", params={"page": -3})["page"] == 1
    assert client.get("/jobs", params={"per_page": 1000})["per_page"] == 100
    assert client.get("/jobs", params={"per_page": 0})["per_page"] == 1
    assert client.get("/jobs", params={"page": 999})["jobs"] == []
    done = client.get("/jobs", params={"status": "completed", "per_page": 100})
    assert {row["status"] for row in done["jobs"]} == {"completed"}, done
    wrong = client.get("/jobs", params={"status": "exploded"}, status=400)
    assert wrong["detail"].startswith("Invalid status filter"), wrong


def refusals(client):
    anonymous = Client(client.base, None)
    answer = anonymous.request("GET", "/jobs")
    assert (answer.status_code, answer.json()["detail"]) == (401, "Not authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Basic"), answer.headers
    impostor = Client(client.base, (client.session.auth[0], "wrong"))
    answer = impostor.request("POST", "/scan", json={"git_url": "https://github.com/a/b.git"})
    assert (answer.status_code, answer.json()["detail"]) == (401, "Invalid credentials")
    unknown = uuid.uuid4()
    for path in (f"/scan/{unknown}", f"/jobs/{unknown}", f"/jobs/{unknown}/results",
                 f"/jobs/{unknown}/partial", "/scan/not.an..id", "/jobs/%2e%2e%2fetc"):
        assert client.get(path, status=404)["detail"] == "Job not found", path
    for body, kind in (({}, "missing"), ({"git_url": 5}, "string_type"),
                       ({"git_url": "no url"}, "value_error")):
        answer = client.request("POST", "/scan", json=body)
        assert answer.status_code == 422, answer.text
        detail = answer.json()["detail"][0]
        assert detail["type"] == kind and detail["loc"] == ["body", "git_url"], detail
        assert detail["msg"], detail
    broken = {"data": b'{"git_url": ', "headers": {"Content-Type": "application/json"}}
    answer = client.request("POST", "/scan", **broken)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["type"] == "json_invalid", answer.text
    for url, detail in (
        ("https://evil.example/a/b.git", "Domain not allowed: "),
        ("https://10.0.0.1/a/b.git", "Private network access not allowed"),
        ("https://169.254.169.254/latest.git", "Metadata endpoint access not allowed"),
        ("https://github.com:8443/a/b.git", "Non-standard port not allowed: 8443"),
        ("ftp://github.com/a/b.git", "Invalid Git URL scheme: "),
        ("https://github.com/a/b.git;id", "Invalid Git URL: contains potentially dangerous"),
    ):
        answer = client.request("POST", "/scan", json={"git_url": url})
        assert answer.status_code == 400, (url, answer.text)
        assert answer.json()["detail"].startswith(detail), (url, answer.text)
    health = client.get("/health")
    assert health["status"] in ("healthy", "degraded") and health["version"], health
    assert health["user"] == client.session.auth[0], health
    moment(health["timestamp"])


def main():
    base, repository_url, group_url, folder = sys.argv[1:]
    folder = pathlib.Path(folder)
    auth = (os.environ["API_USERNAME"], os.environ["API_PASSWORD"])
    client = Client(base, auth)
    refusals(client)
    jobs = [single(client, repository_url, folder), single(client, repository_url, folder)]
    jobs.append(group(client, group_url, folder))
    pages(client, jobs)
    print("all expectations met")


main()
