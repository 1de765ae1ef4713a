// Draws what the server hands out: key figures, charts and the table, in the viewer's time zone and colours.
(() => {
    "use strict";

    const STALE_S = 10;
    const SERVER_AWAY_MS = 8000;
    const MINUTE_MS = 60000;

    // Where the minutes begin that are still filling: a hit may take as long as numbers count as fresh.
    const openFrom = (data) => Math.floor(((data.asked || data.now) - STALE_S * 1000) / MINUTE_MS) * MINUTE_MS;

    const count = new Intl.NumberFormat("en");
    const ratio = new Intl.NumberFormat("en", {style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2});
    const clock = new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit"});
    const clockSeconds = new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit", second: "2-digit"});

    let last = null; // {data, panels, at}: the newest answer, and when it came
    let heard = 0; // when the server was last known to be there

    const set = (id, props) => window.dash_clientside.set_props(id, props);
    const element = (type, props) => ({namespace: "dash_html_components", type, props});

    function text(value, unit) {
        if (value === null || value === undefined) return "–";
        if (unit === "ratio") return ratio.format(value);
        return unit === "count" ? count.format(value) : String(value);
    }

    // The first row of a panel's answer, by column name.
    function figures(panel, rows) {
        const row = rows[panel.id]?.[0] ?? [];
        return Object.fromEntries(panel.columns.map((column, i) => [column.name, row[i] ?? null]));
    }

    const newestOf = (data) => data.rows.newest?.[0]?.[0] ?? null;

    function drawStat(panel, data) {
        if (panel.id === "newest") return; // the header says it
        const values = figures(panel, data.rows);
        const said = Object.fromEntries(panel.columns.map(({name, unit}) => [name, text(values[name], unit)]));
        for (const column of panel.columns.filter(({shown}) => shown)) {
            const named = [...column.note.matchAll(/{(\w+)}/g)].map(([, name]) => name);
            const known = [column.name, ...named].every((name) => values[name] !== null);
            const note = column.note.replace(/{(\w+)}/g, (_, name) => said[name]);
            set(`value-${column.name}`, {children: said[column.name]});
            set(`note-${column.name}`, {children: known ? note : ""});
        }
        if (panel.id === "dead-letters") {
            set("tile-dead_letters", {hidden: !values.dead_letters});
        }
    }

    // Plotly shows moments as they are written, so they are written in the viewer's time.
    function local(ms, offsetMs) {
        return new Date(ms + offsetMs).toISOString().slice(0, 19);
    }

    function palette() {
        const style = getComputedStyle(document.documentElement);
        const colour = (name) => style.getPropertyValue(`--${name}`).trim();
        return Object.fromEntries(
            ["accent", "wash", "second", "second-wash", "ink", "quiet", "line", "surface"].map((name) => [name, colour(name)])
        );
    }

    // A rate is the accent over a quiet area of what it was made from; else the first count is the accent.
    function looks(columns, colours) {
        const rated = columns.some(({unit}) => unit === "ratio");
        return columns.map(({unit}, i) => {
            const accent = rated ? unit === "ratio" : i === 0;
            return {
                colour: accent ? colours.accent : colours.second,
                fill: unit === "ratio" || (!rated && i > 0) ? null : accent ? colours.wash : colours["second-wash"],
            };
        });
    }

    function drawSeries(panel, data) {
        const colours = palette();
        const offsetMs = -new Date(data.now).getTimezoneOffset() * MINUTE_MS;
        const rows = data.rows[panel.id] ?? [];
        const openMs = openFrom(data);
        const closed = rows.filter(([minute]) => minute < openMs);
        const open = rows.filter(([minute]) => minute >= openMs);
        const columns = panel.columns.slice(1);
        const styles = looks(columns, colours);
        const traces = columns.flatMap((column, i) => {
            const of = (some) => ({
                x: some.map(([minute]) => local(minute, offsetMs)),
                y: some.map((row) => row[i + 1]),
                yaxis: column.unit === "ratio" ? "y2" : "y",
            });
            const value = column.unit === "ratio" ? "%{y:.2%}" : "%{y:,d}";
            return [
                {
                    ...of(closed), type: "scatter", mode: "lines", name: column.title,
                    line: {color: styles[i].colour, width: closed.length > 400 ? 1 : 1.75},
                    fill: styles[i].fill ? "tozeroy" : "none", fillcolor: styles[i].fill,
                    hovertemplate: `${column.title} <b>${value}</b><extra></extra>`,
                },
                {
                    ...of(open), type: "scatter", mode: "markers", name: `${column.title} so far`,
                    marker: {color: colours.surface, size: 7, line: {color: styles[i].colour, width: 1.5}},
                    cliponaxis: false,
                    hovertemplate: `${column.title} so far <b>${value}</b><extra></extra>`,
                },
            ];
        });
        set(`chart-${panel.id}`, {figure: {data: traces, layout: frame(panel, data, rows, offsetMs, colours)}});
        drawLegend(panel, columns, styles, closed.at(-1));
    }

    // What the viewer zoomed in to, unless the range was changed since; Plotly itself forgets it (4.1.1).
    function zoom(panel, data) {
        const shown = document.querySelector(`#chart-${panel.id} .js-plotly-plot`)?.layout;
        return shown?.uirevision === data.span && !shown.xaxis.autorange ? {range: shown.xaxis.range} : {};
    }

    function frame(panel, data, rows, offsetMs, colours) {
        const columns = panel.columns.slice(1);
        const rated = columns.some(({unit}) => unit === "ratio");
        const most = Math.max(0, ...rows.flatMap((row) => row.slice(1).filter((_, i) => columns[i].unit === "count")));
        const axis = {rangemode: "tozero", fixedrange: true, zeroline: false, nticks: 5, tickmode: "auto", ticklabelstandoff: 4, tickfont: {color: colours.quiet}};
        return {
            uirevision: data.span,
            autosize: true,
            margin: {l: 42, r: rated ? 50 : 16, t: 8, b: 24},
            paper_bgcolor: "rgba(0,0,0,0)",
            plot_bgcolor: "rgba(0,0,0,0)",
            font: {family: getComputedStyle(document.body).fontFamily, size: 11, color: colours.ink},
            showlegend: false,
            hovermode: "x unified",
            hoverlabel: {bgcolor: colours.surface, bordercolor: colours.line, font: {color: colours.ink, size: 12}},
            dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
            xaxis: {
                ...zoom(panel, data),
                type: "date", showgrid: false, zeroline: false, linecolor: colours.line, showline: true,
                autorangeoptions: {clipmax: local(data.end - MINUTE_MS / 2, offsetMs)},
                tickformat: "%H:%M", hoverformat: "%H:%M", nticks: 7, tickfont: {color: colours.quiet},
                showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "solid", spikecolor: colours.line,
            },
            yaxis: {...axis, gridcolor: colours.line, tickformat: "~s", ...(most < 5 ? {tickmode: "linear", dtick: 1} : {})},
            yaxis2: {...axis, overlaying: "y", side: "right", showgrid: false, tickformat: "~p", hoverformat: ".2%"},
            shapes: [{
                type: "rect", layer: "below", yref: "paper", y0: 0, y1: 1, line: {width: 0}, fillcolor: colours["second-wash"],
                x0: local(openFrom(data) - MINUTE_MS / 2, offsetMs), x1: local(data.end - MINUTE_MS / 2, offsetMs),
            }],
        };
    }

    // Names the lines and says the newest full minute's values, also for who can't see the chart.
    function drawLegend(panel, columns, styles, row) {
        const items = columns.map((column, i) => element("Span", {
            className: "key",
            children: [
                element("I", {className: styles[i].colour === palette().accent ? "accent" : "second"}),
                `${column.title} `,
                element("B", {children: row ? text(row[i + 1], column.unit) : "–"}),
            ],
        }));
        const when = row ? `in ${clock.format(row[0])}` : "";
        set(`legend-${panel.id}`, {
            children: [...items, element("Span", {className: "when", children: when}), element("Span", {className: "open", children: "○ still filling"})],
        });
    }

    function drawTable(panel, data) {
        const names = panel.columns.filter(({unit}) => unit === "text").length;
        const rows = (data.rows[panel.id] ?? []).map((row) => {
            const [path, leaf] = [row.slice(0, 2), row.slice(2, names).filter(Boolean)];
            const unit = element("Th", {
                scope: "row",
                children: [element("Span", {children: `${path.join(" / ")} / `}), element("B", {children: leaf.join(" / ")})],
            });
            const numbers = panel.columns.slice(names).map((column, i) => element("Td", {
                children: text(row[names + i], column.unit), "data-title": column.title,
            }));
            return element("Tr", {key: row.slice(0, names).join("/"), children: [unit, ...numbers]});
        });
        set(`rows-${panel.id}`, {children: rows});
    }

    function zone(ms) {
        const offset = new Intl.DateTimeFormat("en", {timeZoneName: "shortOffset"}).formatToParts(ms)
            .find(({type}) => type === "timeZoneName").value;
        return `${Intl.DateTimeFormat().resolvedOptions().timeZone} (${offset.replace("GMT", "UTC")})`;
    }

    function ago(seconds) {
        if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`;
        if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
        return `${Math.round(seconds / 3600)} h`;
    }

    // How far the page can be believed, in one sentence: [state, sentence].
    function freshness() {
        const {data, at} = last;
        const waited = performance.now() - at;
        if (performance.now() - heard > SERVER_AWAY_MS) {
            return ["away", `The live page's server doesn't answer. Numbers are from ${clockSeconds.format(data.asked || data.now)}.`];
        }
        if (data.error) {
            const from = data.asked ? ` Numbers are from ${clockSeconds.format(data.asked)}.` : "";
            return ["away", `${data.error}${from} Trying again.`];
        }
        const newest = newestOf(data);
        if (newest === null) return ["idle", "Waiting for a hit"];
        const age = (data.now - newest + waited) / 1000;
        if (age <= STALE_S) return ["fresh", `Newest hit counted ${ago(age)} ago`];
        return ["stale", `Newest hit counted ${ago(age)} ago: no traffic since, or ingest, streams or sink is behind.`];
    }

    function tick() {
        if (!last) return;
        const [state, sentence] = freshness();
        set("freshness", {children: sentence, className: `freshness ${state}`});
    }

    function drawEmpty(data) {
        set("empty-title", {children: data.ever ? `No hits in the last ${data.span}` : "No hits yet"});
        set("empty-text", {children: data.ever ? "Earlier ones are there: choose a longer range." : "Everything is ready to count."});
    }

    function receive(data, panels) {
        if (!data) return;
        last = {data, panels, at: performance.now()};
        heard = last.at;
        draw();
    }

    function draw() {
        const {data, panels} = last;
        const known = data.asked > 0;
        const empty = known && newestOf(data) === null;
        const states = [!known && "unknown", data.error && "outdated", empty && "empty", empty && !data.ever && "never"];
        set("page", {className: ["page", ...states.filter(Boolean)].join(" ")});
        set("range", {children: `${clock.format(data.start)} to now · times in ${zone(data.now)}`});
        if (empty) drawEmpty(data);
        const pictures = {stat: drawStat, series: drawSeries, table: drawTable};
        for (const panel of panels) pictures[panel.picture](panel, data);
        tick();
    }

    setInterval(tick, 1000);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => last && draw());
    // A hidden tab is polled seldom: that isn't the server's fault.
    document.addEventListener("visibilitychange", () => {
        if (!document.hidden) heard = performance.now();
    });

    window.dash_clientside = {...window.dash_clientside, pixeltally: {receive}};
})();
