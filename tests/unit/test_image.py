"""Any image as tracker: the registered file, and nothing but the registered files."""

import os

import pytest
from ingesting import Ingest

from ingest import image
from ingest.answers import GIF, PNG


@pytest.fixture
def ingest(tmp_path):
    return Ingest(tmp_path / "data")


def register(ingest, name, data=b"an image"):
    path = ingest.settings.images / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("extension", "content_type"),
    [
        ("gif", "image/gif"),
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("webp", "image/webp"),
        ("svg", "image/svg+xml"),
    ],
)
def test_the_registered_file_is_answered_and_counted(ingest, extension, content_type):
    register(ingest, f"acme/spring/banner/blog.{extension}")
    path = f"/i/acme/spring/banner/blog.{extension}?e=view&s=anna&x=1"
    answer = ingest.get(path)
    assert (answer.status_code, answer.data, answer.headers["Content-Type"]) == (200, b"an image", content_type)
    assert answer.headers["Cache-Control"] == "no-store, no-cache, must-revalidate, private"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ("Content-Security-Policy" in answer.headers) == (extension == "svg")
    [hit] = ingest.read()
    assert (hit.kind, hit.advertiser, hit.campaign, hit.creative, hit.placement) == (
        "view", "acme", "spring", "banner", "blog",
    )  # fmt: skip
    assert (hit.subscriber, hit.params) == ("anna", {"x": "1"})
    head = ingest.client.head(path)
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", "8")
    assert ingest.read() == []


def test_an_svg_may_not_run_anything(ingest):
    register(ingest, "a/b/c.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    policy = ingest.get("/i/a/b/c.svg").headers["Content-Security-Policy"]
    assert {"default-src 'none'", "sandbox"} <= set(policy.split("; "))
    assert "script" not in policy


def test_a_placement_shows_its_creatives_file_where_it_has_none(ingest):
    register(ingest, "a/b/c.png", b"for all")
    register(ingest, "a/b/c/d.png", b"for d")
    assert ingest.get("/i/a/b/c/d.png").data == b"for d"
    assert ingest.get("/i/a/b/c/e.png").data == b"for all"
    assert [hit.placement for hit in ingest.read()] == ["d", "e"]


@pytest.mark.parametrize(("extension", "pixel"), [("jpg", GIF), ("png", PNG), ("svg", GIF)])
def test_without_a_file_the_pixel_is_answered_and_nothing_counted(ingest, extension, pixel):
    answer = ingest.get(f"/i/acme/spring/banner.{extension}")
    assert (answer.status_code, answer.data) == (200, pixel)
    assert answer.headers["Content-Type"] in ("image/gif", "image/png")
    assert ingest.read() == ["no-image"]


@pytest.mark.parametrize(
    "path",
    [
        "/i/../../secret.gif",
        "/i/a/b/../../../secret.gif",
        "/i/a/b/%2e%2e%2f%2e%2e%2fsecret.gif",
        "/i/a/b/..%5c..%5csecret.gif",
        "/i//etc/passwd",
        "/i/%2Fetc/passwd/x.gif",
        "/i/a/b/c.png%00.gif",
        "/i/a/b/c.gif%0a",
        "/i/A/b/c.gif",
        "/i/a/b/c.exe",
        "/i/a/b/c",
        "/i/a/b.gif",
        "/i/%ff/b/c.gif",
    ],
)
def test_other_names_touch_no_file(ingest, path, monkeypatch):
    monkeypatch.setattr(image, "_read", lambda *_: pytest.fail("a file was looked for"))
    answer = ingest.get(path)
    assert (answer.status_code, answer.data) == (200, GIF)
    assert ingest.read() == ["bad-name"]


def test_links_may_lead_to_other_images_but_not_outside(ingest, tmp_path):
    register(ingest, "a/b/c.gif", b"ours")
    (tmp_path / "outside.gif").write_bytes(b"a secret")
    folder = ingest.settings.images / "a" / "b"
    (folder / "same.gif").symlink_to("c.gif")
    (folder / "file.gif").symlink_to(tmp_path / "outside.gif")
    (folder / "secret.gif").symlink_to("../../../secret")
    (folder / "loop.gif").symlink_to("loop.gif")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.gif").write_bytes(b"a secret")
    (ingest.settings.images / "a" / "folder").symlink_to(tmp_path / "elsewhere")
    assert ingest.get("/i/a/b/same.gif").data == b"ours"
    for name in ("b/file", "b/secret", "b/loop", "folder/c"):
        assert ingest.get(f"/i/a/{name}.gif").data == GIF
    assert ingest.read()[1:] == ["no-image"] * 4


def test_what_is_no_file_or_too_large_is_not_answered(ingest, monkeypatch):
    monkeypatch.setattr(image, "MAX_BYTES", 10)
    register(ingest, "a/b/large.gif", b"x" * 11)
    register(ingest, "a/b/fits.gif", b"x" * 10)
    (ingest.settings.images / "a" / "b" / "folder.gif").mkdir()
    os.mkfifo(ingest.settings.images / "a" / "b" / "pipe.gif")
    for name in ("large", "folder", "pipe"):
        assert ingest.get(f"/i/a/b/{name}.gif").data == GIF
    assert ingest.get("/i/a/b/fits.gif").data == b"x" * 10
    assert ingest.read()[:3] == ["no-image"] * 3
