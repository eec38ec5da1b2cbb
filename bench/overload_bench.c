/* Overload: tasks with firm deadlines arrive at a multiple of what the agents can do, for a minute; each is taken with a
 * promise or refused at once with the time until there is room.
 *
 * The agents are real: processes that sleep for about `service` each task, so that their number and not the cores is the
 * capacity. That is measured first, by keeping them saturated. Then tasks arrive by a Poisson process, each due
 * `deadline` after its arrival.
 *
 * Figures: tasks done by their deadline a second, as a share of the capacity; the share of the promises that were broken;
 * how long a refusal takes, from the owner's stamp to its turn; and capacity_in against the truth. The truth of a refusal
 * is when a like task is taken next. Arrivals are points, so it lies between the last refusal before that one and the
 * next taken: capacity_in is right when it is within 0.5 to 2 times of a time in that interval.
 * Threads: the owner is one actor; main reads it after the run. */
#include "bench_figure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "coordinate/coordinate.h"

enum { PATH_BYTES = 4096, TOKEN_ARRIVE = 1, TOKEN_MEMORY };
#define SECOND UINT64_C(1000000000)

struct plan {
    unsigned seconds, agents, service_us, spread, load, deadline_services, warm_seconds;
};

struct arrival {
    uint64_t at_ns, told_ns;
    uint64_t capacity_in_ns;
    bool refused, on_time, ended;
};

struct load { /* the owner */
    const struct plan *plan;
    struct runtime *runtime;
    struct env *env;
    struct account *account;
    actor_ref self, coordinator;
    struct random_stream random;
    bool warm;
    unsigned warm_ended, warm_made, failed;
    uint64_t warm_from_ns, began_ns, until_ns, next_ns;
    double capacity; /* tasks a second */
    struct arrival *arrivals;
    unsigned made, made_max, open;
    int64_t bytes_early, bytes_late; /* the most in the fourth sixth and in the last */
};

static void arm(struct turn *turn, uint64_t at_ns, uint64_t token) {
    uint64_t timer;
    if (timer_start(turn, at_ns, token, &timer) != TROUPE_OK)
        bench_fail("overload_bench: timer", TROUPE_NOMEM, NULL);
}

static void submit(struct load *load, struct turn *turn, uint32_t run, uint32_t number,
                   uint64_t deadline_ns) {
    char body[96];
    int length = snprintf(body, sizeof body, "\"variables\":{},\"inputs\":{},\"data\":{},\"seed\":%" PRIu64,
                          random_u64(&load->random) >> 12);
    struct task *task = task_new(load->account, body, (size_t)length);
    struct message *message =
        task ? message_new(load->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate)) : NULL;
    if (!message)
        bench_fail("overload_bench", TROUPE_NOMEM, NULL);
    task->id = (struct task_id){run, number, 1, 1};
    task->owner = load->self;
    task->run_name = "bench";
    task->stage_name = task->capability_name = "train";
    task->deadline_ns = deadline_ns;
    task->firm = deadline_ns != UINT64_MAX;
    task->submitted_ns = env_now(load->env);
    if (task->firm)
        load->arrivals[number].at_ns = task->submitted_ns;
    *MESSAGE_PAYLOAD(message, struct message_coordinate) =
        (struct message_coordinate){.tasks = task, .count = 1};
    if (actor_send(load->runtime, turn, load->coordinator, &message)) {
        load->failed++;
        message_free(&message);
    }
    (void)turn;
}

static double interval_s(struct load *load) {
    return -log(random_unit(&load->random) + 1e-12) / (load->capacity * load->plan->load / 100);
}

static void arrive(struct load *load, struct turn *turn) {
    uint64_t now_ns = env_now(load->env);
    while (load->next_ns <= now_ns && load->next_ns < load->until_ns && load->made < load->made_max) {
        uint64_t deadline_ns =
            now_ns + (uint64_t)load->plan->deadline_services * load->plan->service_us * 1000;
        submit(load, turn, 2, load->made++, deadline_ns);
        load->open++;
        load->next_ns += (uint64_t)(interval_s(load) * 1e9);
    }
    if (load->next_ns < load->until_ns && load->made < load->made_max)
        arm(turn, load->next_ns, TOKEN_ARRIVE);
}

