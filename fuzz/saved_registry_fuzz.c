/* saved_registry: what a registry was saved as, by anybody. What is handed out keeps the registry's bounds, the callback's
 * error is the reader's, and damage is refused by name. */
#include "fuzz.h"

#include "registry/registry.h"

struct seen {
    unsigned count, stop_at;
};

static enum troupe_error look(void *context, const struct registration *registration, bool expired) {
    struct seen *seen = context;
    size_t length = strlen(registration->name);
    CHECK(length > 0 && length <= REGISTRY_NAME_MAX);
    CHECK(registration->health <= HEALTH_DEGRADED && registration->load < REGISTRY_LOADS);
    CHECK(registration->opaque_length <= REGISTRY_OPAQUE_MAX);
    CHECK(!expired || registration->lease_ns != 0);
    uint64_t hash = hash_bytes(registration->opaque, registration->opaque_length, length);
    CHECK(hash != 0 || registration->opaque_length == 0 || length > 0); /* reads every byte */
    return ++seen->count == seen->stop_at ? TROUPE_FULL : TROUPE_OK;
}

static enum troupe_error read_with(struct seen *seen, const uint8_t *data, size_t size, struct fault *fault) {
    return registry_saved_read((const char *)data, size, "saved", 1000000,
                               &(struct registry_saved){.fn = look, .context = seen}, fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fault fault = {0};
    struct seen all = {0}, first = {.stop_at = 1};
    enum troupe_error error = read_with(&all, data, size, &fault);
    if (error != TROUPE_OK)
        fuzz_refused(error, &fault, NULL);
    if (all.count > 0) {
        fault = (struct fault){0};
        CHECK(read_with(&first, data, size, &fault) == TROUPE_FULL);
        CHECK(first.count == 1);
    }
    return 0;
}
