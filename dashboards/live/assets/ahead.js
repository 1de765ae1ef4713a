// Has the server begin to read what this page will show, while its other scripts still load. Only the browser knows the
// viewer's time zone.
fetch(`/ahead?${new URLSearchParams({
    path: location.pathname,
    query: location.search,
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
})}`);