static void look_at_memory(struct load *load, struct turn *turn) {
    uint64_t passed_ns = turn->now_ns - load->began_ns, sixth_ns = load->plan->seconds * SECOND / 6;
    int64_t bytes = (int64_t)atomic_load(&load->account->bytes);
    if (passed_ns > 3 * sixth_ns && passed_ns <= 4 * sixth_ns && bytes > load->bytes_early)
        load->bytes_early = bytes;
    if (passed_ns > 5 * sixth_ns && bytes > load->bytes_late)
        load->bytes_late = bytes;
    if (turn->now_ns < load->until_ns)
        arm(turn, turn->now_ns + sixth_ns / 50, TOKEN_MEMORY);
}

static void begin(struct load *load, struct turn *turn) {
    load->capacity = load->warm_ended * 1e9 / (double)(turn->now_ns - load->warm_from_ns);
    load->began_ns = load->next_ns = turn->now_ns;
    load->until_ns = turn->now_ns + load->plan->seconds * SECOND;
    load->made_max = (unsigned)(load->capacity * load->plan->load / 100 * load->plan->seconds * 1.1) + 1000;
    load->arrivals = calloc(load->made_max, sizeof *load->arrivals);
    if (!load->arrivals)
        bench_fail("overload_bench", TROUPE_NOMEM, NULL);
    load->warm = false;
    look_at_memory(load, turn);
    arrive(load, turn);
}

static void warm_ended(struct load *load, struct turn *turn) {
    if (load->warm_ended++ == 0) /* the first says that workers are up */
        load->warm_from_ns = turn->now_ns;
    if (turn->now_ns < load->warm_from_ns + load->plan->warm_seconds * SECOND)
        submit(load, turn, 1, load->warm_made++, UINT64_MAX);
    else if (load->warm_ended == load->warm_made) {
        load->warm_ended -= load->plan->agents; /* those of the tail, when agents fell idle */
        begin(load, turn);
    }
}

static void ended(struct load *load, struct turn *turn, const struct task *task) {
    if (load->warm) {
        load->failed += task->state != TASK_OK;
        warm_ended(load, turn);
        return;
    }
    struct arrival *arrival = &load->arrivals[task->id.trial];
    arrival->ended = true;
    arrival->told_ns = env_now(load->env);
    /* One that waited until its deadline was taken, and its promise broken. */
    arrival->refused =
        task->state == TASK_REJECTED && task->assigned_ns == 0 && arrival->told_ns < task->deadline_ns;
    arrival->on_time = task->state == TASK_OK && task->ended_ns <= task->deadline_ns;
    arrival->capacity_in_ns = task->result->capacity_in_ns;
    load->open--;
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct load *load = state;
    load->self = turn->self;
    switch (message->kind) {
    case MESSAGE_USER:
        load->warm = true;
        while (load->warm_made < load->plan->agents * 4)
            submit(load, turn, 1, load->warm_made++, UINT64_MAX);
        break;
    case MESSAGE_TIMER:
        if (MESSAGE_PAYLOAD(message, const struct message_timer)->token == TOKEN_ARRIVE)
            arrive(load, turn);
        else
            look_at_memory(load, turn);
        break;
    case MESSAGE_TASK_ENDED:
        ended(load, turn, MESSAGE_PAYLOAD(message, const struct message_task_ended)->task);
        break;
    default:
        break;
    }
    if (load->warm || load->began_ns == 0 || turn->now_ns < load->until_ns)
        return;
    if (load->open == 0)
        runtime_stop(load->runtime);
}

/* ---- figures ---- */
struct figures {
    double capacity, goodput, broken, refused, refusal_us, refusal_us_max, over_1ms, right, growth, bytes;
};

/* Whether some truth between `low` and `high` is within 0.5 to 2 times of what was said. */
static bool is_right(double said_ns, double low_ns, double high_ns) {
    return said_ns >= low_ns / 2 && said_ns <= high_ns * 2;
}

