/* page_lanes: one lane per agent: what it executed when, and how its time divides. A lane with more executions
 * than its part of REPORT_BARS_MAX is drawn as columns of equal width, each coloured by the stage that filled
 * most of it and left empty when nothing filled half of it. Memory: the page's arena. */
#include "report/page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLOURS (PAGE_COLOURS + 1) /* stages, and failed */

struct lanes {
    struct page *page;
    unsigned count;                             /* drawn */
    const struct report_execution **executions; /* by agent, then start */
    size_t *first;    /* count + 1: executions of lane i are first[i]..first[i + 1] */
    struct axis axis; /* seconds */
    uint64_t end_ns;
    bool merged;
};

static int by_lane(const void *a, const void *b) {
    const struct report_execution *left = *(const struct report_execution *const *)a;
    const struct report_execution *right = *(const struct report_execution *const *)b;
    if (left->agent != right->agent)
        return left->agent < right->agent ? -1 : 1;
    return left->started_ns < right->started_ns ? -1 : left->started_ns > right->started_ns;
}

static bool lanes_init(struct lanes *lanes, struct page *page) {
    const struct report_run *run = page->run;
    size_t n = 0;
    *lanes = (struct lanes){.page = page, .end_ns = run->elapsed_ns > 0 ? run->elapsed_ns : 1};
    lanes->count = run->agent_count < REPORT_LANES_MAX ? run->agent_count : REPORT_LANES_MAX;
    lanes->executions = ARENA_ARRAY(&page->arena, const struct report_execution *, run->execution_count + 1);
    lanes->first = ARENA_ARRAY(&page->arena, size_t, lanes->count + 1);
    if (lanes->executions == NULL || lanes->first == NULL) {
        page->error = TROUPE_NOMEM;
        return false;
    }
    for (size_t i = 0; i < run->execution_count; i++) {
        const struct report_execution *one = &run->executions[i];
        if (one->agent >= lanes->count || one->ended_ns < one->started_ns)
            continue;
        lanes->executions[n++] = one;
        if (one->ended_ns > lanes->end_ns)
            lanes->end_ns = one->ended_ns;
    }
    qsort(lanes->executions, n, sizeof *lanes->executions, by_lane);
    size_t at = 0;
    for (unsigned i = 0; i < lanes->count; i++) {
        lanes->first[i] = at;
        while (at < n && lanes->executions[at]->agent == i)
            at++;
    }
    lanes->first[lanes->count] = at;
    axis_make_time(&lanes->axis, lanes->end_ns, 6);
    return true;
}

static unsigned colour_of(const struct report_execution *execution) {
    return execution->failed                    ? PAGE_COLOURS
           : execution->stage == REPORT_UNKNOWN ? PAGE_COLOURS - 1
                                                : execution->stage % PAGE_COLOURS;
}

static unsigned place(const struct lanes *lanes, uint64_t at_ns) {
    double at = axis_position(&lanes->axis, (double)at_ns / 1e9);
    return at <= 0 ? 0 : at >= 1 ? CHART_SIZE : (unsigned)(at * CHART_SIZE + 0.5);
}

static void path_begin(struct lanes *lanes, unsigned colour, bool *any) {
    if (!*any && colour == PAGE_COLOURS)
        buffer_text(lanes->page->out, "<path class=\"sf\" d=\"");
    else if (!*any)
        buffer_format(lanes->page->out, "<path class=\"s%u\" d=\"", colour);
    *any = true;
}

static void exact(struct lanes *lanes, size_t first, size_t end) {
    for (unsigned colour = 0; colour < COLOURS; colour++) {
        bool any = false;
        for (size_t i = first; i < end; i++) {
            const struct report_execution *one = lanes->executions[i];
            if (colour_of(one) != colour)
                continue;
            unsigned from = place(lanes, one->started_ns), to = place(lanes, one->ended_ns);
            to = to > from ? to : from + 1;
            path_begin(lanes, colour, &any);
            buffer_format(lanes->page->out, "M%u 0H%uV1H%uz", from, to, from);
        }
        if (any)
            buffer_text(lanes->page->out, "\"/>");
    }
}

/* Adds what an execution covers of each column it touches. */
static void cover(const struct lanes *lanes, const struct report_execution *one, unsigned columns,
                  float (*covered)[COLOURS]) {
    double width = (double)lanes->end_ns / columns;
    double from = (double)one->started_ns / width, to = (double)one->ended_ns / width;
    for (unsigned c = (unsigned)from; c < columns && c < to; c++)
        covered[c][colour_of(one)] += (float)(fmin(to, c + 1) - fmax(from, c));
}

static void merged(struct lanes *lanes, size_t first, size_t end, unsigned columns) {
    float(*covered)[COLOURS] = arena_alloc(&lanes->page->arena, sizeof *covered * columns);
    if (covered == NULL) {
        lanes->page->error = TROUPE_NOMEM;
        return;
    }
    for (size_t i = first; i < end; i++)
        cover(lanes, lanes->executions[i], columns, covered);
    lanes->merged = true;
    for (unsigned colour = 0; colour < COLOURS; colour++) {
        bool any = false;
        unsigned open = columns; /* column where a bar began */
        for (unsigned c = 0; c <= columns; c++) {
            bool wins = c < columns && covered[c][colour] > 0;
            float all = 0;
            for (unsigned k = 0; wins && k < COLOURS; k++) {
                all += covered[c][k];
                wins = k <= colour ? covered[c][k] <= covered[c][colour] : covered[c][k] < covered[c][colour];
            }
            wins = wins && all >= 0.5f;
            if (wins && open == columns)
                open = c;
            if (!wins && open < columns) {
                path_begin(lanes, colour, &any);
                buffer_format(lanes->page->out, "M%u 0H%uV1H%uz", open * CHART_SIZE / columns,
                              c * CHART_SIZE / columns, open * CHART_SIZE / columns);
                open = columns;
            }
        }
        if (any)
            buffer_text(lanes->page->out, "\"/>");
    }
}

