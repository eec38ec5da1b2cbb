/* runtime WORKLOAD [ARGUMENT [WORKERS]]: message passing, asks, fan-in, rings, births and overload, one line a figure in
 * the form that bench/peers/peers.py compares: PEER METRIC WALL_OPS/S WALL_NS/OP CPU_NS/OP.
 *
 *   pingpong [ROUND TRIPS]   two actors, one message at a time; a round trip is two messages
 *   ask [ASKS]               a question with a timeout, and its answer
 *   ring [TOKENS]            1000 actors in a ring; a hop is one message
 *   fanin [SENDERS]          senders that retry what a full mailbox refuses, one receiver with the default bound
 *   spawn [ACTORS]           births, the bytes of an idle actor, deaths
 *   overload [SECONDS]       a sender at twice the receiver's rate
 *   all                      all of the above but overload, as bench/peers wants them
 *
 * Threads: a rig is its actors' while the run lasts, each field one actor's; main reads before and after. */
#include "bench_figure.h"

#include "runtime/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RING_ACTORS = 1000, SENDERS_MAX = 64, BATCH = 256, SPAWNED_MAX = 4000000 };

struct rig;
struct sender {
    struct rig *rig;
    unsigned left;
    struct message *kept; /* refused: ours still */
};

struct rig {
    struct env *env;
    struct runtime *runtime;
    struct account account;
    unsigned workers;
    unsigned count, done; /* operations: wanted; owner: the actor that counts */
    unsigned tokens;
    actor_ref first, second;
    actor_ref *actors;
    struct sender senders[SENDERS_MAX];
    uint64_t start_ns, start_cpu_ns, end_ns, end_cpu_ns;
};

static struct message *message_make(const struct rig *rig, enum message_kind kind) {
    struct message *message = message_new(rig->runtime, kind, 16);
    if (message == NULL)
        bench_fail("runtime", TROUPE_NOMEM, NULL);
    return message;
}

static void deliver(const struct rig *rig, struct turn *turn, actor_ref to, struct message *message) {
    enum troupe_error error = actor_send(rig->runtime, turn, to, &message);
    if (error != TROUPE_OK)
        bench_fail("runtime: a message was refused", error, NULL);
}

static void post(const struct rig *rig, struct turn *turn, actor_ref to) {
    deliver(rig, turn, to, message_make(rig, MESSAGE_USER));
}

static actor_ref actor_make(const struct rig *rig, actor_handler handle, const void *state) {
    actor_ref actor;
    struct actor_spec spec = {.handle = handle, .state = (void *)(uintptr_t)state};
    enum troupe_error error = actor_spawn(rig->runtime, &spec, &actor);
    if (error != TROUPE_OK)
        bench_fail("runtime: spawn", error, NULL);
    return actor;
}

static void clock_start(struct rig *rig) {
    rig->start_cpu_ns = env_process_cpu(rig->env);
    rig->start_ns = env_now(rig->env);
}

static void clock_end(struct rig *rig) {
    rig->end_ns = env_now(rig->env);
    rig->end_cpu_ns = env_process_cpu(rig->env);
}

static void line_print(const struct rig *rig, const char *metric, double operations) {
    double wall_ns = (double)(rig->end_ns - rig->start_ns);
    printf("troupe_w%u %s %.0f %.2f %.2f\n", rig->workers, metric, operations * 1e9 / wall_ns,
           wall_ns / operations, (double)(rig->end_cpu_ns - rig->start_cpu_ns) / operations);
    fflush(stdout);
}

static void rig_begin(struct rig *rig, unsigned workers) {
    struct fault fault = {0};
    *rig = (struct rig){.account = ACCOUNT("bench"), .workers = workers};
    enum troupe_error error = env_os_create(&rig->account, &rig->env);
    if (error == TROUPE_OK)
        error = runtime_create(rig->env, &rig->account,
                               &(struct runtime_options){.workers = workers, .actors_max = SPAWNED_MAX + 4},
                               &rig->runtime, &fault);
    if (error != TROUPE_OK)
        bench_fail("runtime", error, &fault);
}

static void rig_run(struct rig *rig) {
    enum troupe_error error = runtime_run(rig->runtime);
    if (error != TROUPE_OK)
        bench_fail("runtime", error, NULL);
}

static void rig_end(struct rig *rig) {
    runtime_free(rig->runtime);
    env_destroy(rig->env);
}

/* ---- ping-pong: an echo sends the message back as it is ---- */

