"""What the application can't answer."""

from ingest import wsgi


def test_the_log_names_the_path_and_not_the_query(caplog):
    def broken(environ, start_response):
        raise RuntimeError("out of order")

    environ = {
        "REQUEST_METHOD": "GET",
        "REMOTE_ADDR": "192.0.2.1",
        "RAW_URI": "/c/acme/mail/news?s=anna%40mail.example",
    }
    answer = wsgi.call(broken, environ, b"", "Fri, 27 Nov 2026 12:00:00 GMT", last=False)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert "/c/acme/mail/news could not be answered" in caplog.text
    assert "anna" not in caplog.text
