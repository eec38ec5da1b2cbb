/* scenario_private: the definition of a scenario, for the files of this floor. */
#ifndef SIMULATE_SCENARIO_PRIVATE_H
#define SIMULATE_SCENARIO_PRIVATE_H

#include "simulate/distribution.h"
#include "simulate/scenario.h"

#define SCENARIO_REQUESTS_MAX 10000000
#define SCENARIO_BURST_MAX 10000
#define SCENARIO_PARTITIONS_MAX 64
#define SCENARIO_SERVERS_MAX 1000
#define SCENARIO_PARTS_MAX 1000
#define SCENARIO_QUEUE_MAX 1000000                       /* the most that queue_max may be, and its default */
#define SCENARIO_TIME_MAX_NS UINT64_C(17000000000000000) /* 196 days: what env_sim can */

#define FOUND(node) node_found((node), (char[96]){0})

enum arrival_kind { ARRIVE_CONSTANT, ARRIVE_POISSON, ARRIVE_BURSTS, ARRIVE_CLOSED };
struct scenario_arrivals {
    enum arrival_kind kind;
    double rate; /* a second */
    unsigned burst;
    uint64_t every_ns, within_ns;
    unsigned clients;
};
struct scenario_station {
    const char *name;
    unsigned partitions, servers; /* servers of each partition */
    double waiting;               /* service x (1 + waiting n), n in the partition at arrival */
    uint64_t pause_every_ns;      /* 0: none */
    struct distribution pause;
    unsigned queue_max;
};
struct scenario_team {
    const char *name;
    unsigned size, of;
    unsigned from, to; /* stages: held from before the first begins until the second has ended */
};
struct scenario_stage {
    const char *name;
    struct distribution time;
    double factor, cpu;
    int station; /* -1: of its own, as many at once as there are requests */
    double cache_hit;
    struct distribution cache_time;
    double extra_probability;
    struct distribution extra;
    bool extra_error;
    double fails;
    unsigned retries;
    int overlap_from; /* -1: none */
    double overlap_fraction;
    unsigned parts;
    double serial;
    unsigned step; /* of the route */
};
struct scenario {
    struct account *account;
    struct arena arena;
    struct document *document;
    const char *source, *name, *about;
    struct scenario_arrivals arrivals;
    uint64_t duration_ns, requests; /* the one that comes first ends the arrivals; 0: no such end */
    uint64_t timeout_ns;            /* 0: none */
    double sigma, shared;           /* of lognormal times */
    unsigned cores;                 /* 0: CPU time is not modelled */
    struct scenario_station stations[SCENARIO_STATIONS_MAX];
    struct scenario_team teams[SCENARIO_TEAMS_MAX];
    struct scenario_stage stages[SCENARIO_STAGES_MAX];
    unsigned station_count, team_count, stage_count, step_count;
    struct scenario_parameter *parameters;
    size_t parameter_count;
    struct scenario_overlay overlays[SCENARIO_OVERLAYS_MAX];
    size_t overlay_count;
    struct scenario_row *rows;
    size_t row_count;
};

/* The steps of reading one, each in a file of its own; a missing section leaves its defaults. */
MUST_CHECK enum troupe_error scenario_read_stations(struct scenario *scenario, const struct node *map,
                                                    struct fault *fault);
MUST_CHECK enum troupe_error scenario_read_stages(struct scenario *scenario, const struct node *root,
                                                  struct fault *fault);
MUST_CHECK enum troupe_error scenario_read_teams(struct scenario *scenario, const struct node *map,
                                                 struct fault *fault);
MUST_CHECK enum troupe_error scenario_read_overlays(struct scenario *scenario, const struct node *map,
                                                    struct fault *fault);
MUST_CHECK enum troupe_error scenario_read_rows(struct scenario *scenario, const struct node *list,
                                                struct fault *fault);
MUST_CHECK enum troupe_error scenario_read_parameters(struct scenario *scenario, const struct node *root,
                                                      struct fault *fault);
/* Lays the overlays and settings over scenario->document. */
MUST_CHECK enum troupe_error scenario_apply(struct scenario *scenario, const struct scenario_change *change,
                                            struct fault *fault);

/* Shared readers. */
MUST_CHECK enum troupe_error scenario_read_name(const struct node *map, size_t index, const char *what,
                                                struct fault *fault);
MUST_CHECK enum troupe_error scenario_read_fraction(const struct node *node, double *ret,
                                                    struct fault *fault);
MUST_CHECK enum troupe_error scenario_read_factor(const struct node *node, double *ret, struct fault *fault);
/* 12/min, 100/s, 1/h; a number alone is a second's. */
MUST_CHECK enum troupe_error scenario_read_rate(const struct node *node, double *ret, struct fault *fault);
MUST_CHECK enum troupe_error scenario_read_map(const struct node *node, const char *what, size_t count_max,
                                               struct fault *fault);
/* The stage that `node` names. */
MUST_CHECK enum troupe_error scenario_stage_of(const struct scenario *scenario, const struct node *node,
                                               unsigned *ret, struct fault *fault);
int scenario_overlay_find(const struct scenario *scenario, const char *name);
enum troupe_error scenario_no_overlay(const struct scenario *scenario, const char *where, const char *name,
                                      struct fault *fault);

#endif
