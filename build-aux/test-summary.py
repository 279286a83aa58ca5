#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-summary.py JUNIT... - add up meson's JUnit reports.

Names each failed and each skipped test, and ends with "N passed, N failed, N skipped". Exit status 1 if a test failed, if a
skip gives no reason, if no test ran, or, with GANTRY_MUST_WORK=1 in the environment, if any test was skipped.
"""
import os
import sys
import xml.etree.ElementTree as ET


def cases(paths):
    """Yields (name, outcome, text) of each test case; a test that printed no TAP is one case itself."""
    for path in paths:
        report = os.path.basename(path)[:-len('.xml')]
        if next(ET.parse(path).getroot().iter('testcase'), None) is None:
            yield report, 'failed', 'the suite ran no test'
        for suite in ET.parse(path).getroot().iter('testsuite'):
            for case in suite.iter('testcase'):
                name = f'{report}: {suite.get("name")}: {case.get("name")}'
                for tag in ('failure', 'error', 'skipped'):
                    found = case.find(tag)
                    if found is not None:
                        yield name, 'skipped' if tag == 'skipped' else 'failed', found.get('message') or ''
                        break
                else:
                    yield name, 'passed', ''


def main(paths):
    must_work = os.environ.get('GANTRY_MUST_WORK') == '1'
    count = {'passed': 0, 'failed': 0, 'skipped': 0}
    bad = False
    for name, outcome, text in cases(paths):
        count[outcome] += 1
        if outcome == 'failed':
            print(f'FAILED   {name} {text}')
        elif outcome == 'skipped':
            print(f'SKIPPED  {name}: {text or "no reason given"}')
            bad = bad or must_work or not text
    bad = bad or count['failed'] > 0 or sum(count.values()) == 0
    print(f'{count["passed"]} passed, {count["failed"]} failed, {count["skipped"]} skipped')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
