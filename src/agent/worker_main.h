/* worker_main: the programs that run in worker children: the hidden commands `worker-native` and
 * `worker-once`. Both speak the worker protocol (doc/worker-protocol.md) on standard input and output and
 * return an exit status. They own their process: signal handlers, descriptors, exit. Never call them in
 * Troupe's own process. */
#ifndef AGENT_WORKER_MAIN_H
#define AGENT_WORKER_MAIN_H

#include "base/base.h"

/* argv: PLUGIN.so (the words after `troupe worker-native`). */
int native_worker_main(int argc, char **argv);
/* argv: --metric NAME [--metric NAME]... [--timeout 30s] -- COMMAND ARGS... (the words after `troupe
 * worker-once`). */
int once_worker_main(int argc, char **argv);

/* Checks the {placeholders} of a command against the names of variables; the CLI calls it before a run
 * starts. INVALID names the placeholder and the nearest variable. trial, seed, instance and artifact_dir are
 * always known. */
MUST_CHECK enum troupe_error once_check_command(const char *const *argv, const char *const *names,
                                                size_t count, struct fault *fault);

#endif
