/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gantry: the one front door. Each command is a function in a file of its own, listed in
 * cli_commands[]; what stands here is choosing it.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/config.h"
#include "common/base/i18n.h"
#include "common/base/log.h"
#include "gantry-config.h"

const CliCommand cli_commands[] = {
    {"status", N_("Show domains with Gantry settings, and Gantry's daemons"), cli_status,
     cli_status_options},
    {"explain", N_("Show each setting of a domain and where it comes from"), cli_explain,
     cli_explain_options},
    {"check", N_("Check this host's installation and configuration"), cli_check, cli_check_options},
    {"balance", N_("Move domains away from overloaded hosts"), cli_balance, cli_balance_options},
    {"ioq", N_("Show and restart the disks that Gantry serves"), cli_ioq, cli_ioq_options},
    {NULL, NULL, NULL, NULL},
};

static void
print_help(void)
{
    printf(_("Usage: gantry COMMAND [OPTION...] [ARGUMENT...]\n\n"
             "Plug-ins for hosts that run stock libvirt, QEMU and Open vSwitch.\n\n"
             "Commands:\n"));
    for (const CliCommand *command = cli_commands; command->name; command++) {
        printf("  %-10s %s\n", command->name, _(command->summary));
    }
    printf(
        _("\n"
          "'gantry COMMAND --help' shows a command's options and examples; each has a man page,\n"
          "gantry-COMMAND(1). gantry(7) describes the settings in domain XML.\n"
          "'gantry --version' shows the version.\n"));
}

static void
print_options(const GantryOption *options)
{
    for (const GantryOption *option = options; option->name; option++) {
        printf("--%s\n", option->name);
    }
    puts("--help");
}

/* For the shell's completion: the commands, or a command's long options, one a line. */
static int
print_completions(const char *name, const char *sub_command)
{
    if (!name) {
        for (const CliCommand *command = cli_commands; command->name; command++) {
            puts(command->name);
        }
        return CLI_EXIT_OK;
    }
    for (const CliCommand *command = cli_commands; command->name; command++) {
        if (g_str_equal(command->name, name)) {
            print_options(g_strcmp0(sub_command, "simulate") == 0 ? cli_balance_simulate_options
                                                                  : command->options);
            return CLI_EXIT_OK;
        }
    }
    return CLI_EXIT_USAGE;
}

static int
unknown_command(const char *name)
{
    const char *names[G_N_ELEMENTS(cli_commands)];
    const char *nearest;

    for (gsize i = 0; i < G_N_ELEMENTS(cli_commands); i++) {
        names[i] = cli_commands[i].name;
    }
    nearest = gantry_nearest_word(name, names);
    if (nearest) {
        fprintf(stderr, _("gantry: no command '%1$s'; did you mean '%2$s'?\n"), name, nearest);
    } else {
        fprintf(stderr, _("gantry: no command '%s'; see 'gantry --help'\n"), name);
    }
    return CLI_EXIT_USAGE;
}

int
main(int argc, char **argv)
{
    const char *name;

    gantry_log_init("gantry");
    gantry_i18n_init();

    if (argc < 2) {
        fputs(_("gantry: which command? See 'gantry --help'.\n"), stderr);
        return CLI_EXIT_USAGE;
    }
    name = argv[1];
    if (g_str_equal(name, "help") && argc > 2) {
        /* "gantry help COMMAND" is "gantry COMMAND --help". */
        name = argv[2];
        argv[2] = (char *)"--help";
    }
    if (g_str_equal(name, "--help") || g_str_equal(name, "-h") || g_str_equal(name, "help")) {
        print_help();
        return CLI_EXIT_OK;
    }
    if (g_str_equal(name, "--version") || g_str_equal(name, "-V")) {
        printf("gantry %s\n", GANTRY_VERSION);
        return CLI_EXIT_OK;
    }
    if (g_str_equal(name, "--complete")) {
        return print_completions(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
    }
    for (const CliCommand *command = cli_commands; command->name; command++) {
        if (g_str_equal(command->name, name)) {
            int status;

            argv[1] = (char *)command->name;
            status = command->run(argc - 1, argv + 1);
            if (fflush(stdout) != 0 && status == CLI_EXIT_OK) {
                perror("gantry: stdout");
                status = CLI_EXIT_FAILED;
            }
            return status;
        }
    }
    return unknown_command(name);
}
