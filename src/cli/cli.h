/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "common/base/option.h"

/* Exit status of every gantry command; a command may add its own from 10 on, in its man page. */
enum {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1, /* what was asked for failed, or a check found something */
    CLI_EXIT_USAGE = 2,  /* the command line or a configuration file is wrong */
};

typedef struct {
    const char *name;
    const char *summary;               /* one line for `gantry --help`, N_() */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
    const GantryOption *options;       /* for completion and the tests of the man pages */
} CliCommand;

/* All commands; ends with a NULL name. */
extern const CliCommand cli_commands[];

extern const GantryOption cli_status_options[];
extern const GantryOption cli_explain_options[];
extern const GantryOption cli_check_options[];
extern const GantryOption cli_balance_options[];
extern const GantryOption cli_balance_simulate_options[];
extern const GantryOption cli_ioq_options[];

int cli_status(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_balance(int argc, char **argv);
int cli_balance_simulate(int argc, char **argv); /* of cli_balance() */
int cli_ioq(int argc, char **argv);

/**
 * cli_report_error:
 *
 * Prints "gantry COMMAND: MESSAGE" on stderr and frees *@error.
 *
 * Returns: @exit_status, so that a command can return it.
 */
int cli_report_error(const char *command, GError **error, int exit_status);

/* Prints a JSON document, indented, with a newline, on stdout; takes @root. */
void cli_print_json(JsonNode *root);

/* Members of the object that @builder is in; a NULL string is JSON's null. */
void cli_json_string(JsonBuilder *builder, const char *member, const char *value);
void cli_json_bool(JsonBuilder *builder, const char *member, gboolean value);
void cli_json_begin_array(JsonBuilder *builder, const char *member);

/* True where stdout is a terminal that takes colours and cursor movement (TERM, NO_COLOR). */
gboolean cli_is_fancy(void);

/* (transfer full): @text with spaces up to @width columns of a terminal, which printf() cannot: it
 * counts bytes. */
char *cli_padded(const char *text, int width);

/* (transfer full): @width cells, of which @share (0 to 1) are full. */
char *cli_bar(double share, int width);