static double capacity_right(const struct load *load) {
    unsigned judged = 0, right = 0, next = load->made;
    uint64_t last_refused_ns = 0; /* before the next taken */
    for (unsigned i = load->made; i-- > 0;) {
        const struct arrival *arrival = &load->arrivals[i];
        if (!arrival->refused) {
            next = i;
            last_refused_ns = 0;
            continue;
        }
        if (last_refused_ns == 0)
            last_refused_ns = arrival->at_ns;
        if (next == load->made)
            continue; /* the end: nobody was taken any more */
        judged++;
        right += is_right((double)arrival->capacity_in_ns, (double)(last_refused_ns - arrival->at_ns),
                          (double)(load->arrivals[next].at_ns - arrival->at_ns));
    }
    return judged ? (double)right / judged : 0;
}

static struct figures figures_of(const struct load *load) {
    struct figures ret = {.capacity = load->capacity};
    unsigned taken = 0, on_time = 0, in_time = 0, refused = 0, slow = 0;
    double *took_us = calloc(load->made + 1, sizeof *took_us);
    if (!took_us)
        bench_fail("overload_bench", TROUPE_NOMEM, NULL);
    for (unsigned i = 0; i < load->made; i++) {
        const struct arrival *arrival = &load->arrivals[i];
        taken += !arrival->refused;
        on_time += arrival->on_time;
        in_time += arrival->on_time && arrival->told_ns <= load->until_ns;
        if (!arrival->refused)
            continue;
        took_us[refused] = (double)(arrival->told_ns - arrival->at_ns) / 1000;
        slow += took_us[refused] >= 1000;
        if (took_us[refused] > ret.refusal_us_max)
            ret.refusal_us_max = took_us[refused];
        refused++;
    }
    ret.goodput = in_time / (load->plan->seconds * load->capacity);
    ret.broken = taken ? (double)(taken - on_time) / taken : 1;
    ret.refused = (double)refused / load->made;
    ret.refusal_us = refused ? bench_median(took_us, refused) : 0;
    ret.over_1ms = refused ? (double)slow / refused : 0;
    ret.right = capacity_right(load);
    ret.growth = load->bytes_early ? (double)load->bytes_late / (double)load->bytes_early : 0;
    ret.bytes = (double)load->bytes_late;
    free(took_us);
    return ret;
}

static void start(struct load *load, struct registry *registry, struct agent_spec *spec,
                  struct agents **ret_agents) {
    struct fault fault = {0};
    struct coordinator_options options = {.capabilities = spec->capability_names};
    enum troupe_error error =
        coordinator_start(load->runtime, registry, load->account, &options, &load->coordinator, &fault);
    if (error != TROUPE_OK)
        bench_fail("overload_bench: coordinator", error, &fault);
    spec->coordinator = load->coordinator;
    error = agent_start(load->runtime, registry, spec, ret_agents, &fault);
    if (error != TROUPE_OK)
        bench_fail("overload_bench: agent", error, &fault);
    struct actor_spec owner = {.name = "owner", .handle = handle, .state = load, .mailbox_len_max = 65536};
    struct message *first = message_new(load->runtime, MESSAGE_USER, 0);
    error = first == NULL ? TROUPE_NOMEM : actor_spawn(load->runtime, &owner, &load->self);
    if (error == TROUPE_OK)
        error = actor_send(load->runtime, NULL, load->self, &first);
    if (error != TROUPE_OK)
        bench_fail("overload_bench: owner", error, NULL);
}

