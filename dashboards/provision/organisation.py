"""What an advertiser's organisation holds, step by step. Each step looks first and changes only what differs."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from dashboards.boards import TENANT_BOARDS
from dashboards.boards.alerts import GROUP, TENANT_ALERTS, group
from dashboards.boards.render import FOLDER, FOLDER_UID, PLUGIN, SOURCE_UID, dashboard
from dashboards.provision.api import Failed, Grafana
from dashboards.provision.drift import drift
from pixeltally.database import DATABASE
from pixeltally.settings import Settings
from pixeltally.signing import password

Json = dict[str, Any]

#: What belongs to the server and to no organisation, and is open to us where we are no member.
_OF_SERVER = ("orgs", "users", "admin")

#: Paths of a difference that are told; there may be hundreds.
_TOLD = 3


@dataclass(frozen=True)
class Tenant:
    """An advertiser and how Grafana reaches ClickHouse as it."""

    advertiser: str
    host: str
    port: int
    secure: bool
    user: str
    password: str = field(repr=False)
    key_id: str  #: of the key that the password is made from: another key, another password

    @property
    def organisation(self) -> str:
        """The organisation's name."""
        return f"Pixeltally {self.advertiser}"

    @property
    def viewer(self) -> str:
        """The login of who may look."""
        return f"pixeltally-{self.advertiser}"


def tenant(settings: Settings, advertiser: str) -> Tenant:
    """The advertiser with the ClickHouse user that `pixeltally advertiser add` makes."""
    where, key = urlsplit(settings.clickhouse), settings.keys().signing()
    secure = where.scheme == "https"
    return Tenant(
        advertiser=advertiser,
        host=where.hostname or "",
        port=where.port or (8443 if secure else 8123),
        secure=secure,
        user=f"tenant_{advertiser}",
        password=password(key, advertiser),
        key_id=key.id,
    )


