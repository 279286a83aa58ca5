/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What it costs to run a program that does nothing: the floor of all hooks. */
int
main(void)
{
    return 0;
}
