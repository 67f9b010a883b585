"""What a check found, as commands that GitHub Actions turn into annotations."""

from __future__ import annotations

from unslow.finding import Finding
from unslow.report.checked import Checked, Failure


def render(checked: Checked) -> str:
    """One line for each finding, and for each file that could not be checked."""
    lines = [_finding(finding) for finding in checked.findings]
    lines += [_failure(failure) for failure in checked.failures]
    return "".join(f"{line}\n" for line in lines)


def _finding(finding: Finding) -> str:
    site = finding.site
    title = f"{finding.code} {finding.name}"
    if site.cell is not None:
        # Lines within a cell are not lines of the file.
        message = f"cell {site.cell}, line {site.line}: {finding.message}"
        return _command("warning", {"file": site.path, "title": title}, message)
    places: dict[str, str | int | None]
    places = {"file": site.path, "line": site.line, "col": site.column}
    if site.end_line is not None and site.end_line > site.line:
        # GitHub leaves out annotations that have a column and more than one line.
        del places["col"]
        places["endLine"] = site.end_line
    return _command("warning", {**places, "title": title}, finding.message)


def _failure(failure: Failure) -> str:
    properties = {"file": failure.path, "line": failure.line, "title": "unslow"}
    message = failure.message
    if failure.cell is not None:
        del properties["line"]
        message = f"cell {failure.cell}, line {failure.line or 1}: {message}"
    return _command("error", properties, message)


def _command(name: str, properties: dict[str, str | int | None], message: str) -> str:
    words = ",".join(
        f"{key}={_property(str(value))}" for key, value in properties.items() if value is not None
    )
    return f"::{name} {words}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
