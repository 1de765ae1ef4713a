"""The embedded ClickHouse as a tenant sees it: its one user has just the rights that the SQL for a server gives.

The engine knows no CREATE USER, but it enforces grants, limits and row filters of a configuration file as a server does
its own; so they are read out of that SQL and put there. Its one user is called `default`, and so must be the tenant.
"""

import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONFIG = """<clickhouse>
<user_directories><users_xml><path>tenant.xml</path></users_xml></user_directories>
<profiles><default>{limits}</default></profiles>
<quotas><default/></quotas>
<users><default>
  <password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
  <grants><query>{grant}</query></grants>
  <databases><pixeltally>{filters}</pixeltally></databases>
</default></users>
</clickhouse>
"""


class Denied(Exception):
    """What the tenant asked for was refused."""


class Tenant:
    """Asks as the tenant."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, query: str) -> list[list[Any]]:
        """The rows; raises :class:`Denied`."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(query), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        if isinstance(answer, str):
            raise Denied(answer)
        return answer


@contextmanager
def tenant(data: Path, statements: Collection[str], uncovered: Collection[str] = ()) -> Iterator[Tenant]:
    """The tenant `default` that the statements make, on a stopped engine's data; `uncovered` tables have no policy."""
    config = data / "tenant.xml"
    config.write_text(_config("\n".join(statements), uncovered))
    address = f"{data / 'clickhouse'}?config-file={config}"
    command = [sys.executable, __file__, address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Tenant(process)
        assert process.stdin
        process.stdin.close()


def _config(sql: str, uncovered: Collection[str]) -> str:
    [grant] = re.findall(r"^(GRANT SELECT .*) TO \w+ WITH REPLACE OPTION$", sql, re.MULTILINE)
    [policy] = re.findall(
        r"^CREATE ROW POLICY OR REPLACE \w+ ON (.*) USING (.*) AS PERMISSIVE TO \w+$", sql, re.MULTILINE
    )
    [restriction] = re.findall(r"^CREATE ROW POLICY .* ON (.*) USING (.*) AS RESTRICTIVE TO \w+$", sql, re.MULTILINE)
    assert policy == restriction
    tables, own = policy
    [limits] = re.findall(r"SETTINGS (readonly .*) TO", sql)
    covered = [table.removeprefix("pixeltally.") for table in tables.split(", ")]
    return CONFIG.format(
        grant=grant,
        limits="".join(f"<{name}>{value}</{name}>" for name, value in re.findall(r"(\w+) = (\d+)", limits)),
        filters="".join(f"<{table}><filter>{own}</filter></{table}>" for table in covered if table not in uncovered),
    )


def _serve(address: str) -> None:
    from chdb.state.sqlitelike import connect

    engine = connect(address)
    for line in sys.stdin:
        try:
            rows = engine.query(json.loads(line), "JSONCompactEachRow").bytes().decode().splitlines()
            print(json.dumps([json.loads(row) for row in rows]), flush=True)
        except Exception as error:
            print(json.dumps(str(error)), flush=True)
    engine.close()


if __name__ == "__main__":
    _serve(sys.argv[1])