static void echo(struct turn *turn, void *state, const struct message *message) {
    const struct rig *rig = state;
    (void)message;
    post(rig, turn, message->sender);
}

static void ping(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)message;
    if (rig->done == 0)
        clock_start(rig);
    if (rig->done++ < rig->count) {
        post(rig, turn, rig->second);
        return;
    }
    clock_end(rig);
    runtime_stop(rig->runtime);
}

static void pingpong(unsigned count, unsigned workers) {
    struct rig rig;
    rig_begin(&rig, workers);
    rig.count = count;
    rig.second = actor_make(&rig, echo, &rig);
    post(&rig, NULL, actor_make(&rig, ping, &rig));
    rig_run(&rig);
    line_print(&rig, "pingpong_rt", count);
    rig_end(&rig);
}

/* ---- ask ---- */

static void answer(struct turn *turn, void *state, const struct message *message) {
    struct message *reply = message_make(state, MESSAGE_PONG);
    actor_reply(turn, message, &reply);
}

static void ask(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)message;
    if (rig->done == 0)
        clock_start(rig);
    if (rig->done++ == rig->count) {
        clock_end(rig);
        runtime_stop(rig->runtime);
        return;
    }
    struct message *question = message_make(rig, MESSAGE_PING);
    enum troupe_error error = actor_ask(turn, rig->second, &question, rig->done, UINT64_C(5000000000));
    if (error != TROUPE_OK)
        bench_fail("runtime: ask", error, NULL);
}

static void asks(unsigned count, unsigned workers) {
    struct rig rig;
    rig_begin(&rig, workers);
    rig.count = count;
    rig.second = actor_make(&rig, answer, &rig);
    post(&rig, NULL, actor_make(&rig, ask, &rig));
    rig_run(&rig);
    line_print(&rig, "ask", count);
    rig_end(&rig);
}

/* ---- ring: a token is one message that is handed on, its number of hops in `token` ---- */

struct ring_actor {
    struct rig *rig;
    actor_ref next;
};

static void ring_pass(struct turn *turn, void *state, const struct message *message) {
    const struct ring_actor *actor = state;
    struct rig *rig = actor->rig;
    uint64_t left = message->token;
    if (left == 0) {
        post(rig, turn, rig->first);
        return;
    }
    struct message *next = message_make(rig, MESSAGE_USER);
    next->token = left - 1;
    deliver(rig, turn, actor->next, next);
}

static void ring_start(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)message;
    if (message->sender != 0) { /* a token has ended */
        if (++rig->done == rig->tokens) {
            clock_end(rig);
            runtime_stop(rig->runtime);
        }
        return;
    }
    clock_start(rig);
    for (unsigned at = 0; at < rig->tokens; at++) {
        struct message *token = message_make(rig, MESSAGE_USER);
        token->token = rig->count / rig->tokens;
        deliver(rig, turn, rig->actors[0], token);
    }
}

static void ring(unsigned tokens, unsigned workers) {
    static struct ring_actor actors[RING_ACTORS];
    static actor_ref refs[RING_ACTORS];
    struct rig rig;
    rig_begin(&rig, workers);
    rig.count = 2000000;
    rig.tokens = tokens;
    rig.actors = refs;
    for (unsigned at = 0; at < RING_ACTORS; at++) {
        actors[at].rig = &rig;
        refs[at] = actor_make(&rig, ring_pass, &actors[at]);
    }
    for (unsigned at = 0; at < RING_ACTORS; at++)
        actors[at].next = refs[(at + 1) % RING_ACTORS];
    rig.first = actor_make(&rig, ring_start, &rig);
    post(&rig, NULL, rig.first);
    rig_run(&rig);
    char metric[32];
    snprintf(metric, sizeof metric, "ring1000_tok%u", tokens);
    line_print(&rig, metric, rig.count);
    rig_end(&rig);
}

/* ---- fan-in ---- */

static void sink(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)turn, (void)message;
    if (++rig->done == rig->count) {
        clock_end(rig);
        runtime_stop(rig->runtime);
    }
}

static void fan(struct turn *turn, void *state, const struct message *message) {
    struct sender *sender = state;
    struct rig *rig = sender->rig;
    (void)message;
    for (unsigned at = 0; at < BATCH && sender->left > 0; at++) {
        if (sender->kept == NULL)
            sender->kept = message_make(rig, MESSAGE_USER);
        if (actor_send(rig->runtime, turn, rig->first, &sender->kept) != TROUPE_OK)
            break;
        sender->left--;
    }
    if (sender->left > 0)
        post(rig, turn, turn->self);
}

