/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Must end badly in a build with UBSAN. */
#include <limits.h>

int
main(int argc, char **argv)
{
    int most = INT_MAX;

    return most + argc < 0 ? 0 : 0;
}
