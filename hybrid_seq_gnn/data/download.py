"""Fetch a file once, whole and as it should be, or say clearly why not."""

import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

log = logging.getLogger(__name__)

CHUNK = 1 << 16
TIMEOUT = 30  # seconds without an answer


def download(url: str, path: Path, md5: str) -> Path:
    """Fetch `url` to `path`, unless it is there already.

    What has arrived is kept in `path`.part and continued by the next call; only a file with the right checksum gets its
    name.

    Raises:
        ValueError: the server cannot be reached or does not have the file, the connection broke, the checksum is
            another one, or the folder cannot be written.
    """
    if path.exists():
        return path
    part = path.with_name(f"{path.name}.part")
    instead = "Download it by other means and name it with data.path=…"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(url, part)
    except urllib.error.HTTPError as error:
        raise ValueError(f"{url}: the server answers {error.code} {error.reason}. {instead}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        kept = f"{part.stat().st_size:,} bytes are kept and the next try continues there. " if part.exists() else ""
        raise ValueError(f"{url} cannot be fetched: {reason}. {kept}{instead}") from error
    except OSError as error:
        raise ValueError(
            f"{part} cannot be written: {error.strerror}. Choose another folder with data.cache_dir=…"
        ) from error
    found = hashlib.md5(part.read_bytes(), usedforsecurity=False).hexdigest()
    if found != md5:
        part.unlink()
        raise ValueError(f"{url}: the file that came has md5 {found}, expected {md5}; it was thrown away. {instead}")
    os.replace(part, path)
    return path


def fetch(url: str, part: Path) -> None:
    """Append to `part` what of `url` it does not have yet."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing
            return
        raise
    with response:
        continues = response.status == 206
        length = response.headers.get("Content-Length")
        total = None if length is None else int(length) + (have if continues else 0)
        log.info("fetching %s", url)
        with (
            part.open("ab" if continues else "wb") as file,
            tqdm(total=total, initial=have if continues else 0, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"the connection ended after {part.stat().st_size:,} of {total:,} bytes")
