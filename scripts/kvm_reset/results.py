# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of every kind came to: one JSON object a test, one line each,
and the summary at the end.

    results add FILE NAME OUTCOME SECONDS [REASON]
    results junit FILE PREFIX XML...    of googletest, meson, pytest
    results bench FILE JSON             of scripts/bench
    results audit FILE JSON             of scripts/audit --matrix
    results summary FILE...             status 1 unless all is well
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterable, Iterator

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
OUTCOMES = (PASSED, FAILED, SKIPPED)


@dataclass
class Result:
    """@tries: 0 for a test that gets none but the first, whatever comes."""
    name: str
    outcome: str
    reason: str = ""
    seconds: float = 0.0
    tries: int = 0

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"{self.name}: there is no outcome "
                             f"'{self.outcome}'")

    def second_try_after(self, why: str) -> None:
        """@why the first one says nothing, or was a failure."""
        self.tries = 2
        if self.outcome == PASSED:
            self.reason = f"at the second try; the first: {why}"


def first_line(text: str | None) -> str:
    """What one line of a report can hold of it."""
    for line in (text or "").splitlines():
        if line.strip():
            return line.strip()[:300]
    return ""


def write(path: Path, results: list[Result]) -> None:
    with path.open("a") as file:
        for result in results:
            file.write(json.dumps(asdict(result)) + "\n")


def read(path: Path) -> Iterator[Result]:
    """A file that is not there, or is cut short, is a failure and not a pass:
    whoever was to write it died."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        lines = []
    if not lines:
        yield Result(path.stem, FAILED, "it left no results")
    for line in lines:
        try:
            fields = json.loads(line)
            yield Result(fields["name"], fields["outcome"],
                         fields.get("reason") or "",
                         float(fields.get("seconds") or 0),
                         int(fields.get("tries") or 0))
        except (ValueError, KeyError, TypeError) as error:
            yield Result(path.stem, FAILED,
                         f"a line of its results is unreadable: {error}")


# What googletest puts before a message: the place, or the skip's own words.
NOISE = ("Failed", "Skipped", "Failure")


def message_of(element: ElementTree.Element) -> str:
    text = element.get("message") or element.text or ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and (lines[0] in NOISE or ":" in lines[0]
                           and lines[0].split(":")[-1].isdigit()):
        lines = lines[1:]
    return " ".join(lines)[:300]


def case_result(case: ElementTree.Element, prefix: str) -> Result | None:
    if case.get("status") == "notrun":
        return None
    words = [case.get("classname"), case.get("name")]
    name = prefix + ".".join(dict.fromkeys(w for w in words if w))
    seconds = float(case.get("time") or 0)
    said = first_line(case.findtext("system-out"))
    for tag, outcome in (("failure", FAILED), ("error", FAILED),
                         ("skipped", SKIPPED)):
        found = case.find(tag)
        if found is not None:
            reason = message_of(found) or said or "it does not say why"
            return Result(name, outcome, reason, seconds)
    return Result(name, PASSED, "", seconds)


def of_junit(path: Path, prefix: str) -> list[Result]:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        return [Result(f"{prefix}{path.stem}", FAILED,
                       f"it left no results that can be read: {error}")]
    results = []
    for suite in root.iter("testsuite"):
        cases = [case_result(case, prefix) for case in suite.iter("testcase")]
        found = [result for result in cases if result]
        # A test program that died leaves no case that failed.
        if (any(int(suite.get(word) or 0) for word in ("failures", "errors"))
                and not any(r.outcome == FAILED for r in found)):
            found.append(Result(prefix + (suite.get("name") or path.stem),
                                FAILED, "it died, or ended with an error"))
        results += found
    return results


def of_bench(path: Path) -> list[Result]:
    """Each cost that has a target is a test."""
    try:
        lines = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return [Result("bench", FAILED,
                       f"it left no results that can be read: {error}")]
    results = []
    for line in lines:
        name, target = f"bench: {line['name']}", line["target"]
        if line["why_skipped"]:
            results.append(Result(name, SKIPPED, line["why_skipped"]))
        elif target is not None:
            outcome = PASSED if line["verdict"] == "pass" else FAILED
            reason = (f"{line['value']:.2f} {line['unit']}".rstrip()
                      + f", and no more than {target:g} is allowed")
            results.append(Result(name, outcome,
                                  reason if outcome == FAILED else ""))
    return results


OF_AUDIT = {"same": PASSED, "skipped": SKIPPED}


def of_audit(path: Path) -> list[Result]:
    """Each command line is a test; one that could not be looked at failed."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        return [Result("audit", FAILED,
                       f"it left no results that can be read: {error}")]
    return [Result(f"audit: {line['name']} loses nothing",
                   OF_AUDIT.get(line["outcome"], FAILED), line["reason"],
                   line["seconds"]) for line in lines]


def second_tries(results: Iterable[Result]) -> tuple[int, int]:
    """How many tests would have got one, and how many did."""
    tries = [result.tries for result in results if result.tries]
    return len(tries), sum(number > 1 for number in tries)


def rate_line(results: Iterable[Result]) -> str:
    tried, again = second_tries(results)
    return (f"Second tries: {again} of {tried} functional tests, "
            f"{100 * again / max(tried, 1):.1f} %")


def count_line(results: list[Result]) -> str:
    return ", ".join(f"{sum(r.outcome == outcome for r in results)} {outcome}"
                     for outcome in OUTCOMES)


def summary(paths: list[Path]) -> int:
    results = [result for path in paths for result in read(path)]
    for outcome, title in ((PASSED, "Passed, but:"), (SKIPPED, "Skipped:"),
                           (FAILED, "Failed:")):
        told = [r for r in results if r.outcome == outcome
                and (r.reason or outcome != PASSED)]
        if told:
            print(title)
        for result in told:
            print(f"  {result.name}: {result.reason or 'no reason given'}")
    if not results:
        print("Nothing ran.")
    if second_tries(results)[0]:
        print(rate_line(results))
    print(count_line(results), flush=True)
    outcomes = {result.outcome for result in results}
    return 0 if PASSED in outcomes and FAILED not in outcomes else 1


def main() -> int:
    match sys.argv[1:]:
        case ["add", file, name, outcome, seconds, *reason]:
            write(Path(file), [Result(name, outcome, " ".join(reason),
                                      float(seconds))])
        case ["junit", file, prefix, *xml] if xml:
            write(Path(file), [r for path in xml
                               for r in of_junit(Path(path), prefix)])
        case ["bench", file, measured]:
            write(Path(file), of_bench(Path(measured)))
        case ["audit", file, audited]:
            write(Path(file), of_audit(Path(audited)))
        case ["summary", *files]:
            return summary([Path(file) for file in files])
        case _:
            sys.exit(__doc__)
    return 0
