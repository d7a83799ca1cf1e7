"""Download a file once and verify its checksum."""

import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.request
from pathlib import Path

from hybrid_seq_gnn.bars import tqdm
from hybrid_seq_gnn.errors import UserError

log = logging.getLogger(__name__)

CHUNK = 1 << 16
TIMEOUT = 30  # seconds without a response


def download(url: str, path: Path, md5: str) -> Path:
    """Download `url` to `path`, unless `path` exists.

    A partial download is kept in `path`.part and resumed by the next call. It is renamed to `path` once it is complete
    and its checksum is right.

    Raises:
        UserError: the server cannot be reached or does not have the file, the connection broke, the checksum does
            not match, or the folder cannot be written.
    """
    if path.exists():
        return path
    part = path.with_name(f"{path.name}.part")
    if part.is_symlink():
        raise UserError(f"{part} is a symbolic link, which is not followed. Remove it.")
    instead = "Download it another way and pass it as data.path=…"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(url, part)
    except urllib.error.HTTPError as error:
        raise UserError(f"{url}: the server answers {error.code} {error.reason}. {instead}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        partial = f"{part.stat().st_size:,} bytes are kept, and the next run resumes there. " if part.exists() else ""
        raise UserError(f"{url} cannot be fetched: {reason}. {partial}{instead}") from error
    except OSError as error:
        raise UserError(
            f"{part} cannot be written: {error.strerror}. Choose another folder with data.cache_dir=…"
        ) from error
    actual = hashlib.md5(part.read_bytes(), usedforsecurity=False).hexdigest()
    if actual != md5:
        part.unlink()
        raise UserError(f"{url}: the downloaded file has md5 {actual}, expected {md5}; it was deleted. {instead}")
    os.replace(part, path)
    return path


def fetch(url: str, part: Path) -> None:
    """Append to `part` the bytes of `url` that it does not have yet."""
    offset = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={offset}-"} if offset else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing
            return
        raise
    with response:
        continues = response.status == 206
        length = response.headers.get("Content-Length")
        total = None if length is None else int(length) + (offset if continues else 0)
        log.info("fetching %s", url)
        with (
            part.open("ab" if continues else "wb") as file,
            tqdm(total=total, initial=offset if continues else 0, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"the connection ended after {part.stat().st_size:,} of {total:,} bytes")
