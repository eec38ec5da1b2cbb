/* short_form: every line is a `--var`, such as lr=log(1e-4,1e-1). */
#include "space_use.h"

#define LINES_MAX 16

static struct account account = ACCOUNT("fuzz");

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char lines[LINES_MAX][1024];
    const char *vars[LINES_MAX];
    size_t count = 0;
    for (; size > 0 && count < LINES_MAX; count++)
        vars[count] = fuzz_line(&data, &size, lines[count], sizeof lines[count]);
    struct space *space = NULL;
    struct fault fault = {0};
    enum troupe_error error = space_compile_vars(vars, count, &space, &fault);
    if (error != TROUPE_OK)
        fuzz_refused(error, &fault, space);
    else
        space_use(space, &account);
    space_free(space);
    CHECK(account.bytes == 0);
    return 0;
}
