"""Keeps the answers of what is looked at: a few threads for all viewers, asking only while someone is looking.

A page never waits on ClickHouse: it gets the newest :class:`Snapshot` of its view, which is refreshed for as long as
it was asked for lately. So the load doesn't grow with viewers of the same view, and a ClickHouse that is away or slow
leaves the page answering.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dashboards.boards.board import choices
from dashboards.live.clickhouse import ClickHouse, Rows, Unanswered, Unavailable
from dashboards.live.view import View, Window
from dashboards.macros import expand
from dashboards.panel import Panel

#: Seconds between two rounds of queries.
REFRESH_S = 1.0
#: After a round a view rests for so many times what it took: large ranges are refreshed less often instead of taking
#: all of ClickHouse. All panels are read in one round, so that they never contradict one another for long.
REST = 2
#: Seconds that a view stays watched after someone asked for it; more than a hidden tab's slowed timer.
WATCH_S = 10.0
#: The newest minutes, which later facts may still change; the rest of a series is read once a minute.
UNSETTLED_S = 5 * 60
REREAD_S = 60.0
#: What takes long rests so many times what it took, where that is more than a minute.
REREAD_REST = 20
#: Views that are watched at most; of more, those go first that were asked for longest ago.
MOST_VIEWS = 100
#: Views that are refreshed at a time: a large range doesn't hold the others up.
READERS = 3
#: Seconds that a page waits for a view's first answer; then it shows the board without numbers and asks again.
PATIENCE_S = 0.1
#: Seconds that a stop waits for a query that runs.
STOP_S = 2.0

_NEWEST = """
SELECT max(newest)
FROM
(
    SELECT maxOrNull(ts) AS newest FROM impressions WHERE $__timeFilter(ts)
    UNION ALL
    SELECT maxOrNull(ts) AS newest FROM clicks WHERE $__timeFilter(ts)
)
"""
_EVER = "SELECT 1 FROM impressions LIMIT 1"


@dataclass(frozen=True)
class Question:
    """One query of a view. It `grows` where a moment's row says the same however much of the range is read."""

    id: str
    sql: str
    grows: bool = False
    seldom: bool = False  #: read once a minute


@dataclass(frozen=True)
class Snapshot:
    """What a page shows of one view. Times are epoch milliseconds, by this machine's clock."""

    window: Window
    asked: int = 0  #: when ClickHouse last answered; 0 if it never did
    newest: int | None = None  #: the newest hit of the range
    ever: bool = True  #: has anything been counted at all, also outside the range?
    rows: dict[str, Rows] = field(default_factory=dict)  #: by question; one that isn't answered yet is missing
    failed: dict[str, str] = field(default_factory=dict)  #: why there is no answer, by question
    whole: bool = False  #: every question has been asked
    error: str = ""
    stamp: int = 0  #: another one whenever anything else changed


def questions(view: View) -> list[Question]:
    """All that a view asks: its panels, what can be chosen, what its series are marked with."""
    panels = [_question(panel) for panel in view.board.panels]
    scope = view.board.scope
    offered = [
        Question(scope[place], choices(scope, place), seldom=True)
        for place in range(len(scope))
        if not (view.tenant and scope[place] == "advertiser")
    ]
    marks = [Question(each.name, each.sql, seldom=True) for each in view.board.marks(view.tenant)]
    return [*panels[:1], *offered, *sorted(panels[1:], key=lambda panel: panel.seldom), *marks]


def _question(panel: Panel) -> Question:
    grows = panel.picture == "series" and "$__timeInterval(" in panel.sql and not panel.whole
    return Question(panel.id, panel.sql, grows, panel.seldom)


@dataclass
class _Reading:
    """A question's answer over one range."""

    rows: Rows = field(default_factory=list)
    window: Window = Window(0, 0, 0)
    failed: str = ""  #: why there are no rows
    whole_due: float = 0.0  #: when all of it is to be read again, monotonic seconds


