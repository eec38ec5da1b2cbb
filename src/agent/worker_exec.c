/* worker_exec: the hidden command through which each child starts: `troupe worker-exec [--parent PID] --
 * PROGRAM ARGS...`. It becomes the program, having first taken away what no worker needs.
 *
 * - It dies with Troupe: the parent-death signal is set again after the exec of this binary, and Troupe's
 * pid is given, so that its death between fork and here is seen. - It gains no privilege (no_new_privs), and
 * writes no core files. - It changes no machine: a seccomp filter answers EPERM to loading modules,
 * rebooting, swapping and setting clocks. That is no sandbox against a worker that wants harm: see
 * SECURITY.md.
 *
 * Each is done when the kernel has it and left out silently when not: a worker on an old kernel still runs.
 * Runs in a child: plain POSIX.
 * Failure: 127 no such program, 126 it cannot be run, with a line on stderr. */
#include "agent/agent.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXIT_NOT_FOUND = 127, EXIT_CANNOT_RUN = 126, EXIT_ORPHAN = 125 };

#if defined(__x86_64__)
#define AUDIT_ARCH_OURS AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define AUDIT_ARCH_OURS AUDIT_ARCH_AARCH64
#endif

#ifdef AUDIT_ARCH_OURS
/* Calls that change the machine and not the task. Debuggers, namespaces and containers stay possible. */
static const unsigned refused_calls[] = {
    SYS_reboot,  SYS_kexec_load, SYS_init_module,  SYS_finit_module,  SYS_delete_module, SYS_swapon,
    SYS_swapoff, SYS_acct,       SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,      SYS_clock_adjtime,
};

static void filter_install(void) {
    enum { CALLS = ARRAY_COUNT(refused_calls) };
    struct sock_filter program[CALLS + 6];
    size_t used = 0;
    /* Another architecture's numbers (32-bit programs) mean other calls: let them be. */
    program[used++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_OURS, 0, CALLS + 1);
    program[used++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t at = 0; at < CALLS; at++)
        program[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused_calls[at],
                                                       (unsigned char)(CALLS - at), 0);
    program[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog fprog = {.len = (unsigned short)used, .filter = program};
    /* SPEC_ALLOW: without it older kernels slow every program under a filter by their Spectre workarounds. */
    IGNORE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &fprog) != 0,
           "a kernel without seccomp runs the worker all the same");
}
#else
static void filter_install(void) {
}
#endif

/* Troupe blocks signals in its threads and ignores SIGPIPE; a program expects neither. */
static void signals_reset(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP)
            signal(number, SIG_DFL); /* fails for those of the C library; fine */
}

int worker_exec_main(int argc, char **argv) {
    long parent = 0;
    int at = 0;
    if (at + 1 < argc && strcmp(argv[at], "--parent") == 0) {
        parent = strtol(argv[at + 1], NULL, 10);
        at += 2;
    }
    if (at >= argc || strcmp(argv[at], "--") != 0 || at + 1 >= argc) {
        fprintf(stderr, "worker-exec: expected [--parent PID] -- PROGRAM ARGS...\n");
        return error_exit_status(TROUPE_USAGE);
    }
    char **program = argv + at + 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (parent > 0 && getppid() != (pid_t)parent) {
        fprintf(stderr, "worker-exec: Troupe (process %ld) is gone\n", parent);
        return EXIT_ORPHAN;
    }
    struct rlimit none = {0, 0};
    IGNORE(setrlimit(RLIMIT_CORE, &none) != 0, "a core file more is no reason not to run");
    signals_reset();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        filter_install();
    execvp(program[0], program);
    int why = errno;
    fprintf(stderr, "worker-exec: %s: %s\n", program[0], strerror(why));
    return why == ENOENT || why == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