class Organisation:
    """One advertiser's part of Grafana, being brought to what it should be.

    `say` hears each change before it is made; with `dry` none is made.
    """

    def __init__(self, grafana: Grafana, tenant: Tenant, say: Callable[[str], None], dry: bool) -> None:
        self._grafana = grafana
        self._tenant = tenant
        self._say = say
        self._dry = dry
        self._id = 0  # there is none yet
        self.changes = 0

    def settle(self) -> None:
        """All of it, in an order that a broken run can be taken up from; raises :class:`Failed`."""
        self._organisation()
        self._administrator()
        self._source()
        self._folder()
        for board in TENANT_BOARDS:
            self._board(dashboard(board, self._tenant.advertiser))
        self._rules()
        self._viewer()

    def check(self) -> None:
        """Let Grafana ask ClickHouse; raises :class:`Failed` where that doesn't work."""
        health = self._find("datasources", "uid", SOURCE_UID, "health")
        if health is None or health.get("status") != "OK":
            reason = (health or {}).get("message", "no data source")
            raise Failed(f"the data source doesn't reach ClickHouse as {self._tenant.user}: {reason}")

    def _organisation(self) -> None:
        name = self._tenant.organisation
        found = self._grafana.find("orgs", "name", name)
        if found is None:
            found = self._change(f"make organisation {name}", "post", "orgs", content={"name": name})
        self._id = int(found.get("id") or found["orgId"]) if found else 0

    def _administrator(self) -> None:
        """Whoever made the organisation administers it; in one that was there, we may be nobody."""
        if not self._id:
            return
        user, place = self._grafana.user, ("orgs", str(self._id), "users")
        roles = {each["login"]: each for each in self._grafana.find(*place)}
        if user not in roles:
            who = {"loginOrEmail": user, "role": "Admin"}
            self._change(f"make {user} its administrator", "post", *place, content=who)
        elif roles[user]["role"] != "Admin":
            number = str(roles[user]["userId"])
            self._change(f"make {user} its administrator", "patch", *place, number, content={"role": "Admin"})

    def _source(self) -> None:
        tenant = self._tenant
        wanted = {
            "uid": SOURCE_UID,
            "name": "Pixeltally",
            "type": PLUGIN,
            "access": "proxy",
            "isDefault": True,
            "jsonData": {
                "host": tenant.host,
                "port": tenant.port,
                "protocol": "http",
                "secure": tenant.secure,
                "username": tenant.user,
                "defaultDatabase": DATABASE,
                "pixeltallyKey": tenant.key_id,
            },
        }
        at = ("datasources", "uid", SOURCE_UID)
        found = self._find(*at)
        content = wanted | {"secureJsonData": {"password": tenant.password}}
        if found is None:
            self._change("make data source", "post", "datasources", content=content)
        else:
            seen = wanted | {"secureJsonFields": {"password": True}}
            self._set_back("data source", seen, found, "put", *at, content=content)

    def _folder(self) -> None:
        wanted = {"uid": FOLDER_UID, "title": FOLDER}
        found = self._find("folders", FOLDER_UID)
        if found is None:
            self._change(f"make folder {FOLDER}", "post", "folders", content=wanted)
        else:
            content = {"title": FOLDER, "overwrite": True}
            self._set_back(f"folder {FOLDER}", wanted, found, "put", "folders", FOLDER_UID, content=content)

    def _board(self, board: Json) -> None:
        what = f"board {board['title']}"
        found = self._find("dashboards", "uid", board["uid"])
        content = {"dashboard": board, "folderUid": FOLDER_UID, "overwrite": True, "message": "pixeltally grafana"}
        if found is None:
            self._change(f"make {what}", "post", "dashboards", "db", content=content)
        else:
            wanted = {"dashboard": board, "meta": {"folderUid": FOLDER_UID}}
            self._set_back(what, wanted, found, "post", "dashboards", "db", content=content)

    def _rules(self) -> None:
        wanted = group(TENANT_ALERTS)
        at = ("v1", "provisioning", "folder", FOLDER_UID, "rule-groups", GROUP)
        found = self._find(*at)
        content = wanted | {"rules": [rule | {"orgID": self._id} for rule in wanted["rules"]]}
        if found is None:
            self._change("make alert rules", "put", *at, content=content)
        else:
            self._set_back("alert rules", wanted, found, "put", *at, content=content)

    def _viewer(self) -> None:
        """A user who looks at this organisation and is in no other."""
        login = self._tenant.viewer
        found = self._grafana.find("users", "lookup", loginOrEmail=login)
        if found is None:
            secret = "-" if self._dry else secrets.token_urlsafe(18)
            who = {"name": f"{self._tenant.advertiser} (viewer)", "login": login, "password": secret, "OrgId": self._id}
            told = f"make viewer {login} with the password {secret} (it is told this once)"
            found = self._change(told, "post", "admin", "users", content=who)
        if found is None:
            return
        number = str(found["id"])
        if found.get("isGrafanaAdmin"):
            at = ("admin", "users", number, "permissions")
            self._change(
                f"take {login}'s administration of Grafana away", "put", *at, content={"isGrafanaAdmin": False}
            )
        roles = {each["orgId"]: each for each in self._grafana.find("users", number, "orgs") or ()}
        own = roles.pop(self._id, None)
        here = ("orgs", str(self._id), "users")
        if own is None:
            who = {"loginOrEmail": login, "role": "Viewer"}
            self._change(f"let {login} in", "post", *here, content=who)
        elif own["role"] != "Viewer":
            told = f"make {login}, {own['role']}, a viewer again"
            self._change(told, "patch", *here, number, content={"role": "Viewer"})
        for other in roles.values():
            told = f"take {login} out of organisation {other['name']}"
            self._change(told, "delete", "orgs", str(other["orgId"]), "users", number)

    def _find(self, *path: str) -> Any:
        """What the organisation has at `path`; nothing where there is no organisation yet."""
        return self._grafana.find(*path, organisation=self._id) if self._id else None

    def _set_back(self, what: str, wanted: Json, found: Json, method: str, *path: str, content: Json) -> None:
        places = list(drift(wanted, found))
        if places:
            more = f" and {len(places) - _TOLD} more" if len(places) > _TOLD else ""
            self._change(f"set {what} back: {', '.join(places[:_TOLD])}{more}", method, *path, content=content)

    def _change(self, told: str, method: str, *path: str, content: Json | None = None) -> Any:
        self.changes += 1
        self._say(f"{self._tenant.advertiser}: {told}")
        if self._dry:
            return None
        organisation = 0 if path[0] in _OF_SERVER else self._id
        return self._grafana.send(method, *path, organisation=organisation, content=content)