static void write_percent(struct page *page, uint64_t part, double whole) {
    buffer_format(page->out, "<td>%.1f&#8201;%%</td>", whole > 0 ? (double)part / whole * 100 : 0.0);
}

static void lane(struct lanes *lanes, unsigned index) {
    struct page *page = lanes->page;
    const struct report_agent *agent = &page->run->agents[index];
    size_t first = lanes->first[index], end = lanes->first[index + 1];
    unsigned budget = REPORT_BARS_MAX / lanes->count;
    double whole = (double)agent->executing_ns + (double)agent->waiting_ns + (double)agent->idle_ns;
    buffer_text(page->out, "<tr><th scope=\"row\" class=\"left\">");
    page_text(page, agent->name);
    buffer_format(page->out,
                  "</th><td class=\"lane\"><svg data-lane=\"%u\" viewBox=\"0 0 %d 1\" "
                  "preserveAspectRatio=\"none\" aria-hidden=\"true\">",
                  index, CHART_SIZE);
    if (end - first > budget)
        merged(lanes, first, end, budget / 2 > 1000 ? 1000 : budget / 2);
    else
        exact(lanes, first, end);
    buffer_text(page->out, "</svg></td>");
    write_percent(page, agent->executing_ns, whole);
    write_percent(page, agent->waiting_ns, whole);
    write_percent(page, agent->idle_ns, whole);
    buffer_format(page->out, "<td>%llu</td></tr>\n", (unsigned long long)agent->tasks);
}

static void totals(struct page *page) {
    const struct report_run *run = page->run;
    double executing = 0, waiting = 0, idle = 0;
    uint64_t tasks = 0;
    for (unsigned i = 0; i < run->agent_count; i++) {
        executing += (double)run->agents[i].executing_ns;
        waiting += (double)run->agents[i].waiting_ns;
        idle += (double)run->agents[i].idle_ns;
        tasks += run->agents[i].tasks;
    }
    double whole = executing + waiting + idle;
    const double parts[] = {executing, waiting, idle};
    buffer_format(page->out,
                  "<tfoot><tr><th scope=\"row\" class=\"left\">%u %s</th><td class=\"lane\"><div "
                  "class=\"stack thin\" aria-hidden=\"true\">",
                  run->agent_count, run->agent_count == 1 ? "agent" : "agents");
    static const char *const classes[] = {"busy", "waits", "idle"};
    for (unsigned i = 0; i < 3; i++)
        buffer_format(page->out, "<i class=\"%s\" style=\"width:%.2f%%\"></i>", classes[i],
                      whole > 0 ? parts[i] / whole * 100 : 0.0);
    buffer_text(page->out, "</div></td>");
    for (unsigned i = 0; i < 3; i++)
        buffer_format(page->out, "<td>%.1f&#8201;%%</td>", whole > 0 ? parts[i] / whole * 100 : 0.0);
    buffer_format(page->out, "<td>%llu</td></tr></tfoot>", (unsigned long long)tasks);
}

static void legend(struct lanes *lanes) {
    struct page *page = lanes->page;
    buffer_text(page->out, "<ul class=\"legend\">");
    for (unsigned i = 0; i < page->run->stage_count; i++) {
        buffer_format(page->out, "<li><i class=\"key s%u\"></i>", i % PAGE_COLOURS);
        page_text(page, page->run->stages[i]);
        buffer_text(page->out, "</li>");
    }
    buffer_text(page->out, "<li><i class=\"key sf\"></i>attempt that failed</li></ul>");
    if (lanes->merged)
        buffer_text(page->out,
                    "<p class=\"hint\">Too many executions to draw one by one: each column shows the "
                    "stage that filled most of it.</p>");
    if (lanes->count < page->run->agent_count)
        buffer_format(page->out,
                      "<p class=\"hint\">The first %u of %u agents are drawn; the last line counts "
                      "all.</p>",
                      lanes->count, page->run->agent_count);
}

void page_lanes(struct page *page) {
    struct lanes lanes;
    if (page->run->agent_count == 0 || !lanes_init(&lanes, page))
        return;
    buffer_text(
        page->out,
        "<div class=\"card\"><h3>Agents</h3><p class=\"hint\">Executing a task; waiting for one while "
        "trials were under way; idle before the first and after the last trial.</p><div class=\"scroll\" "
        "tabindex=\"0\" role=\"region\" aria-label=\"Agents over time\"><table class=\"lanes\"><thead><tr>"
        "<th scope=\"col\" class=\"left\">agent</th><th scope=\"col\" class=\"lane\"><div "
        "class=\"xticks\">");
    for (unsigned i = 0; i < lanes.axis.tick_count; i++)
        buffer_format(page->out, "<span style=\"left:%.2f%%\">%s</span>", lanes.axis.ticks[i].at * 100,
                      lanes.axis.ticks[i].label);
    buffer_text(page->out, "</div></th><th scope=\"col\">executing</th><th scope=\"col\">waiting</th><th "
                           "scope=\"col\">idle</th><th scope=\"col\">tasks</th></tr></thead><tbody>\n");
    for (unsigned i = 0; i < lanes.count; i++)
        lane(&lanes, i);
    buffer_text(page->out, "</tbody>");
    totals(page);
    buffer_text(page->out, "</table></div>");
    legend(&lanes);
    buffer_text(page->out, "</div>");
}
