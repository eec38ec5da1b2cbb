/* scenario_world: one replication of a scenario, shared by its actors. Private to simulate/.
 *
 * A source starts requests; a request (an actor each) passes its stages, asks stations and teams on its way and tells
 * the recorder of its end. All of them reckon in model time: ns since the replication began. In a simulation that is
 * the env's own clock; measured, it is real time times `scale`.
 * Threads: what is written during a run belongs to one actor each, as said beside it; the rest is set before. */
#ifndef SIMULATE_SCENARIO_WORLD_H
#define SIMULATE_SCENARIO_WORLD_H

#include "runtime/runtime.h"
#include "simulate/scenario_private.h"

/* What is drawn for a request is a function of the seed, its number and the site alone. */
enum draw_site { DRAW_SHARED, DRAW_ARRIVAL, DRAW_KEY, DRAW_TIME, DRAW_FAILS, DRAW_PAUSE };

struct station_counts { /* owner: the partition's actor */
    uint64_t visits;
    double work_ns, wait_ns;
};
struct team_counts { /* owner: the team's actor */
    uint64_t visits;
    double held_ns, wait_ns;
};
struct stage_counts {
    uint64_t visits;
    double service_ns, wait_ns;
};
struct wait_clock;

struct world {
    const struct scenario *scenario;
    struct account *account;
    struct env *env;
    struct runtime *runtime;
    struct wait_clock *clock; /* NULL: simulated, the runtime's timers are exact */
    uint64_t seed, until_ns;
    double scale;
    uint64_t begin_ns; /* env_now at model time 0 */
    actor_ref source, recorder;
    actor_ref stations[SCENARIO_STATIONS_MAX][SCENARIO_PARTITIONS_MAX];
    actor_ref teams[SCENARIO_TEAMS_MAX];
    struct station_counts *station_counts; /* [station * SCENARIO_PARTITIONS_MAX + partition] */
    struct team_counts team_counts[SCENARIO_TEAMS_MAX];
    /* owner: the recorder */
    uint64_t *latencies_ns;
    size_t ended, latency_capacity, errors, rejected;
    struct stage_counts stage_counts[SCENARIO_STAGES_MAX];
    double cpu_ns;
    uint64_t span_ns;
    /* any thread: the first failure wins */
    _Atomic bool failed;
    enum troupe_error error;
    char failure[160];
};

/* Ends the run with an error. */
void world_fail(struct world *world, enum troupe_error error, const char *text);
void world_send(struct world *world, struct turn *turn, actor_ref to, struct message **message);
/* A new message with a payload of zeros; NULL: the run has failed. */
struct message *world_message(struct world *world, enum message_kind kind, size_t payload_bytes);
void world_stream(const struct world *world, uint64_t number, enum draw_site site, unsigned stage,
                  unsigned attempt, struct random_stream *ret);
/* A time as an integer; what is longer than any scenario is just over it. */
uint64_t world_ns(double ns);
uint64_t world_now(const struct world *world, uint64_t now_ns); /* model time of an env_now */
uint64_t world_real(const struct world *world, uint64_t at_ns); /* the env_now of a model time */
bool world_spawn(struct world *world, const char *name, actor_handler handle, void *state,
                 void (*destroy)(void *), actor_ref *ret_actor);

/* ---- waits (scenario_clock.c) ---- */
/* Once model time `at_ns` has come, the actor of the turn gets a message that wait_ended knows. */
void wait_until(struct world *world, struct turn *turn, uint64_t at_ns, uint64_t token);
struct wait_end {
    uint64_t token;
    uint64_t due_ns; /* what was waited for */
    uint64_t at_ns;  /* when it really was; later than due_ns, when measured */
};
bool wait_ended(const struct world *world, const struct turn *turn, const struct message *message,
                struct wait_end *ret);
MUST_CHECK enum troupe_error wait_clock_create(struct world *world); /* before the run */
void wait_clock_stop(struct wait_clock *clock);                      /* any thread; NULL is fine */
uint64_t wait_clock_lateness(struct wait_clock *clock, double q);    /* after the run: a quantile, env's ns */
void wait_clock_free(struct wait_clock *clock); /* after the run, before runtime_free; NULL is fine */

/* ---- actors ---- */
MUST_CHECK enum troupe_error source_spawn(struct world *world);   /* scenario_source.c */
MUST_CHECK enum troupe_error recorder_spawn(struct world *world); /* scenario_source.c */
MUST_CHECK enum troupe_error station_spawn(struct world *world, unsigned station, unsigned partition);
MUST_CHECK enum troupe_error team_spawn(struct world *world, unsigned team);
/* From the source's turn. */
void request_begin(struct world *world, struct turn *turn, uint64_t number, uint64_t at_ns);
/* When a server that begins at `at_ns` and needs `work_ns` is done, pauses included; UINT64_MAX: never. */
uint64_t station_end(const struct world *world, unsigned station, uint64_t at_ns, uint64_t work_ns);

/* ---- payloads ---- */
struct scenario_ask { /* a team needs only the time */
    uint64_t number;
    unsigned stage, part;
    uint64_t at_ns, work_ns;
};
struct scenario_answer {
    bool team, refused;
    unsigned stage, part; /* of a team: its index */
    uint64_t at_ns, wait_ns, work_ns;
};
struct scenario_release {
    uint64_t at_ns, granted_ns;
};
struct scenario_start {
    uint64_t at_ns;
};
struct scenario_ended {
    uint64_t number, latency_ns, at_ns, cpu_ns;
    bool error, rejected, last; /* last: from the source: no more than `number` were begun */
    struct stage_counts stages[];
};

#endif
