/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/i18n.h"

#include <locale.h>

#include "gantry-config.h"

void
gantry_i18n_init(void)
{
    setlocale(LC_ALL, "");
    bindtextdomain("gantry", GANTRY_LOCALEDIR);
    bind_textdomain_codeset("gantry", "UTF-8");
    textdomain("gantry");
}
