/* worker_line: the lines a worker writes. Each input line is read; what is accepted is used as the agent uses
 * it, and every text that is kept for a person is bounded and fit for a terminal. */
#include "fuzz.h"

#include "agent/worker_protocol.h"

#include <math.h>

static struct account account = ACCOUNT("fuzz");

static void use_hello(const struct worker_line *line) {
    static struct capability_names names = {.count = 2, .names = {"train", "evaluate"}};
    struct capability_set needed = {{0}};
    struct fault fault = {0};
    capability_set_add(&needed, 0);
    capability_set_add(&needed, 1);
    enum troupe_error error = worker_line_hello(line, &needed, &names, &fault);
    if (error != TROUPE_OK)
        fuzz_refused(error, &fault, NULL);
}

static void use_result(const struct worker_line *line, struct buffer *scratch) {
    struct task_result *result = NULL;
    CHECK(worker_line_result(line, &account, scratch, &result) == TROUPE_OK);
    CHECK(line->id != NULL && strlen(line->id) <= WORKER_ID_MAX && line->attempt >= 1);
    CHECK(result->value_length <= WORKER_VALUE_MAX && result->metric_count <= METRICS_MAX);
    CHECK((result->error != TROUPE_OK) == (result->message[0] != '\0'));
    CHECK(result->error != TROUPE_OK || line->type == WORKER_RESULT);
    for (unsigned i = 0; i < result->metric_count; i++)
        CHECK(isfinite(result->metrics[i].value) && result->metrics[i].name[0] != '\0');
    fuzz_fit_for_terminal(result->message);
    CHECK(strchr(result->artifact, '/') == NULL && result->artifact[0] != '.');
    if (result->value != NULL) {
        struct document *document = NULL;
        CHECK(document_parse_json(result->value, result->value_length, "value", NULL, &document, NULL) ==
              TROUPE_OK);
        document_free(document);
    }
    task_result_free(result);
}

static void use_line(const struct worker_line *line, struct buffer *scratch) {
    struct message_task_progress progress = {{0}};
    switch (line->type) {
    case WORKER_HELLO:
        use_hello(line);
        break;
    case WORKER_PROGRESS:
        worker_line_progress(line, &progress);
        CHECK(progress.metric_count <= WORKER_PROGRESS_METRICS_MAX);
        break;
    case WORKER_RESULT:
        use_result(line, scratch);
        break;
    case WORKER_ERROR:
        if (line->id != NULL)
            use_result(line, scratch);
        CHECK(worker_line_text(line) != NULL);
        break;
    case WORKER_LOG:
    case WORKER_UNKNOWN:
        CHECK(worker_line_text(line) != NULL);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer scratch;
    buffer_init(&scratch, &account, 4 * WORKER_VALUE_MAX);
    for (unsigned i = 0; size > 0 && i < 16; i++) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end != NULL ? (size_t)(end - data) : size;
        struct worker_line line = {0};
        struct fault fault = {0};
        char quoted[64];
        enum troupe_error error = worker_line_read((const char *)data, length, &line, &fault);
        if (error != TROUPE_OK)
            fuzz_refused(error, &fault, line.document);
        else
            use_line(&line, &scratch);
        worker_line_free(&line);
        fuzz_fit_for_terminal(worker_quote((const char *)data, length, quoted, sizeof quoted));
        size_t skipped = length + (end != NULL);
        data += skipped;
        size -= skipped;
    }
    buffer_free(&scratch);
    CHECK(document_account()->bytes == 0 && account.bytes == 0);
    return 0;
}
