"""The report in headless Chromium, on a phone and on a desktop, light and dark."""

import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--v=0",
]
FLAGS += ["--virtual-time-budget=8000", "--window-size=1400,1000"]
FRAME = """<!DOCTYPE html><html style="color-scheme: light dark"><body>
<script>addEventListener("message", event => { document.body.innerHTML = "<pre id=probe></pre>";
  document.getElementById("probe").textContent = event.data; });</script>
<iframe src="PAGE" style="width: WIDTHpx; height: 900px; border: 0"></iframe></body></html>"""
PROBE = """<script>
document.querySelectorAll("details").forEach(d => { d.open = OPEN });
addEventListener("load", () => {
  const root = document.documentElement, svg = [...document.querySelectorAll("figure svg")];
  const text = svg.flatMap(s => [...s.querySelectorAll("text")]).filter(t => t.getBoundingClientRect().width);
  const box = t => t.getBoundingClientRect(), frame = t => t.closest("svg").getBoundingClientRect();
  const said = {
    scroll: root.scrollWidth, inner: innerWidth, figures: svg.length, font: Math.min(...text.map(t => box(t).height)),
    outside: text.filter(t => box(t).right > frame(t).right + 2 || box(t).left < frame(t).left - 2).length,
    paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
    requests: performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:")),
    text: getComputedStyle(svg[0].querySelector("text")).fill,
  };
  parent.postMessage(JSON.stringify(said), "*");
});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which is not installed")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_screen_and_follows_the_theme_without_an_error(reported, tmp_path, width, dark):
    unfold = "true" if width == 1280 else "false"
    probe, frame = tmp_path / "probe.html", tmp_path / "frame.html"
    frame.write_text(FRAME.replace("PAGE", probe.name).replace("WIDTH", str(width)))  # windows have at least 500 pixels
    page = (reported[0] / "report.html").read_text()
    probe.write_text(page.replace("</body>", PROBE.replace("OPEN", unfold) + "</body>"))
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    command = [CHROMIUM, *FLAGS, scheme, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", f"file://{frame}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr, done.stderr
    said = json.loads(re.search(r'<pre id="probe">(.*?)</pre>', done.stdout)[1])
    assert said["inner"] == width
    assert said["scroll"] <= width
    assert said["figures"] >= 12 and said["outside"] == 0
    assert said["font"] >= 9  # height of the smallest text in pixels
    assert said["requests"] == []
    paper, ink = (sum(map(int, re.findall(r"\d+", said[key])[:3])) for key in ("paper", "ink"))
    assert (paper < ink) == dark and abs(paper - ink) > 400
    assert said["text"] == said["ink"]
