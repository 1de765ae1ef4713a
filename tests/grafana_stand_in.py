"""A Grafana on loopback for tests: the part of its HTTP API that we use, with state and the status codes it documents.

Codes: 401 wrong password; 403 an organisation that one is no member of; 404 nothing there, also for numeric ids where
uids are due; 409 an organisation, data source, folder or member that exists; 412 a user or dashboard that exists, or a
version that is old. Like Grafana it adds ids, versions and defaults to what it is given, and leaves out nulls.
"""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]
#: Status and content.
Answer = tuple[int, Any]

USER, PASSWORD = "admin", "secret"


class Grafana:
    """Its state. `break_at` n breaks the n-th write: before it is done, or (`lose`) after, without an answer."""

    def __init__(self) -> None:
        self.url = ""
        self.users: dict[int, Json] = {1: {"login": USER, "isGrafanaAdmin": True}}
        self.orgs: dict[int, Json] = {1: {"name": "Main Org.", "members": {1: "Admin"}}}
        self.held: dict[tuple[int, str, str], Json] = {}  #: (organisation, kind, uid) → what was saved
        self.passwords: dict[int, Json] = {}  #: organisation → its data source's secrets
        self.writes: list[str] = []
        self.break_at = 0
        self.lose = False
        self.healthy = True
        self.auto_assign_org = True  #: else a new user gets an organisation of its own, whatever it was made for

    def state(self) -> Any:
        """All that it holds, without versions."""
        plain = {key: {name: at for name, at in value.items() if name != "version"} for key, value in self.held.items()}
        users = {at: {name: value[name] for name in ("login", "isGrafanaAdmin")} for at, value in self.users.items()}
        return json.loads(json.dumps([sorted((str(key), value) for key, value in plain.items()), self.orgs, users]))

    def answer(self, method: str, path: list[str], query: Json, content: Json, org: int) -> Answer:
        """What Grafana answers."""
        if path[0] in ("orgs", "users", "admin"):
            return self._server(method, path, query, content)
        if self.orgs.get(org, {}).get("members", {}).get(1) != "Admin":
            return 403, {"message": "You'll need additional permissions"}
        return self._organisation(method, path, content, org)

    def _server(self, method: str, path: list[str], query: Json, content: Json) -> Answer:  # noqa: PLR0911, PLR0912
        match method, path:
            case "GET", ["orgs", "name", name]:
                found = [at for at, org in self.orgs.items() if org["name"] == name]
                return (200, {"id": found[0], "name": name}) if found else (404, {"message": "Organization not found"})
            case "POST", ["orgs"]:
                if any(org["name"] == content["name"] for org in self.orgs.values()):
                    return 409, {"message": "Organization name taken"}
                number = max(self.orgs) + 1
                self.orgs[number] = {"name": content["name"], "members": {1: "Admin"}}
                return 200, {"orgId": number, "message": "Organization created"}
            case _, ["orgs", number, "users", *rest] if number.isdigit():
                return self._members(method, int(number), rest, content)
            case "GET", ["users", "lookup"]:
                for at, user in self.users.items():
                    if user["login"] == query["loginOrEmail"]:
                        return 200, {"id": at, "login": user["login"], "isGrafanaAdmin": user["isGrafanaAdmin"]}
                return 404, {"message": "user not found"}
            case "GET", ["users", number, "orgs"]:
                member = int(number)
                return 200, [
                    {"orgId": at, "name": org["name"], "role": org["members"][member]}
                    for at, org in self.orgs.items()
                    if member in org["members"]
                ]
            case "POST", ["admin", "users"]:
                if len(content.get("password", "")) < 4:
                    return 400, {"message": "Password is missing or too short"}
                if any(user["login"] == content["login"] for user in self.users.values()):
                    return 412, {"message": "User already exists"}
                number = max(self.users) + 1
                self.users[number] = {"login": content["login"], "isGrafanaAdmin": False, "secret": content["password"]}
                if self.auto_assign_org:
                    self.orgs[content.get("OrgId") or 1]["members"][number] = "Viewer"
                else:
                    self.orgs[max(self.orgs) + 1] = {"name": content["login"], "members": {number: "Admin"}}
                return 200, {"id": number, "message": "User created"}
            case "PUT", ["admin", "users", number, "permissions"]:
                self.users[int(number)]["isGrafanaAdmin"] = content["isGrafanaAdmin"]
                return 200, {"message": "User permissions updated"}
        return 404, {"message": "Not found"}

    def _members(self, method: str, number: int, rest: list[str], content: Json) -> Answer:  # noqa: PLR0911
        if number not in self.orgs:
            return 404, {"message": "Organization not found"}
        members = self.orgs[number]["members"]
        match method, rest:
            case "GET", []:
                return 200, [
                    {"orgId": number, "userId": at, "login": self.users[at]["login"], "role": role}
                    for at, role in members.items()
                ]
            case "POST", []:
                at = next((at for at, user in self.users.items() if user["login"] == content["loginOrEmail"]), 0)
                if not at:
                    return 404, {"message": "user not found"}
                if at in members:
                    return 409, {"message": "User is already member of this organization"}
                members[at] = content["role"]
                return 200, {"message": "User added to organization", "userId": at}
            case "PATCH", [at]:
                members[int(at)] = content["role"]
                return 200, {"message": "Organization user updated"}
            case "DELETE", [at]:
                del members[int(at)]
                return 200, {"message": "User removed from organization"}
        return 404, {"message": "Not found"}

    def _organisation(self, method: str, path: list[str], content: Json, org: int) -> Answer:  # noqa: PLR0911, PLR0912
        match method, path:
            case "GET", ["datasources", "uid", uid, "health"] if (org, "source", uid) in self.held:
                if self.healthy:
                    return 200, {"status": "OK", "message": "Data source is working"}
                return 400, {"status": "ERROR", "message": "Authentication failed"}
            case "POST", ["datasources"]:
                same = [each for (at, kind, _), each in self.held.items() if (at, kind) == (org, "source")]
                if any(each["name"] == content["name"] or each["uid"] == content["uid"] for each in same):
                    return 409, {"message": "data source with the same name already exists"}
                return self._save_source(org, content)
            case "PUT", ["datasources", "uid", uid] if (org, "source", uid) in self.held:
                return self._save_source(org, content)
            case "GET", ["datasources", "uid", uid]:
                return self._held(org, "source", uid)
            case "GET", ["folders", uid]:
                return self._held(org, "folder", uid)
            case "POST", ["folders"]:
                if (org, "folder", content["uid"]) in self.held:
                    return 409, {"message": "a folder with the same uid already exists"}
                return self._save(org, "folder", content["uid"], content)
            case "PUT", ["folders", uid] if (org, "folder", uid) in self.held:
                before = self.held[org, "folder", uid]
                if not content.get("overwrite") and content.get("version") != before["version"]:
                    return 412, {"message": "the folder has been changed by someone else", "status": "version-mismatch"}
                return self._save(org, "folder", uid, {"uid": uid, "title": content["title"]})
            case "GET", ["dashboards", "uid", uid]:
                return self._held(org, "board", uid)
            case "POST", ["dashboards", "db"]:
                return self._save_board(org, content)
            case "GET", ["v1", "provisioning", "folder", folder, "rule-groups", name]:
                return self._held(org, "rules", f"{folder}/{name}")
            case "PUT", ["v1", "provisioning", "folder", folder, "rule-groups", name]:
                if (org, "folder", folder) not in self.held:
                    return 404, {"message": "folder does not exist"}
                if any(rule["orgID"] != org or not rule["data"] for rule in content["rules"]):
                    return 400, {"message": "invalid alert rule"}
                rules = [rule | {"provenance": "api", "updated": "now"} for rule in content["rules"]]
                return self._save(org, "rules", f"{folder}/{name}", content | {"rules": rules})
        return 404, {"message": "Not found"}

    def _save_source(self, org: int, content: Json) -> Answer:
        self.passwords[org] = content.get("secureJsonData", {})
        seen = {name: value for name, value in content.items() if name != "secureJsonData"}
        seen |= {"readOnly": False, "secureJsonFields": dict.fromkeys(self.passwords[org], True)}
        return self._save(org, "source", content["uid"], seen)

    def _save_board(self, org: int, content: Json) -> Answer:
        board, folder = content["dashboard"], content.get("folderUid", "")
        uid = board.get("uid") or ""
        if not board.get("title") or not 0 < len(uid) <= 40 or isinstance(board.get("id"), int):
            return 400, {"message": "bad request data"}
        if folder and (org, "folder", folder) not in self.held:
            return 404, {"message": "folder not found"}
        before = self.held.get((org, "board", uid))
        if before and not content.get("overwrite") and board.get("version") != before["dashboard"]["version"]:
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        version = before["dashboard"]["version"] + 1 if before else 1
        saved = {"dashboard": board | {"id": 7, "version": version}, "meta": {"folderUid": folder, "isStarred": False}}
        self._save(org, "board", uid, saved)
        return 200, {"id": 7, "uid": uid, "status": "success", "version": version}

    def _save(self, org: int, kind: str, uid: str, content: Json) -> Answer:
        before = self.held.get((org, kind, uid), {"version": 0})
        self.held[org, kind, uid] = without_nulls(content) | {"version": before["version"] + 1}
        return 200, self.held[org, kind, uid]

    def _held(self, org: int, kind: str, uid: str) -> Answer:
        found = self.held.get((org, kind, uid))
        return (200, found) if found else (404, {"message": "Not found"})


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


@contextmanager
def grafana() -> Iterator[Grafana]:
    """A running one."""
    state = Grafana()
    expected = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            where = urlsplit(self.path)
            path = [unquote(part) for part in where.path.split("/")[2:]]
            query = {name: values[0] for name, values in parse_qs(where.query).items()}
            if self.headers.get("Authorization") != expected:
                self._say(401, {"message": "Invalid username or password"})
                return
            writes = self.command != "GET"
            if writes:
                state.writes.append(f"{self.command} {where.path}")
            breaks = writes and len(state.writes) == state.break_at
            if breaks and not state.lose:
                self._say(500, {"message": "database is locked"})
                return
            org = int(self.headers.get("X-Grafana-Org-Id") or 1)
            answer = state.answer(self.command, path, query, content, org)
            if breaks:
                self.close_connection = True
                return
            self._say(*answer)

        def _say(self, status: int, content: Any) -> None:
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