static struct figures run_once(const struct plan *plan) {
    struct account account = ACCOUNT("bench");
    struct fault fault = {0};
    struct registry *registry;
    struct agents *agents;
    struct load load = {.plan = plan, .account = &account};
    struct capability_names names = {0};
    char plugin[PATH_BYTES], options[128];
    unsigned bit;
    enum troupe_error error = capability_intern(&names, "train", &bit);
    if (error == TROUPE_OK)
        error = env_os_create(&account, &load.env);
    if (error == TROUPE_OK)
        error = runtime_create(load.env, &account, &(struct runtime_options){0}, &load.runtime, &fault);
    if (error == TROUPE_OK)
        error = registry_create(load.runtime, &account, &(struct registry_options){.rows_max = 1024},
                                &registry, &fault);
    if (error != TROUPE_OK)
        bench_fail("overload_bench", error, &fault);
    const char *program = env_program(load.env), *slash = strrchr(program, '/');
    snprintf(plugin, sizeof plugin, "%.*s/libsleeper.so", (int)(slash ? slash - program : 1),
             slash ? program : ".");
    snprintf(options, sizeof options, "{\"train\":{\"base_ms\":%.3f,\"noise\":%.3f}}", plan->service_us / 1e3,
             plan->spread / 100.0);
    struct agent_spec spec = {.name = "sleeper",
                              .kind = AGENT_NATIVE,
                              .plugin = plugin,
                              .options_json = options,
                              .capability_names = &names,
                              .instances = plan->agents,
                              .account = &account};
    capability_set_add(&spec.capabilities, bit);
    random_seed(&load.random, 1, 1);
    start(&load, registry, &spec, &agents);
    error = runtime_run(load.runtime);
    if (error != TROUPE_OK || load.failed > 0)
        bench_fail("overload_bench: a task failed", error, NULL);
    struct figures figures = figures_of(&load);
    runtime_free(load.runtime);
    agents_free(agents);
    registry_free(registry);
    env_destroy(load.env);
    free(load.arrivals);
    return figures;
}

static void print(unsigned spread, const char *figure, const char *unit, double value, enum bench_target kind,
                  double target) {
    char name[80];
    snprintf(name, sizeof name, "%s, services vary by %u %%", figure, spread);
    bench_print(&(struct bench_figure){"overload", name, unit, &value, 1, kind, target});
}

static void measure(const struct plan *plan) {
    struct figures figures = run_once(plan);
    unsigned spread = plan->spread;
    print(spread, "capacity", "tasks per second", figures.capacity, BENCH_NO_TARGET, 0);
    print(spread, "refused", "of arrivals", figures.refused, BENCH_NO_TARGET, 0);
    print(spread, "goodput", "of the capacity", figures.goodput, BENCH_AT_LEAST, 0.90);
    print(spread, "promises broken", "of tasks taken", figures.broken, BENCH_AT_MOST, 0.01);
    print(spread, "refusal", "us p50", figures.refusal_us, BENCH_NO_TARGET, 0);
    print(spread, "refusal", "us, the longest", figures.refusal_us_max, BENCH_AT_MOST, 1000);
    print(spread, "refusal", "longer than 1 ms, of all", figures.over_1ms, BENCH_AT_MOST, 0);
    print(spread, "capacity_in", "within 0.5 to 2 of the truth, of all", figures.right, BENCH_AT_LEAST, 1);
    print(spread, "memory", "bytes", figures.bytes, BENCH_NO_TARGET, 0);
    print(spread, "memory", "bytes in the last sixth over those in the fourth", figures.growth, BENCH_AT_MOST,
          1.05);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "worker-native") == 0) /* the agents start their children through us */
        return native_worker_main(argc - 2, argv + 2);
    struct plan plan = {.seconds = 6,
                        .agents = 8,
                        .service_us = 20000,
                        .spread = 10,
                        .load = 300,
                        .deadline_services = 10,
                        .warm_seconds = 2};
    const struct bench_option options[] = {
        {"--seconds", &plan.seconds, 1, 1, 36000, "of overload, twice"},
        {"--warm", &plan.warm_seconds, 1, 1, 600, "seconds in which the capacity is measured"},
        {"--agents", &plan.agents, 4, 1, 64, "processes"},
        {"--service-us", &plan.service_us, 5000, 100, 10000000, "what a task takes, about"},
        {"--spread", &plan.spread, 10, 0, 100, "standard deviation of its logarithm, in hundredths"},
        {"--load", &plan.load, 300, 10, 10000, "arrivals, in percent of the capacity"},
        {"--deadline", &plan.deadline_services, 10, 1, 1000, "of a task after its arrival, in services"}};
    bench_options("overload_bench", argc, argv, options, ARRAY_COUNT(options));
    task_message_destructors();
    unsigned spread = plan.spread;
    plan.spread = 0;
    measure(&plan);
    plan.spread = spread;
    if (spread > 0)
        measure(&plan);
    return 0;
}
