/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libintl.h>

/* _() translates now, N_() only marks a text of a const table for xgettext. */
#define _(text)  dgettext("gantry", text)
#define N_(text) (text)

/* Binds the catalogue and takes the locale from the environment. Every main calls it, after
 * gantry_log_init(). */
void gantry_i18n_init(void);
