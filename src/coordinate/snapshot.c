/* Agents' views in a table of agents_max. `holders` counts, by capability, the views that are usable, so that
 * "does anybody still have it" is one load; every change of a view's usability or set goes through
 * count_holder. */
#include "coordinate/snapshot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define EXPECTED_UNKNOWN_NS 1000000 /* before anything was seen: 1 ms, so that load still spreads */
#define MEAN_STEP 0.2f
#define SEEN_MAX 1000
#define SEEN_DOUBT 16 /* observations at which an agent's own speed is believed half way (in its logarithm) */

enum troupe_error snapshot_init(struct snapshot *snapshot, struct runtime *runtime, struct registry *registry,
                                struct account *account, const char *name_space, unsigned agents_max,
                                struct heap *alarms) {
    memset(snapshot, 0, sizeof *snapshot);
    snapshot->account = account;
    snapshot->runtime = runtime;
    snapshot->registry = registry;
    snapshot->name_space = name_space;
    snapshot->alarms = alarms;
    snapshot->views_max = agents_max;
    snapshot->views = memory_alloc(account, agents_max * sizeof *snapshot->views);
    return snapshot->views ? TROUPE_OK : TROUPE_NOMEM;
}

void snapshot_free(struct snapshot *snapshot) {
    for (unsigned i = 0; i < snapshot->views_used; i++)
        memory_free(snapshot->account, snapshot->views[i]);
    memory_free(snapshot->account, snapshot->views);
    snapshot->views = NULL;
    snapshot->views_used = 0;
}

struct agent_view *snapshot_find(const struct snapshot *snapshot, actor_ref actor) {
    for (unsigned i = 0; i < snapshot->views_used; i++)
        if (snapshot->views[i] && snapshot->views[i]->actor == actor)
            return snapshot->views[i];
    return NULL;
}

bool agent_view_usable(const struct agent_view *view) {
    return !view->gone && !view->gave_up && !view->draining &&
           (view->health == HEALTH_UP || view->health == HEALTH_DEGRADED);
}

bool agent_view_has(const struct agent_view *view, unsigned capability) {
    return agent_view_usable(view) && capability_set_has(&view->capabilities, capability);
}

static void count_holder(struct snapshot *snapshot, const struct agent_view *view, bool add) {
    if (!agent_view_usable(view))
        return;
    for (unsigned bit = 0; bit < CAPABILITIES_MAX; bit++)
        if (capability_set_has(&view->capabilities, bit)) {
            CHECK(add || snapshot->holders[bit] > 0);
            snapshot->holders[bit] += add ? 1 : UINT32_MAX;
        }
}

static struct agent_view *new_view(struct snapshot *snapshot, actor_ref actor) {
    unsigned index = 0;
    while (index < snapshot->views_used && snapshot->views[index])
        index++;
    if (index == snapshot->views_max) {
        snapshot->ignored++;
        return NULL;
    }
    struct agent_view *view = memory_alloc(snapshot->account, sizeof *view);
    if (!view || heap_insert(snapshot->alarms, &view->alarm, UINT64_MAX)) {
        memory_free(snapshot->account, view);
        snapshot->incomplete = true;
        return NULL;
    }
    view->actor = actor;
    view->index = index;
    view->weight = 1;
    view->slots = view->batch_max = 1;
    view->health = HEALTH_DOWN; /* not counted as a holder before its row is read */
    snapshot->views[index] = view;
    snapshot->views_live++;
    if (index == snapshot->views_used)
        snapshot->views_used++;
    return view;
}

static void read_profile(struct snapshot *snapshot, struct agent_view *view, uint64_t now_ns) {
    struct agent_profile profile = {.slots = 1, .batch_max = 1};
    const struct registry_row *row =
        registry_lookup(snapshot->registry, snapshot->name_space, view->name, now_ns);
    if (row && row->actor == view->actor) {
        struct registry_view said;
        registry_row_view(snapshot->registry, row, &said);
        if (said.opaque_length == sizeof profile)
            memcpy(&profile, said.opaque, sizeof profile);
    }
    view->slots = profile.slots == 0 ? 1 : profile.slots > AGENT_SLOTS_MAX ? AGENT_SLOTS_MAX : profile.slots;
    view->batch_max = profile.batch_max ? profile.batch_max : 1;
    view->batch_wait_ns = profile.batch_wait_ns;
    uint32_t at_once = profile.window > view->batch_max ? profile.window : view->batch_max;
    uint64_t window = (uint64_t)view->slots * 2 * at_once;
    if (profile.queue_len_max && window > profile.queue_len_max)
        window = profile.queue_len_max;
    view->window_max = window > AGENT_WINDOW_MAX ? AGENT_WINDOW_MAX : (uint32_t)window;
    view->window = view->window_max;
}

