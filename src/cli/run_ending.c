/* The end of a run in words. See the header. */
#include "cli/run_ending.h"

#include "cli/quote_text.h"
#include "cli/run_summary.h"

/* ---- commands that can be copied ---- */

void run_ending_write_again(const struct run_request *request, struct buffer *out) {
    buffer_text(out, "troupe run");
    if (request->values.configuration != NULL) { /* of this run, so not among the words of every later one */
        buffer_text(out, " --configuration ");
        buffer_shell_word(out, request->values.configuration);
    }
    for (const char *const *word = request->rerun; word != NULL && *word != NULL; word++) {
        buffer_text(out, " ");
        buffer_shell_word(out, *word);
    }
}

static void write_resume(const struct run_request *request, const struct run_outcome *outcome,
                         struct buffer *out) {
    buffer_text(out, "resume     troupe run --resume ");
    buffer_shell_word(out, outcome->run_id);
    if (request->values.runs != NULL) {
        buffer_text(out, " --runs ");
        buffer_shell_word(out, request->values.runs);
    }
    if (outcome->state == RUN_DEADLINE) /* as long again */
        buffer_format(out, " --deadline %llus",
                      (unsigned long long)((request->pipeline->deadline_ns + 499999999) / 500000000));
    buffer_text(out, "\n");
}

/* ---- files ---- */

struct file_list {
    struct buffer *out;
    const char *prefix;
    unsigned count;
};

static bool on_file(void *context, const char *name) {
    struct file_list *list = context;
    buffer_format(list->out, "%s%s%s", list->count++ > 0 ? ", " : "", list->prefix, name);
    return true;
}

static void write_files(struct session *session, const struct run_request *request,
                        const struct run_outcome *outcome, struct buffer *out) {
    struct file_list list = {.out = out, .prefix = "best/"};
    char path[1200];
    struct env_info info = {0};
    buffer_format(out, "files      %s/%s: ", request->runs_directory, outcome->run_id);
    snprintf(path, sizeof path, "%.1100s/report.html", outcome->directory);
    if (env_info(session->env, path, &info) == TROUPE_OK && info.exists) {
        buffer_text(out, "report.html");
        list.count++;
    }
    snprintf(path, sizeof path, "%.1100s/best", outcome->directory);
    if (env_info(session->env, path, &info) == TROUPE_OK && info.exists)
        IGNORE(env_list(session->env, path, on_file, &list), "the directory itself was named");
    buffer_text(out, list.count > 0 ? "\n" : "store.db\n");
}

/* NULL: there is none. */
static struct document *read_response(const struct run_outcome *outcome) {
    struct document *document = NULL;
    if (outcome->response.length == 0 ||
        document_parse_json(buffer_string(&outcome->response), outcome->response.length, "response", NULL,
                            &document, NULL) != TROUPE_OK)
        return NULL;
    return document;
}

void run_ending_print(struct session *session, const struct run_request *request,
                      const struct run_outcome *outcome, const struct run_quote *quotes, FILE *file) {
    struct document *document = read_response(outcome);
    struct buffer text;
    buffer_init(&text, session->account, 1 << 20);
    if (document != NULL) {
        run_summary_write(document_root(document), &text);
        quote_write_score(quotes, document_root(document), &text);
        quote_keep(quotes, request->pipeline, document_root(document));
    } else if (outcome->state == RUN_STOPPED) {
        buffer_text(&text, "stopped at once: what was committed is kept\n");
    }
    document_free(document);
    if (!request->values.no_store) {
        write_files(session, request, outcome, &text);
        if (outcome->state == RUN_STOPPED || outcome->state == RUN_DEADLINE)
            write_resume(request, outcome, &text);
    }
    if (outcome->state == RUN_FINISHED || outcome->state == RUN_DEADLINE) {
        buffer_text(&text, "again      ");
        run_ending_write_again(request, &text);
        buffer_text(&text, "\n");
    }
    fputs(buffer_string(&text), file);
    fflush(file);
    buffer_free(&text);
}

/* The response is an object that is committed with the run; what was quoted is no part of it. */
static void print_response(struct session *session, const struct run_outcome *outcome,
                           const struct run_quote *quotes) {
    struct document *document = read_response(outcome);
    const char *response = buffer_string(&outcome->response);
    size_t length = outcome->response.length;
    struct buffer text;
    struct json json;
    buffer_init(&text, session->account, 1 << 16);
    json_init(&json, &text);
    json_object_begin(&json);
    quote_write_json(quotes, document_root(document), &json);
    json_object_end(&json);
    document_free(document);
    if (buffer_ok(&text) == TROUPE_OK && response[length - 1] == '}')
        printf("%.*s,%s\n", (int)length - 1, response, buffer_string(&text) + 1);
    else
        printf("%s\n", response);
    buffer_free(&text);
}

void run_ending_print_json(struct session *session, const struct run_outcome *outcome,
                           const struct run_quote *quotes, enum troupe_error error,
                           const struct fault *fault) {
    struct buffer text;
    struct json json;
    if (outcome->response.length > 0) {
        print_response(session, outcome, quotes);
        return;
    }
    buffer_init(&text, session->account, 1 << 16);
    json_init(&json, &text);
    json_object_begin(&json);
    json_field_string(&json, "run", outcome->run_id[0] != '\0' ? outcome->run_id : NULL);
    json_field_string(&json, "state", error == TROUPE_CANCELLED ? "stopped" : "failed");
    json_key(&json, "error");
    json_object_begin(&json);
    json_field_string(&json, "code", error_name(error));
    json_field_string(&json, "where", fault->where);
    json_field_string(&json, "message", fault->text[0] != '\0' ? fault->text : error_text(error));
    json_object_end(&json);
    json_object_end(&json);
    printf("%s\n", buffer_string(&text));
    buffer_free(&text);
}
