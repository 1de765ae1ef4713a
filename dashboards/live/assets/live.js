// The browser's part: what only it knows (the viewer's time zone, colours, pointer), and what is chosen, into the URL.
(() => {
    "use strict";

    const SERVER_AWAY_MS = 5000;
    const MINUTE_MS = 60000;

    let heard = performance.now(); // when the server was last known to be there
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const coarse = matchMedia("(pointer: coarse)");

    const set = (id, props) => window.dash_clientside.set_props(id, props);

    const browser = () => ({
        zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
        scheme: dark.matches ? "dark" : "light",
        drag: !coarse.matches,
    });

    // Writes what is chosen into the URL, the one place where it stands; empty values leave it.
    function go(changes) {
        const query = new URLSearchParams(location.search);
        for (const [name, value] of Object.entries(changes)) {
            if (value) query.set(name, value);
            else query.delete(name);
        }
        const search = query.toString().replaceAll("%2F", "/").replaceAll("%3A", ":");
        if (search !== location.search.slice(1)) set("url", {search: search && `?${search}`});
    }

    const chosen = (name) => new URLSearchParams(location.search).get(name) ?? "";

    // A choice leaves nothing chosen among what it doesn't hold.
    function choose(...values) {
        const scopes = ["advertiser", "campaign", "creative"];
        const first = scopes.findIndex((scope, place) => (values[place] ?? "") !== chosen(scope));
        if (first < 0) return;
        go(Object.fromEntries(scopes.slice(first).map((scope, place) => [scope, place ? "" : values[first]])));
    }

    function span(value) {
        if (value) go({range: value, from: "", to: ""});
    }

    function zone(value) {
        go({zone: value});
    }

    // From and to are times of the zone that is shown, so it is written beside them.
    function between(from, to, shown) {
        go({range: "", from, to, zone: chosen("zone") || shown.zone});
    }

    function dates(first, last, shown) {
        const known = [chosen("from"), chosen("to")].map((text) => text.slice(0, 10));
        if (first && last && (first !== known[0] || last !== known[1])) between(first, last, shown);
    }

    // What was dragged over on a chart becomes the range of all of them.
    function dragged(events, shown) {
        const ends = events.map((each) => [each?.["xaxis.range[0]"], each?.["xaxis.range[1]"]]).find(([from]) => from);
        if (!ends) return;
        // Plotly's moments are wall clock; read and written as if of UTC, they stay what they are.
        const minutes = ends.map((text) => Math.round(Date.parse(`${text.slice(0, 19).replace(" ", "T")}Z`) / MINUTE_MS));
        minutes[1] = Math.max(minutes[1], minutes[0] + 1);
        between(...minutes.map((minute) => new Date(minute * MINUTE_MS).toISOString().slice(0, 16)), shown);
    }

    // Puts the server's answer into the board. What is the same stays: focus, selection, what is scrolled.
    const drawn = new WeakMap(); // by place: what stands in it
    let newest = null;
    let plotly = null; // asked for when the first numbers stand there
    function draw(answer) {
        if (!answer) return;
        newest = answer;
        const board = document.querySelector(".panels");
        if (board?.dataset.board !== answer.board) {
            requestAnimationFrame(() => newest === answer && draw(answer)); // React is about to make it
            return;
        }
        for (const [id, html] of Object.entries(answer.html)) {
            const place = document.getElementById(id);
            if (!place || drawn.get(place) === html) continue;
            morphdom(place, `<div>${html}</div>`, {childrenOnly: true});
            drawn.set(place, html);
        }
        board.hidden = Boolean(answer.html.nothing);
        if (document.title !== `${answer.board} · Pixeltally`) {
            document.title = `${answer.board} · Pixeltally`;
            document.querySelector("#boards [aria-current]")?.scrollIntoView({block: "nearest", inline: "center"});
        }
        // Charts last: a browser takes as long for its first as for all that stands before it.
        requestAnimationFrame(() => setTimeout(async () => {
            await (plotly ??= load("/assets/vendored/plotly-geo.min.js"));
            if (newest === answer) drawCharts(answer.charts, board);
        }));
    }

    const load = (path) => new Promise((loaded) => {
        const script = document.createElement("script");
        script.src = path;
        script.onload = loaded;
        document.head.append(script);
    });

    function drawCharts(charts, board) {
        for (const place of board.querySelectorAll(".chart")) {
            const chart = charts[place.id.replace("chart-", "")];
            place.classList.toggle("unknown", !chart);
            if (!chart) continue;
            if (place.firstElementChild) set(chart.props.id, {figure: chart.props.figure});
            else set(place.id, {children: chart});
        }
    }

    function hear() {
        heard = performance.now();
    }

    // Links of the page lead on without loading it again.
    document.addEventListener("click", (event) => {
        const link = event.target.closest?.("#boards a, #board a");
        if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        set("url", {pathname: link.pathname, search: link.search});
        scrollTo(0, 0);
    });

    setInterval(() => {
        if (performance.now() - heard < SERVER_AWAY_MS) return;
        const sentence = "The live page's server doesn't answer; this page goes on when it does.";
        set("freshness", {children: sentence, className: "freshness away"});
        set("poll", {disabled: false}); // as after an answer
    }, 1000);
    // A hidden tab is polled seldom: that isn't the server's fault.
    document.addEventListener("visibilitychange", () => {
        if (!document.hidden) heard = performance.now();
    });
    for (const media of [dark, coarse]) media.addEventListener("change", () => set("browser", {data: browser()}));

    window.dash_clientside = {
        ...window.dash_clientside,
        pixeltally: {browser, choose, span, zone, dates, dragged, draw, hear},
    };
})();