class Watched:
    """A view's answers, brought up to date by :meth:`refresh`."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.until = 0.0  #: monotonic seconds
        self.due = 0.0
        self.busy = False
        self.snapshot: Snapshot | None = None
        self._questions = questions(view)
        self._readings = {each.id: _Reading() for each in self._questions}

    def refresh(self, clickhouse: ClickHouse, now_s: float, publish: Callable[[], None] = lambda: None) -> None:
        """Bring `snapshot` up to `now_s`; when ClickHouse can't answer, keep its numbers and say so.

        The first round is shown as its answers come, each followed by `publish`; later ones when they are whole.
        """
        window = self.view.window(now_s)
        before = self.snapshot or Snapshot(window)
        asked = round(now_s * 1000)
        try:
            newest = self._newest(clickhouse, window, before)
            ever = newest is not None or bool(clickhouse.ask(_EVER, tenant=self.view.tenant))
            is_settled = window.end_s < now_s - UNSETTLED_S
            for each in self._questions:
                self._read(each, clickhouse, window, is_settled)
                if not before.whole:
                    self._show(Snapshot(window, asked, newest, ever, *self._answers()))
                    publish()
            self._show(Snapshot(window, asked, newest, ever, *self._answers(), whole=True))
        except Unavailable as error:
            self._show(replace(self.snapshot or before, error=str(error)))

    def _show(self, snapshot: Snapshot) -> None:
        last = self.snapshot.stamp if self.snapshot else 0
        self.snapshot = replace(snapshot, stamp=last + 1)

    def _answers(self) -> tuple[dict[str, Rows], dict[str, str]]:
        """The rows by question, and why others have none."""
        asked = {id: each for id, each in self._readings.items() if each.window.end_s}
        failed = {id: each.failed for id, each in asked.items() if each.failed}
        return {id: each.rows for id, each in asked.items() if id not in failed}, failed

    def _ask(self, clickhouse: ClickHouse, sql: str, window: Window) -> Rows:
        texts, parameters = self.view.variables()
        expanded = expand(sql.strip(), window.start_s, window.end_s, window.step_s, texts, until="<")
        return clickhouse.ask(expanded, parameters, self.view.tenant)

    def _newest(self, clickhouse: ClickHouse, window: Window, before: Snapshot) -> int | None:
        """The newest hit: looked for in the last minutes, and in ever more of the range as long as there is none."""
        length_s = UNSETTLED_S
        while True:
            start_s = max(window.start_s, window.end_s - length_s)
            found = self._ask(clickhouse, _NEWEST, window._replace(start_s=start_s))[0][0]
            known = before.newest if before.newest and before.newest >= window.start_s * 1000 else None
            if found is not None or known is not None or start_s == window.start_s:
                return max(filter(None, (found, known)), default=None)
            length_s *= 12

    def _read(self, question: Question, clickhouse: ClickHouse, window: Window, is_settled: bool) -> None:
        """Bring a question's answer up to date. One that fails rests like those that take as long."""
        reading = self._readings[question.id]
        began = time.monotonic()
        is_known = began < reading.whole_due and window.step_s == reading.window.step_s
        if is_known and (question.seldom or is_settled or reading.failed):
            return
        try:
            if is_known and question.grows:
                return self._read_on(reading, question, clickhouse, window)
            reading.rows, reading.failed = self._ask(clickhouse, question.sql, window), ""
        except Unanswered as error:
            reading.rows, reading.failed = [], str(error)
        reading.window = window
        reading.whole_due = began + max(REREAD_S, REREAD_REST * (time.monotonic() - began))

    def _read_on(self, reading: _Reading, question: Question, clickhouse: ClickHouse, window: Window) -> None:
        """A series whose settled moments are known already: read the newest ones, drop what left the range."""
        start_s = window.start_s // window.step_s * window.step_s
        from_s = max(start_s, (reading.window.end_s - UNSETTLED_S) // window.step_s * window.step_s)
        newer = self._ask(clickhouse, question.sql, window._replace(start_s=max(from_s, window.start_s)))
        reading.rows = [row for row in reading.rows if start_s * 1000 <= row[0] < from_s * 1000] + newer
        reading.window = window


class Feed:
    """Keeps a :class:`Snapshot` of every watched view. Use it as a context manager."""

    def __init__(self, clickhouse: ClickHouse, clock: Callable[[], float] = time.time) -> None:
        self._clickhouse = clickhouse
        self._clock = clock
        self._watched: dict[View, Watched] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._readers = [threading.Thread(target=self._run, name=f"feed-{n}", daemon=True) for n in range(READERS)]

    def __enter__(self) -> "Feed":
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._publish()
        for reader in self._readers:
            reader.join(STOP_S)

    def watch(self, view: View) -> Watched:
        """Have the view read from now on."""
        with self._changed:
            watched = self._watched.setdefault(view.question, Watched(view.question))
            watched.until = time.monotonic() + WATCH_S
            self._changed.notify_all()
            return watched

    def snapshot(self, view: View) -> Snapshot | None:
        """The newest snapshot of the view, watched from now; None if none is in time."""
        watched = self.watch(view)
        with self._changed:
            self._changed.wait_for(lambda: watched.snapshot or self._stopped, PATIENCE_S)
            return watched.snapshot

    def _publish(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        while (watched := self._next()) is not None:
            began = time.monotonic()
            watched.refresh(self._clickhouse, self._clock(), self._publish)
            ended = time.monotonic()
            with self._changed:
                watched.due = ended + max(REFRESH_S, REST * (ended - began))
                watched.busy = False
                self._changed.notify_all()

    def _next(self) -> Watched | None:
        """Wait for a view whose turn it is; None when the feed stops."""
        with self._changed:
            while not self._stopped:
                self._forget()
                now = time.monotonic()
                idle = sorted((each for each in self._watched.values() if not each.busy), key=lambda each: each.due)
                if idle and idle[0].due <= now:
                    idle[0].busy = True
                    return idle[0]
                self._changed.wait(idle[0].due - now if idle else None)
            return None

    def _forget(self) -> None:
        """Drop views that nobody asks for any more, and the oldest of too many."""
        now = time.monotonic()
        kept = sorted((each for each in self._watched.values() if each.until > now), key=lambda each: -each.until)
        self._watched = {each.view: each for each in kept[:MOST_VIEWS]}
