#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tree.py [--root DIR] [RULE...] - rules about the source tree that no compiler knows; TAP on stdout.

layers     an include goes down the layers only, and a feature shows others nothing but <feature>_ext.h
forbidden  functions that have a better replacement here
spdx       one SPDX line a file
size       no source file above 800 lines
self-test  each rule above finds its violation in a tree made to contain it
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

SOURCE = ('.c', '.h')
SPDX_FILES = ('.c', '.h', '.py', '.sh', '.build', '.rst', '.rng', '.service', 'meson_options.txt')
MAX_LINES = 800

# Folder below src/ -> folders that it may include from, besides itself. Features add every *_ext.h by the rule below.
COMMON = ['common/base', 'common/xml', 'common/host', 'common/rpc', 'common/virt', 'common/ovs']
FEATURES = ['ioq_tuning', 'ovs_encap', 'vfio_migrate', 'vmsnap', 'loadbalancer']
LAYERS = {
    'common/base': [],
    'common/xml': ['common/base'],
    'common/host': ['common/base'],
    'common/rpc': ['common/base'],
    'common/virt': ['common/base'],
    'common/ovs': ['common/base'],
    'extensions': ['common/base', 'common/xml'],
    # Never common/virt: a hook that calls libvirt deadlocks libvirtd.
    'libvirt_hooks': ['common/base', 'common/xml', 'common/host', 'common/rpc', 'extensions'],
    'cli': COMMON + FEATURES + ['extensions', 'libvirt_hooks'],
}
LAYERS.update({feature: COMMON for feature in FEATURES})

FORBIDDEN = [  # (pattern, what to use instead, paths that may: regular expression)
    (r'\bsystem\s*\(|\bpopen\s*\(', 'gantry_child_run(): no shell', None),
    (r'\bstrcpy\s*\(|\bstrcat\s*\(|\bsprintf\s*\(|\bvsprintf\s*\(', 'g_strlcpy(), g_strdup_printf(), g_snprintf()', None),
    (r'\batoi\s*\(|\batol\s*\(|\bstrtoul?l?\s*\(', 'gantry_parse_uint() or g_ascii_string_to_unsigned()', r'^tests/lab/guest/'),
    (r'\bg_print\s*\(|\bg_printerr\s*\(|\bg_message\s*\(|\bg_warning\s*\(|\bg_log\s*\(',
     'gantry_notice() and its kin; printf() for a program\'s output', r'^(src/cli/|tests/)'),
    (r'\bsleep\s*\(|\busleep\s*\(|\bg_usleep\s*\(', 'waiting for an event with a deadline', r'^tests/(lab|lib|bench)/'),
    (r'\bmktemp\s*\(|\btmpnam\s*\(', 'g_mkdtemp() or gantry_file_write_atomic()', None),
    (r'\bassert\s*\(', 'g_assert() for programming errors; a GError for input', r'^(tests/|src/libvirt_hooks/front)'),
    (r'\bxmlParseFile\s*\(|\bxmlReadFile\s*\(|\bxmlReadMemory\s*\(', 'gantry_xml_parse(), which is hardened', r'^tests/'),
    (r'\bsignal\s*\(', 'sigaction() or g_unix_signal_add()', None),
    (r'\brand\s*\(|\bsrand\s*\(', 'GRand, so that a test can seed it', None),
]


def tracked(root):
    out = subprocess.run(['git', '-C', root, 'ls-files', '-co', '--exclude-standard'], check=True, capture_output=True, text=True).stdout
    return [p for p in out.splitlines() if os.path.isfile(os.path.join(root, p))]


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8', errors='replace') as f:
        return f.read()


def folder_of(path):
    """The layer of a file or include path below src/, or None."""
    parts = path.split('/')
    for depth in (2, 1):
        name = '/'.join(parts[:depth])
        if len(parts) > depth and name in LAYERS:
            return name
    return None


