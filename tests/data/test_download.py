import hashlib
import http.server
import threading
from typing import ClassVar

import pytest

from hybrid_seq_gnn.data.download import download
from hybrid_seq_gnn.data.movielens import MovieLens100K

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the first request to /cut breaks off half way."""

    ranges = True
    asked: ClassVar[list[str | None]] = []

    def do_GET(self):
        Handler.asked.append(self.headers.get("Range"))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = 0
        if Handler.ranges and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
        else:
            self.send_response(200)
        body = CONTENT[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path == "/cut" and len(Handler.asked) == 1:
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def url():
    Handler.asked, Handler.ranges = [], True
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_comes_whole_and_only_once(url, tmp_path):
    path = tmp_path / "new" / "x.zip"
    assert download(f"{url}/x", path, MD5).read_bytes() == CONTENT
    download(f"{url}/x", path, MD5)
    assert len(Handler.asked) == 1
    assert [p.name for p in path.parent.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_is_continued_or_begun_anew(url, tmp_path, ranges):
    Handler.ranges = ranges
    path = tmp_path / "x.zip"
    with pytest.raises(ValueError, match=r"after 512,000 of 1,024,000 bytes.*512,000 bytes are kept.*data\.path="):
        download(f"{url}/cut", path, MD5)
    assert not path.exists()
    assert download(f"{url}/cut", path, MD5).read_bytes() == CONTENT
    assert Handler.asked == [None, "bytes=512000-"]


def test_a_file_with_another_checksum_is_thrown_away(url, tmp_path):
    with pytest.raises(ValueError, match=f"has md5 {MD5}, expected 0000.*deleted"):
        download(f"{url}/x", tmp_path / "x.zip", "0000")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_said(url, tmp_path):
    with pytest.raises(ValueError, match=r"the server answers 404 Not Found.*data\.path="):
        download(f"{url}/missing", tmp_path / "x.zip", MD5)


def test_a_server_that_cannot_be_reached_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be fetched.*data\.path="):
        download("http://127.0.0.1:9/x", tmp_path / "x.zip", MD5)


def test_movielens_is_fetched_where_no_path_is_given(url, tmp_path):
    source = MovieLens100K(url=f"{url}/ml-100k.zip", cache_dir=str(tmp_path))
    with pytest.raises(ValueError, match=f"expected {MovieLens100K.md5}"):
        source.content()