struct agent_view *snapshot_change(struct snapshot *snapshot, const struct message_registry_change *change,
                                   uint64_t now_ns) {
    if (change->change == REGISTRY_FELL_BEHIND) {
        snapshot->incomplete = true;
        return NULL;
    }
    struct agent_view *view = snapshot_find(snapshot, change->actor);
    if (change->change == REGISTRY_REMOVED) {
        if (view && !view->gone && strcmp(view->name, change->name) == 0 && change->version >= view->version)
            snapshot_remove(snapshot, view);
        return NULL;
    }
    bool is_new = !view;
    if (!view)
        view = new_view(snapshot, change->actor);
    if (!view || (!is_new && change->version <= view->version && !view->gone))
        return NULL;
    count_holder(snapshot, view, false);
    view->version = change->version;
    snprintf(view->name, sizeof view->name, "%s", change->name);
    view->capabilities = change->capabilities;
    view->health = change->health;
    view->gone = view->gave_up = view->draining = false;
    read_profile(snapshot, view, now_ns);
    count_holder(snapshot, view, true);
    return is_new ? view : NULL;
}

void snapshot_remove(struct snapshot *snapshot, struct agent_view *view) {
    count_holder(snapshot, view, false);
    view->gone = true;
}

void snapshot_release(struct snapshot *snapshot, struct agent_view *view) {
    if (!view->gone || view->claims.count || view->offer_open)
        return;
    heap_remove(snapshot->alarms, &view->alarm);
    snapshot->views[view->index] = NULL;
    snapshot->views_live--;
    memory_free(snapshot->account, view);
}

void snapshot_give_up(struct snapshot *snapshot, struct agent_view *view) {
    count_holder(snapshot, view, false);
    view->gave_up = true;
}

void snapshot_drain(struct snapshot *snapshot, struct agent_view *view) {
    count_holder(snapshot, view, false);
    view->draining = true;
}

void snapshot_drop_capability(struct snapshot *snapshot, struct agent_view *view, unsigned capability) {
    if (!capability_set_has(&view->capabilities, capability))
        return;
    count_holder(snapshot, view, false);
    view->capabilities.bits[capability / 64] &= ~(UINT64_C(1) << capability % 64);
    count_holder(snapshot, view, true);
}

uint32_t agent_view_room(const struct agent_view *view, uint64_t now_ns, uint64_t round) {
    if (!agent_view_usable(view) || view->offer_open || view->resume_ns > now_ns)
        return 0;
    if (round != 0 && view->refused_round == round)
        return 0;
    uint32_t room = view->window > view->claims.count ? view->window - view->claims.count : 0;
    /* While it has a batch to do, it is offered whole ones. */
    bool piece = room < view->batch_max && view->claims.count >= view->batch_max;
    return piece && view->window >= 2 * view->batch_max ? 0 : room;
}

void snapshot_observe(struct snapshot *snapshot, struct agent_view *view, unsigned capability,
                      uint64_t service_ns) {
    float seen = service_ns ? (float)service_ns : 1;
    float *mean = &view->service_ns[capability];
    *mean = *mean > 0 ? *mean + MEAN_STEP * (seen - *mean) : seen;
    if (view->seen[capability] < SEEN_MAX)
        view->seen[capability]++;
    double *all = &snapshot->service_ns[capability];
    *all = *all > 0 ? *all + (double)MEAN_STEP * ((double)seen - *all) : (double)seen;
}

uint64_t snapshot_expected(const struct snapshot *snapshot, unsigned capability) {
    double mean = snapshot->service_ns[capability];
    return mean >= 1 ? (uint64_t)mean : EXPECTED_UNKNOWN_NS;
}

/* How slow an agent is compared with all. Tasks of one kind differ by orders of magnitude (an SVM's training takes
 * 0.4 s or 19 s by its C), so a few long ones say little of the agent that had them: its ratio counts by how often
 * it was seen. Believed at once, it left one of two equal agents idle for 40 of 60 s. */
float snapshot_factor(const struct snapshot *snapshot, const struct agent_view *view, unsigned capability) {
    float speed = 1;
    if (view->service_ns[capability] > 0 && snapshot->service_ns[capability] > 0)
        speed = view->service_ns[capability] / (float)snapshot->service_ns[capability];
    float seen = view->seen[capability];
    speed = powf(speed < 0.01f ? 0.01f : speed > 100 ? 100 : speed, seen / (seen + SEEN_DOUBT));
    return view->health == HEALTH_DEGRADED ? 2 * speed * view->weight : speed * view->weight;
}