static void fan_start(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)message;
    clock_start(rig);
    for (unsigned at = 0; at < rig->tokens; at++)
        post(rig, turn, rig->actors[at]);
}

static void fanin(unsigned senders, unsigned workers) {
    struct rig rig;
    actor_ref refs[SENDERS_MAX];
    rig_begin(&rig, workers);
    rig.count = 2000000 / senders * senders;
    rig.tokens = senders;
    rig.actors = refs;
    rig.first = actor_make(&rig, sink, &rig);
    for (unsigned at = 0; at < senders; at++) {
        rig.senders[at] = (struct sender){.rig = &rig, .left = rig.count / senders};
        refs[at] = actor_make(&rig, fan, &rig.senders[at]);
    }
    post(&rig, NULL, actor_make(&rig, fan_start, &rig));
    rig_run(&rig);
    char metric[32];
    snprintf(metric, sizeof metric, "fanin%u", senders);
    line_print(&rig, metric, rig.count);
    rig_end(&rig);
}

/* ---- births and deaths ---- */

static void idle(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    (void)message;
    rig->done++;
    actor_exit(turn, TROUPE_OK);
}

static void spawner(struct turn *turn, void *state, const struct message *message) {
    struct rig *rig = state;
    if (message->sender == turn->self) { /* behind every order to end */
        if (rig->done < rig->count) {
            post(rig, turn, turn->self);
            return;
        }
        clock_end(rig);
        line_print(rig, "kill_1M", rig->count);
        runtime_stop(rig->runtime);
        return;
    }
    int64_t bytes = rig->account.bytes;
    clock_start(rig);
    for (unsigned at = 0; at < rig->count; at++)
        rig->actors[at] = actor_make(rig, idle, rig);
    clock_end(rig);
    line_print(rig, "spawn_1M", rig->count);
    printf("troupe_w%u bytes_per_actor %.1f 0 0\n", rig->workers,
           (double)(rig->account.bytes - bytes) / rig->count);
    clock_start(rig);
    for (unsigned at = 0; at < rig->count; at++)
        post(rig, turn, rig->actors[at]);
    post(rig, turn, turn->self);
}

static void spawns(unsigned count, unsigned workers) {
    struct rig rig;
    rig_begin(&rig, workers);
    rig.count = count < SPAWNED_MAX ? count : SPAWNED_MAX;
    rig.actors = calloc(rig.count, sizeof *rig.actors);
    if (rig.actors == NULL)
        bench_fail("runtime", TROUPE_NOMEM, NULL);
    memset(rig.actors, 1, rig.count * sizeof *rig.actors); /* not the first touch of it */
    post(&rig, NULL, actor_make(&rig, spawner, &rig));
    rig_run(&rig);
    free(rig.actors);
    rig_end(&rig);
}

/* ---- overload ----
 * All rates are by the process's CPU time, so that other programs on the machine change nothing: the sender offers
 * twice what the receiver handled in the free phase, by the CPU clock. */

enum { WORK_STEPS = 400, BOUND = 1024, TICK_NS = 200000 };

struct overload {
    struct rig rig;
    uint64_t phase_ns;
    double offer_per_ns; /* of CPU; 0: as much as goes without a refusal */
    uint64_t offered, accepted, refused, handled;
    unsigned longest; /* mailbox */
    uint64_t work;
    struct message *kept;
};

static void receiver_handle(struct turn *turn, void *state, const struct message *message) {
    struct overload *overload = state;
    uint64_t work = message->token + overload->work;
    (void)turn;
    for (unsigned at = 0; at < WORK_STEPS; at++)
        work = work * 6364136223846793005U + 1442695040888963407U;
    overload->work = work;
    overload->handled++;
}

static void offer(struct overload *overload, struct turn *turn) {
    struct rig *rig = &overload->rig;
    if (overload->kept == NULL)
        overload->kept = message_make(rig, MESSAGE_USER);
    overload->offered++;
    if (actor_send(rig->runtime, turn, rig->first, &overload->kept) == TROUPE_OK)
        overload->accepted++;
    else
        overload->refused++; /* still ours: offered again next time */
}

