/* Supervision: an actor that keeps another one alive within a budget.
 *
 *   start --> RUNNING --abnormal DOWN, budget left--> WAITING --timer--> RUNNING
 *                |                   `--none left--> ends with WORKER
 *                `-----normal DOWN--> ends with OK
 *   EXIT: RUNNING --> STOPPING (the child is stopped) --DOWN--> ends; WAITING --> ends
 *
 * Invariants: at most one child; restarts within any window_ns are at most restarts_max; a failed make counts
 *             as one.
 * Threads: its own turns.
 * Memory:  the state is the actor's, freed when it ends. */
#include "runtime/worker.h"

#define SUPERVISOR_RESTARTS_MAX 256U
#define BACKOFF_NS_MAX (UINT64_C(1) << 62) /* added to a clock it does not wrap */

enum supervisor_phase { SUPERVISOR_WAITING, SUPERVISOR_RUNNING, SUPERVISOR_STOPPING };

struct supervisor {
    struct account *account;
    struct supervision spec;
    enum supervisor_phase phase;
    enum troupe_error stop_reason;
    actor_ref child;
    unsigned attempt;  /* of the child: 0 first */
    unsigned restarts; /* ever; their times are in a ring */
    uint64_t backoff_ns;
    uint64_t restarted_ns[]; /* restarts_max of them */
};

static void supervisor_destroy(void *state) {
    struct supervisor *supervisor = state;
    memory_free(supervisor->account, supervisor);
}

static void supervisor_failed(struct supervisor *supervisor, struct turn *turn);

static void supervisor_try(struct supervisor *supervisor, struct turn *turn) {
    struct actor_spec spec = {0};
    actor_ref child = 0;
    enum troupe_error error = supervisor->spec.make(supervisor->spec.context, supervisor->attempt, &spec);
    if (error == TROUPE_OK) {
        spec.link = turn->self;
        error = actor_spawn(turn->runtime, &spec, &child);
        if (error != TROUPE_OK && spec.destroy != NULL) {
            spec.destroy(spec.state);
        }
    }
    if (error != TROUPE_OK) {
        supervisor_failed(supervisor, turn);
        return;
    }
    supervisor->child = child;
    supervisor->phase = SUPERVISOR_RUNNING;
    if (supervisor->spec.started != NULL) {
        supervisor->spec.started(supervisor->spec.context, turn, supervisor->attempt, child);
    }
}

/* One more failure: a restart after the backoff if the budget has room, else the end. */
static void supervisor_failed(struct supervisor *supervisor, struct turn *turn) {
    const struct supervision *spec = &supervisor->spec;
    supervisor->phase = SUPERVISOR_WAITING;
    supervisor->child = 0;
    if (spec->restarts_max == 0) {
        actor_exit(turn, TROUPE_WORKER);
        return;
    }
    uint64_t *oldest = &supervisor->restarted_ns[supervisor->restarts % spec->restarts_max];
    bool spent = supervisor->restarts >= spec->restarts_max &&
                 (spec->window_ns == 0 || turn->now_ns - *oldest < spec->window_ns);
    if (spent) {
        actor_exit(turn, TROUPE_WORKER);
        return;
    }
    if (supervisor->restarts > 0) {
        uint64_t last = supervisor->restarted_ns[(supervisor->restarts - 1) % spec->restarts_max];
        bool calm = spec->window_ns != 0 && turn->now_ns - last >= spec->window_ns;
        uint64_t longer =
            supervisor->backoff_ns < BACKOFF_NS_MAX / 2 ? 2 * supervisor->backoff_ns : BACKOFF_NS_MAX;
        supervisor->backoff_ns = calm ? spec->backoff_ns : longer;
    }
    if (spec->backoff_ns_max != 0 && supervisor->backoff_ns > spec->backoff_ns_max) {
        supervisor->backoff_ns = spec->backoff_ns_max;
    }
    *oldest = turn->now_ns;
    supervisor->restarts++;
    supervisor->attempt++;
    uint64_t timer;
    if (timer_start(turn, turn->now_ns + supervisor->backoff_ns, 0, &timer) != TROUPE_OK) {
        actor_exit(turn, TROUPE_NOMEM); /* without a timer nothing would ever restart it: say so upwards */
    }
}

static void supervisor_handle(struct turn *turn, void *state, const struct message *message) {
    struct supervisor *supervisor = state;
    switch (message->kind) {
    case MESSAGE_USER: /* from supervisor_spawn */
    case MESSAGE_TIMER:
        if (supervisor->phase == SUPERVISOR_WAITING) {
            supervisor_try(supervisor, turn);
        }
        break;
    case MESSAGE_DOWN: {
        const struct message_down *down = MESSAGE_PAYLOAD(message, const struct message_down);
        if (down->actor != supervisor->child || supervisor->child == 0) {
            break;
        }
        if (supervisor->phase == SUPERVISOR_STOPPING) {
            actor_exit(turn, supervisor->stop_reason);
        } else if (down->reason == TROUPE_OK) {
            actor_exit(turn, TROUPE_OK);
        } else {
            supervisor_failed(supervisor, turn);
        }
        break;
    }
    case MESSAGE_EXIT:
        if (supervisor->phase == SUPERVISOR_RUNNING) {
            struct message *exit = turn_take(turn); /* ends when the child has */
            supervisor->stop_reason = MESSAGE_PAYLOAD(exit, struct message_exit)->reason;
            supervisor->phase = SUPERVISOR_STOPPING;
            actor_stop(turn->runtime, supervisor->child, supervisor->stop_reason);
            message_free(&exit);
        } else if (supervisor->phase == SUPERVISOR_STOPPING) {
            struct message *exit = turn_take(turn); /* stopped twice: still waiting for the child */
            message_free(&exit);
        }
        break;
    default:
        break;
    }
}

enum troupe_error supervisor_spawn(struct runtime *runtime, const struct supervision *supervision,
                                   actor_ref parent, actor_ref *ret_supervisor) {
    CHECK(supervision->make != NULL);
    if (supervision->restarts_max > SUPERVISOR_RESTARTS_MAX) {
        return TROUPE_LIMIT;
    }
    struct supervisor *supervisor =
        memory_alloc(runtime->account,
                     sizeof *supervisor + supervision->restarts_max * sizeof supervisor->restarted_ns[0]);
    struct message *start = message_new(runtime, MESSAGE_USER, 0);
    enum troupe_error error = TROUPE_NOMEM;
    if (supervisor != NULL && start != NULL) {
        supervisor->account = runtime->account;
        supervisor->spec = *supervision;
        supervisor->backoff_ns = supervision->backoff_ns;
        struct actor_spec spec = {.name = "supervisor",
                                  .handle = supervisor_handle,
                                  .state = supervisor,
                                  .destroy = supervisor_destroy,
                                  .link = parent};
        actor_ref ref;
        error = actor_spawn(runtime, &spec, &ref);
        if (error == TROUPE_OK) {
            supervisor = NULL; /* the actor's now */
            error = actor_send(runtime, NULL, ref, &start);
            CHECK(error == TROUPE_OK ||
                  error == TROUPE_DEAD); /* an empty mailbox; or its parent just ended */
            *ret_supervisor = ref;
        }
    }
    message_free(&start);
    memory_free(runtime->account, supervisor);
    return error;
}
