/* A plugin with one mistake, chosen by FAULTY, for the tests of the plugin host. */
#include "troupe_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const capabilities[] = {"work",
#if FAULTY == 5
                                           "0123456789012345678901234567890123456789012345678901234567890123",
#endif
                                           NULL};

#if FAULTY == 6
static int create(const char *options_json, uint32_t instance, void **ret_state, char *error,
                  size_t error_size) {
    (void)instance;
    (void)ret_state;
    snprintf(error, error_size, "no device for %s", options_json);
    return -1;
}
#endif

static int execute(void *state, const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    (void)state;
    (void)task;
    (void)result;
#if FAULTY == 8
    abort();
#endif
#if FAULTY == 9
    for (;;)
        pause();
#endif
    return 0;
}

#if FAULTY == 7
#define EXPORTED another_name
#else
#define EXPORTED troupe_plugin
#endif

TROUPE_PLUGIN_EXPORT const struct troupe_plugin EXPORTED = {
    .abi = FAULTY == 1 ? TROUPE_PLUGIN_ABI + 1 : TROUPE_PLUGIN_ABI,
    .size = FAULTY == 2 ? 8 : sizeof(struct troupe_plugin),
    .name = "faulty",
    .capabilities = FAULTY == 3 ? NULL : capabilities,
    .execute = FAULTY == 4 ? NULL : execute,
#if FAULTY == 6
    .create = create,
#endif
};