static void sender_handle(struct turn *turn, void *state, const struct message *message) {
    struct overload *overload = state;
    struct rig *rig = &overload->rig;
    (void)message;
    if (rig->start_ns == 0)
        clock_start(rig);
    uint64_t now_ns = env_now(rig->env), timer;
    if (now_ns - rig->start_ns >= overload->phase_ns) {
        clock_end(rig);
        runtime_stop(rig->runtime);
        return;
    }
    if (overload->offer_per_ns == 0) {
        for (unsigned at = actor_mailbox_length(rig->runtime, rig->first); at < BATCH; at++)
            offer(overload, turn);
        post(rig, turn, turn->self);
        return;
    }
    uint64_t due =
        (uint64_t)(overload->offer_per_ns * (double)(env_process_cpu(rig->env) - rig->start_cpu_ns));
    while (overload->offered < due)
        offer(overload, turn);
    unsigned length = actor_mailbox_length(rig->runtime, rig->first);
    overload->longest = length > overload->longest ? length : overload->longest;
    enum troupe_error error = timer_start(turn, now_ns + TICK_NS, 0, &timer);
    if (error != TROUPE_OK)
        bench_fail("runtime: timer", error, NULL);
}

/* Returns messages handled in a ns of CPU. */
static double overload_phase(struct overload *overload, unsigned workers, uint64_t phase_ns,
                             double offer_per_ns) {
    *overload = (struct overload){.phase_ns = phase_ns, .offer_per_ns = offer_per_ns};
    rig_begin(&overload->rig, workers);
    struct rig *rig = &overload->rig;
    struct actor_spec spec = {.handle = receiver_handle, .state = overload, .mailbox_len_max = BOUND};
    enum troupe_error error = actor_spawn(rig->runtime, &spec, &rig->first);
    if (error != TROUPE_OK)
        bench_fail("runtime: spawn", error, NULL);
    post(rig, NULL, actor_make(rig, sender_handle, overload));
    rig_run(rig);
    message_free(&overload->kept);
    struct runtime_statistics statistics;
    runtime_statistics(rig->runtime, &statistics);
    /* What was accepted was handled, or was in the mailbox when the run ended: told as dead letters. */
    if (overload->accepted != overload->handled + statistics.dead_letters)
        bench_fail("runtime: messages were lost silently", TROUPE_NOT_FOUND, NULL);
    if (overload->longest > BOUND)
        bench_fail("runtime: the bound was passed", TROUPE_LIMIT, NULL);
    rig_end(rig);
    return (double)overload->handled / (double)(rig->end_cpu_ns - rig->start_cpu_ns);
}

static void overloads(unsigned seconds, unsigned workers) {
    static struct overload overload;
    uint64_t phase_ns = (seconds > 0 ? seconds : 1) * UINT64_C(1000000000);
    double free_rate = overload_phase(&overload, workers, phase_ns / 4, 0);
    double rate = overload_phase(&overload, workers, phase_ns, 2 * free_rate);
    printf("troupe_w%u overload_free_per_cpu_s %.0f 0 0\n", workers, free_rate * 1e9);
    printf("troupe_w%u overload_offered_accepted_refused %llu %llu %llu\n", workers,
           (unsigned long long)overload.offered, (unsigned long long)overload.accepted,
           (unsigned long long)overload.refused);
    printf("troupe_w%u overload_longest_bound_lost %u %u 0\n", workers, overload.longest, (unsigned)BOUND);
    printf("troupe_w%u overload_share_of_free_rate %.4f 0 0\n", workers, rate / free_rate);
}

static void all(unsigned smoke, unsigned workers) {
    (void)workers;
    unsigned count = smoke == 1 ? 1000 : 1000000;
    pingpong(count, 1);
    asks(count, 1);
    ring(1, 1);
    ring(100, 1);
    for (unsigned many = 1; many <= 2; many++) {
        fanin(1, many);
        fanin(8, many);
    }
    spawns(count, 1);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(unsigned argument, unsigned workers);
        unsigned argument;
    } workloads[] = {
        {"pingpong", pingpong, 1000000}, {"ask", asks, 1000000},      {"ring", ring, 1}, {"fanin", fanin, 8},
        {"spawn", spawns, 1000000},      {"overload", overloads, 10}, {"all", all, 0}};
    unsigned argument = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    unsigned workers = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    for (size_t at = 0; argc > 1 && at < ARRAY_COUNT(workloads); at++)
        if (strcmp(argv[1], workloads[at].name) == 0) {
            workloads[at].run(argc > 2 ? argument : workloads[at].argument, workers);
            return 0;
        }
    fprintf(stderr, "usage: runtime pingpong|ask|ring|fanin|spawn|overload|all [ARGUMENT [WORKERS]]\n");
    return 2;
}
