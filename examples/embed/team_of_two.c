/* A team that holds together: one agent that prepares and one that trains, chosen by what they can do, how busy they are
 * and where they are. They talk over ordered channels; the trainer dies, is replaced, and the work goes on:
 *     cc team_of_two.c $(pkg-config --cflags --libs troupe) && ./a.out */
#include <stdio.h>
#include <string.h>
#include <troupe.h>

enum { PREPARE, TRAIN }; /* capabilities, and the roles that need them */

static struct troupe_capabilities roles[2];
static const struct troupe_team_spec spec = {
    .name_space = "agents", .roles = roles, .role_count = 2, .channel_len = 8};
static troupe_team team;
static unsigned trained, replaced;

static void tell(struct troupe_turn *turn, unsigned to, const char *text) {
    enum troupe_status status = troupe_team_send(turn, team, to, text, strlen(text) + 1);
    if (status != TROUPE_STATUS_OK)
        printf("not sent: %s\n", troupe_status_text(status)); /* refused: it is still ours */
}

/* Hands each piece on to the trainer, in order. */
static void prepare(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    (void)state;
    if (event->kind == TROUPE_EVENT_TEAM)
        tell(turn, TRAIN, ((const struct troupe_team_message *)event->bytes)->bytes);
}

static void train(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    (void)state;
    if (event->kind != TROUPE_EVENT_TEAM)
        return;
    const struct troupe_team_message *message = event->bytes;
    if (strcmp(message->bytes, "poison") == 0 && message->epoch == 0) {
        troupe_actor_exit(turn, TROUPE_STATUS_FAILED);
        return;
    }
    printf("number %u of epoch %u: %s\n", (unsigned)message->sequence, message->epoch,
           (const char *)message->bytes);
    tell(turn, TROUPE_TEAM_HOLDER, message->bytes);
}

static void hold(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    char problem[TROUPE_PROBLEM_MAX] = "";
    (void)state;
    if (event->kind == TROUPE_EVENT_MESSAGE) {
        if (troupe_team_form(turn, &spec, &team, problem) != TROUPE_STATUS_OK) {
            printf("no team: %s\n", problem);
            troupe_stop(troupe_of(turn));
            return;
        }
        tell(turn, PREPARE, "first");
        tell(turn, PREPARE, "poison");
    } else if (event->kind == TROUPE_EVENT_DOWN) { /* a member: here always the trainer */
        replaced += troupe_team_replace(turn, team, TRAIN, &spec, problem) == TROUPE_STATUS_OK;
        printf("another trainer%s%s\n", *problem ? ": " : "", problem);
        tell(turn, PREPARE, "second");
    } else if (event->kind == TROUPE_EVENT_TEAM && ++trained == 2) {
        troupe_team_release(turn, team);
        troupe_stop(troupe_of(turn));
    }
}

static void agent(struct troupe *troupe, const char *name, troupe_handler handle, unsigned can,
                  unsigned load) {
    troupe_actor actor;
    struct troupe_registry_entry entry = {.load = load};
    TROUPE_CAPABILITY_ADD(&entry.capabilities, can);
    troupe_actor_spawn(troupe, &(struct troupe_actor_spec){.name = name, .handle = handle}, &actor);
    troupe_registry_register_entry(troupe, "agents", name, actor, &entry, NULL);
}

int main(void) {
    struct troupe *troupe;
    troupe_actor holder;
    if (troupe_open(NULL, &troupe) != TROUPE_STATUS_OK)
        return 1;
    TROUPE_CAPABILITY_ADD(&roles[PREPARE], PREPARE);
    TROUPE_CAPABILITY_ADD(&roles[TRAIN], TRAIN);
    agent(troupe, "preparer", prepare, PREPARE, 0);
    agent(troupe, "busy trainer", train, TRAIN, 3);
    agent(troupe, "idle trainer", train, TRAIN, 0);
    troupe_actor_spawn(troupe, &(struct troupe_actor_spec){.name = "holder", .handle = hold}, &holder);
    troupe_send(troupe, NULL, holder, "", 0);
    troupe_run(troupe);
    troupe_close(troupe);
    return trained == 2 && replaced == 1 ? 0 : 1;
}