def code_only(text):
    """The text with comments and string contents blanked, line numbers kept."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def rule_layers(root, paths):
    for path in paths:
        if not path.startswith('src/') or not path.endswith(SOURCE):
            continue
        layer = folder_of(path[4:])
        if layer is None:
            yield f'{path}: stands in no known layer; add its folder to LAYERS'
            continue
        for number, line in enumerate(read(root, path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match or '/' not in match.group(1):
                continue
            target = folder_of(match.group(1))
            if target is None or target == layer or target in LAYERS[layer]:
                continue
            if match.group(1).endswith('_ext.h') and target in FEATURES and layer in ['extensions', 'libvirt_hooks', 'cli'] + FEATURES:
                continue
            yield f'{path}:{number}: {layer} may not include {match.group(1)}'


def rule_forbidden(root, paths):
    for path in paths:
        if not path.endswith(SOURCE):
            continue
        for number, line in enumerate(code_only(read(root, path)).splitlines(), 1):
            for pattern, instead, allowed in FORBIDDEN:
                if re.search(pattern, line) and not (allowed and re.search(allowed, path)):
                    yield f'{path}:{number}: {line.strip()}: use {instead}'


def rule_spdx(root, paths):
    for path in paths:
        text = read(root, path)
        wants = path.endswith(SPDX_FILES) or text.startswith('#!')
        if wants and '/data/' not in path and not path.startswith('LICENSES/'):
            count = len(re.findall(r'SPDX-License-Identifier' + ':', text[:2000]))
            if count != 1:
                yield f'{path}: {count} SPDX lines in its head, wanted 1'


def rule_size(root, paths):
    for path in paths:
        if path.endswith(SOURCE + ('.py', '.sh')):
            lines = read(root, path).count('\n')
            if lines > MAX_LINES:
                yield f'{path}: {lines} lines; split it (400 wanted, {MAX_LINES} at most)'


RULES = {'layers': rule_layers, 'forbidden': rule_forbidden, 'spdx': rule_spdx, 'size': rule_size}


def self_test():
    """One violation of each rule, and a look that it, and nothing else, is found."""
    spdx = '/* SPDX' + '-License-Identifier: LGPL-2.1-or-later */\n'
    cases = {
        'layers': [('src/common/xml/x.c', spdx + '#include "common/rpc/rpc.h"\n'),
                   ('src/libvirt_hooks/x.c', spdx + '#include "common/virt/virt.h"\n'),
                   ('src/vmsnap/x.c', spdx + '#include "loadbalancer/planner.h"\n')],
        'forbidden': [('src/cli/x.c', spdx + 'int main(void) { return system ("x"); }\n')],
        'spdx': [('src/cli/y.c', 'int y;\n')],
        'size': [('src/cli/z.c', spdx + '\n' * (MAX_LINES + 1))],
    }
    clean = [('src/cli/ok.c', spdx + '#include "common/virt/virt.h"\n/* system() */ char *s = "system(";\n'),
             ('src/extensions/e.c', spdx + '#include "loadbalancer/balance_ext.h"\n')]
    for rule, files in cases.items():
        with tempfile.TemporaryDirectory() as root:
            subprocess.run(['git', 'init', '-q', root], check=True)
            for path, text in files + clean:
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), 'w', encoding='utf-8') as f:
                    f.write(text)
            found = list(RULES[rule](root, tracked(root)))
            missed = [path for path, _ in files if not any(line.startswith(path) for line in found)]
            false = [line for line in found if not any(line.startswith(path) for path, _ in files)]
            for path in missed:
                yield f'rule {rule} missed the violation in {path}'
            for line in false:
                yield f'rule {rule} cried wolf: {line}'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
    parser.add_argument('rules', nargs='*', metavar='RULE')
    args = parser.parse_args()
    names = args.rules or list(RULES) + ['self-test']
    paths = tracked(args.root)
    failed = 0
    for number, name in enumerate(names, 1):
        found = list(self_test() if name == 'self-test' else RULES[name](args.root, paths))
        for line in found:
            print('# ' + line)
        print(f'{"not ok" if found else "ok"} {number} - {name}')
        failed += bool(found)
    print(f'1..{len(names)}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
