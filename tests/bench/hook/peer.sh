#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A hook as operators write them: one grep over the domain, and let it pass.
grep -q 'urn:gantry:'
exit 0
