/* report_html: the page of a run: head, headline figures, best configuration and how to get it again, events,
 * provenance; the charts, the table and the time come from the files beside it. Order of the page is order of
 * interest: what was found, can it be trusted, how do I get it, what does it depend on, where did the time go. */
#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char page_css[] =
#include "report/page_css.inc"
    ;
static const char page_js[] =
#include "report/page_js.inc"
    ;

static void head(struct page *page) {
    const struct report_run *run = page->run;
    buffer_text(page->out,
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                "'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    page_text(page, run->name);
    buffer_text(page->out, " \xc2\xb7 ");
    page_text(page, run->metric);
    if (run->has_best) {
        buffer_text(page->out, " ");
        page_number(page, run->best_objective, 6);
    }
    buffer_text(page->out, " \xc2\xb7 Troupe</title>\n<style>\n");
    buffer_text(page->out, page_css);
    buffer_text(page->out, "</style></head>\n<body><a class=\"skip\" href=\"#main\">Skip to content</a>\n");
}

static const char *state_class(const char *state) {
    static const char *const known[] = {"finished", "deadline", "stopped", "failed", "running"};
    for (unsigned i = 0; i < ARRAY_COUNT(known); i++)
        if (state != NULL && strcmp(state, known[i]) == 0)
            return known[i];
    return "stopped";
}

static void title(struct page *page) {
    const struct report_run *run = page->run;
    char date[32];
    buffer_text(page->out, "<header><div class=\"wrap\"><div class=\"name\"><h1>");
    page_text(page, run->name != NULL && run->name[0] != '\0' ? run->name : run->id);
    buffer_format(page->out, "</h1> <span class=\"state %s\">", state_class(run->state));
    page_text(page, run->state);
    buffer_text(page->out, "</span></div><p class=\"sub\">run <code>");
    page_text(page, run->id);
    buffer_text(page->out, "</code>");
    if (run->started_utc_ns != 0)
        buffer_format(page->out, " \xc2\xb7 started %s", page_utc(date, run->started_utc_ns));
    buffer_text(page->out, " \xc2\xb7 ");
    buffer_text(page->out, run->maximise ? "maximise <b>" : "minimise <b>");
    page_text(page, run->metric);
    buffer_text(page->out, "</b></p>");
    if (run->error != NULL && run->error[0] != '\0') {
        buffer_text(page->out, "<p class=\"error\" role=\"alert\">");
        page_text(page, run->error);
        buffer_text(page->out, "</p>");
    }
    buffer_text(page->out, "</div></header>\n<main id=\"main\" class=\"wrap\">\n");
}

/* ---- headline figures ---- */

static void figure_begin(struct page *page, const char *name) {
    buffer_text(page->out, "<div class=\"card figure\"><dt>");
    page_text(page, name);
    buffer_text(page->out, "</dt><dd>");
}

/* "0.021 better than the baseline's 0.95" */
static void against(struct page *page, double value, double baseline) {
    double gain = page->run->maximise ? value - baseline : baseline - value;
    buffer_text(page->out, "</dd><dd class=\"note ");
    if (gain == 0) {
        buffer_text(page->out, "same\">the same as the baseline");
    } else {
        buffer_text(page->out, gain > 0 ? "better\">" : "worse\">");
        page_number(page, fabs(gain), 3);
        buffer_text(page->out, gain > 0 ? " better than the baseline\xe2\x80\x99s "
                                        : " worse than the baseline\xe2\x80\x99s ");
        page_number(page, baseline, 6);
    }
}

static void figure_best(struct page *page) {
    const struct report_run *run = page->run;
    char name[300];
    snprintf(name, sizeof name, "best %.200s", run->metric != NULL ? run->metric : "objective");
    figure_begin(page, name);
    if (!run->has_best) {
        buffer_text(page->out, "\xe2\x80\x93</dd><dd class=\"note\">no trial has succeeded yet</dd></div>");
        return;
    }
    page_number(page, run->best_objective, 6);
    if (run->has_baseline && run->baseline_trial != run->best_trial)
        against(page, run->best_objective, run->baseline_objective);
    else
        buffer_text(page->out, "</dd><dd class=\"note\">");
    if (run->has_baseline && run->baseline_trial == run->best_trial)
        buffer_text(page->out, "the baseline itself");
    else if (!run->has_baseline)
        buffer_format(page->out, "in trial %u", run->best_trial);
    buffer_text(page->out, "</dd></div>");
}

static void figure_test(struct page *page) {
    const struct report_run *run = page->run;
    if (!run->has_best_test)
        return;
    figure_begin(page, "on held-out data");
    page_number(page, run->best_test, 6);
    if (run->has_baseline_test && run->baseline_trial != run->best_trial)
        against(page, run->best_test, run->baseline_test);
    else
        buffer_text(page->out, "</dd><dd class=\"note\">never seen by the search");
    buffer_text(page->out, "</dd></div>");
}

static void figures(struct page *page) {
    const struct report_run *run = page->run;
    double executing = 0, whole = 0;
    buffer_text(page->out, "<dl class=\"figures\">");
    figure_best(page);
    figure_test(page);
    figure_begin(page, "trials");
    buffer_format(page->out, "%zu</dd><dd class=\"note\">%zu ok", page->trial_count, page->ok);
    if (page->failed > 0)
        buffer_format(page->out, ", <span class=\"bad\">%zu failed</span>", page->failed);
    if (page->running + page->cancelled > 0)
        buffer_format(page->out, ", %zu unfinished", page->running + page->cancelled);
    buffer_text(page->out, "</dd></div>");
    figure_begin(page, "running time");
    page_duration(page, run->elapsed_ns);
    buffer_text(page->out, "</dd><dd class=\"note\">");
    if (page->ok + page->failed > 0 && run->elapsed_ns > 0) {
        page_number(page, (double)(page->ok + page->failed) / ((double)run->elapsed_ns / 60e9), 3);
        buffer_text(page->out, " trials a minute");
    }
    buffer_text(page->out, "</dd></div>");
    for (unsigned i = 0; i < run->agent_count; i++) {
        executing += (double)run->agents[i].executing_ns;
        whole += (double)run->agents[i].executing_ns + (double)run->agents[i].waiting_ns +
                 (double)run->agents[i].idle_ns;
    }
    if (whole > 0) {
        figure_begin(page, "agents executing");
        buffer_format(page->out, "%.0f&#8201;%%</dd><dd class=\"note\">of %u %s\xe2\x80\x99 time</dd></div>",
                      executing / whole * 100, run->agent_count, run->agent_count == 1 ? "agent" : "agents");
    }
    buffer_text(page->out, "</dl>\n");
}

/* ---- the best configuration ---- */

static void command(struct page *page, const char *label, const char *text) {
    if (text == NULL || text[0] == '\0')
        return;
    buffer_text(page->out, "<p class=\"label\">");
    page_text(page, label);
    buffer_text(page->out, "</p><div class=\"command\"><pre tabindex=\"0\"><code>");
    page_text(page, text);
    buffer_text(page->out, "</code></pre><button type=\"button\" class=\"copy\" hidden>Copy</button></div>");
}

static void configuration(struct page *page) {
    const struct report_run *run = page->run;
    bool compare = page->baseline != NULL && page->baseline != page->best;
    buffer_text(page->out,
                "<table class=\"config\"><thead><tr><th scope=\"col\" class=\"left\">variable</th><th "
                "scope=\"col\">best</th>");
    if (compare)
        buffer_text(page->out, "<th scope=\"col\">baseline</th>");
    buffer_text(page->out, "</tr></thead><tbody>");
    for (unsigned i = 0; i < run->variable_count; i++) {
        bool active = page_active(page, page->best, i);
        if (!active && !(compare && page_active(page, page->baseline, i)))
            continue;
        buffer_text(page->out, "<tr><th scope=\"row\" class=\"left\">");
        page_text(page, run->variables[i].name);
        buffer_text(page->out, "</th><td><b>");
        if (active)
            page_value(page, &run->variables[i], page->best->values[i]);
        buffer_text(page->out, active ? "</b></td>" : "<span class=\"none\">not used</span></b></td>");
        if (compare) {
            buffer_text(page->out, "<td>");
            if (page_active(page, page->baseline, i))
                page_value(page, &run->variables[i], page->baseline->values[i]);
            else
                buffer_text(page->out, "<span class=\"none\">not used</span>");
            buffer_text(page->out, "</td>");
        }
        buffer_text(page->out, "</tr>");
    }
    buffer_text(page->out, "</tbody></table>");
}

static void best(struct page *page) {
    const struct report_run *run = page->run;
    buffer_text(page->out, "<section id=\"best\" class=\"card\"><h2>Best configuration</h2>");
    if (page->best == NULL) {
        buffer_text(page->out, "<p class=\"empty\">None yet: no trial has succeeded.");
        if (page->failed > 0)
            buffer_text(page->out, " The table of trials says why they failed.");
        buffer_text(page->out, "</p>");
        command(page, "Run it again", run->command);
        buffer_text(page->out, "</section>\n");
        return;
    }
    buffer_format(page->out, "<p class=\"hint\">trial %u, ", page->best->number);
    page_text(page, run->metric);
    buffer_text(page->out, " ");
    page_number(page, run->best_objective, 8);
    buffer_text(page->out, "</p>");
    configuration(page);
    command(page, "Evaluate it again", run->reproduce);
    command(page, "Run the search again", run->command);
    if (run->directory != NULL) {
        buffer_text(page->out, "<p class=\"hint\">Configuration, model and command: <code>");
        page_text(page, run->directory);
        buffer_text(page->out, "/best/</code></p>");
    }
    buffer_text(page->out, "</section>\n");
}

/* ---- the rest ---- */

static void events(struct page *page) {
    const struct report_run *run = page->run;
    if (run->event_count == 0)
        return;
    size_t first = run->event_count > REPORT_EVENTS_MAX ? run->event_count - REPORT_EVENTS_MAX : 0;
    buffer_text(page->out, "<section id=\"events\"><h2>Worth knowing</h2><ul class=\"card events\">");
    if (first > 0)
        buffer_format(page->out,
                      "<li><span></span><span class=\"hint\">%zu earlier lines are in the run\xe2\x80\x99s "
                      "store</span></li>",
                      first);
    for (size_t i = first; i < run->event_count; i++) {
        buffer_text(page->out, "<li><span class=\"when\">");
        if (run->events[i].at_ns != UINT64_MAX)
            page_duration(page, run->events[i].at_ns);
        buffer_text(page->out, "</span><span>");
        page_text(page, run->events[i].text);
        buffer_text(page->out, "</span></li>");
    }
    buffer_text(page->out, "</ul></section>\n");
}

static void facts(struct page *page) {
    const struct report_run *run = page->run;
    buffer_text(page->out, "<footer><dl>");
    for (size_t i = 0; i < run->fact_count; i++) {
        buffer_text(page->out, "<div><dt>");
        page_text(page, run->facts[i].name);
        buffer_text(page->out, "</dt><dd>");
        page_text(page, run->facts[i].value);
        buffer_text(page->out, "</dd></div>");
    }
    buffer_text(page->out, "</dl><p>Made by Troupe");
    if (run->version != NULL) {
        buffer_text(page->out, " ");
        page_text(page, run->version);
    }
    buffer_text(page->out,
                ". This page is complete in itself and asks nothing of the network.</p></footer>\n");
}

enum troupe_error report_html(const struct report_run *run, struct buffer *out) {
    struct page page = {.run = run, .out = out};
    size_t length_before = out->length;
    arena_init(&page.arena, out->account);
    enum troupe_error error = page_trials_init(&page);
    if (error == TROUPE_OK) {
        head(&page);
        title(&page);
        figures(&page);
        buffer_text(out, "<div class=\"lead\">");
        page_curves(&page);
        best(&page);
        buffer_text(out, "</div>\n");
        page_slices(&page);
        page_time(&page);
        page_trials(&page);
        events(&page);
        facts(&page);
        buffer_text(out, "</main>\n<div id=\"tip\" role=\"status\" hidden></div>\n");
        page_data(&page);
        buffer_text(out, "<script>\n");
        buffer_text(out, page_js);
        buffer_text(out, "</script>\n</body></html>\n");
        error = page.error != TROUPE_OK ? page.error : buffer_ok(out);
    }
    if (error != TROUPE_OK && out->bytes != NULL) { /* nobody is shown half a page */
        out->length = length_before;
        out->bytes[length_before] = '\0';
    }
    arena_free(&page.arena);
    return error;
}
