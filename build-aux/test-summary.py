#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-summary.py JUNIT... - add up meson's JUnit reports, each with meson's own log (*.json) beside it.

JUnit has a case for each line of TAP, but nothing of a program that died, hung or leaked after its last line: that is in the log.

Names each failed test, with what it said, and each skipped one, and ends with "N passed, N failed, N skipped". Exit status 1 if
a test failed, if a skip gives no reason, if no test ran, or, with GANTRY_MUST_WORK=1 in the environment, if any test was skipped.
"""
import json
import os
import re
import sys
import xml.etree.ElementTree as ET


GOOD = ('OK', 'SKIP', 'EXPECTEDFAIL')
SAID_LINES = 12  # of each failed test: whoever reads only the end of a log sees why the first ones failed


def said(output):
    """Maps the number of each failed test of a TAP output to the diagnostics before its line."""
    lines, failed = [], {}
    for line in output.splitlines():
        result = re.match(r'(not )?ok (\d+)', line)
        if result is None:
            lines.append(line)
            continue
        if result[1]:
            failed[result[2]] = lines
        lines = []
    return failed


def programs(path):
    """Yields (name, result, output) of each test program."""
    with open(path, encoding='utf-8') as log:
        for line in log:
            test = json.loads(line)
            yield test['name'], test['result'], test.get('stdout', '') + test.get('stderr', '')


def cases(paths):
    """Yields (name, outcome, text, diagnostics) of each test case; a test that printed no TAP is one case itself."""
    for path in paths:
        yield from cases_of_suite(path)


def cases_of_suite(path):
    report = os.path.basename(path)[:-len('.xml')]
    failed_programs = set()
    root = ET.parse(path).getroot()
    if next(root.iter('testcase'), None) is None:
        yield report, 'failed', 'the suite ran no test', []
        return
    for suite in root.iter('testsuite'):
        diagnostics = said(''.join(out.text or '' for out in suite.iter('system-out')))
        for case in suite.iter('testcase'):
            name = f'{report}: {suite.get("name")}: {case.get("name")}'
            for tag in ('failure', 'error', 'skipped'):
                found = case.find(tag)
                if found is not None:
                    number = case.get('name').split()[0]
                    if tag != 'skipped':
                        failed_programs.add(suite.get('name').split('.', 1)[-1])
                    yield name, 'skipped' if tag == 'skipped' else 'failed', found.get('message') or '', diagnostics.get(number, [])
                    break
            else:
                yield name, 'passed', '', []
    for name, result, output in programs(path[:-len('.xml')] + '.json'):
        if result not in GOOD and name not in failed_programs:
            yield f'{report}: {name}', 'failed', f'ended as {result}', output.splitlines()


def main(paths):
    must_work = os.environ.get('GANTRY_MUST_WORK') == '1'
    count = {'passed': 0, 'failed': 0, 'skipped': 0}
    bad = False
    for name, outcome, text, diagnostics in cases(paths):
        count[outcome] += 1
        if outcome == 'failed':
            print(f'FAILED   {name} {text}', *diagnostics[-SAID_LINES:], sep='\n         ')
        elif outcome == 'skipped':
            print(f'SKIPPED  {name}: {text or "no reason given"}')
            bad = bad or must_work or not text
    bad = bad or count['failed'] > 0 or sum(count.values()) == 0
    print(f'{count["passed"]} passed, {count["failed"]} failed, {count["skipped"]} skipped')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
