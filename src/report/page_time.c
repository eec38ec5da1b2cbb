/* page_time: where the time went: the shares of the trials' time as one bar with its table, what the analysis
 * found, and the agents with their lanes (page_lanes.c). The percents are the caller's and add to 100.0; widths
 * of the bar are the same numbers. */
#include "report/page.h"

#include <math.h>
#include <string.h>

/* Stages get colours in the order of the stages, so that shares and lanes agree; the rest gets greys. */
static void colour_class(struct page *page, const struct report_share *share, unsigned *overheads) {
    if (!share->stage) {
        buffer_format(page->out, "w%u", (*overheads)++ % 6);
        return;
    }
    for (unsigned i = 0; i < page->run->stage_count; i++)
        if (page->run->stages[i] != NULL && share->name != NULL &&
            strcmp(page->run->stages[i], share->name) == 0) {
            buffer_format(page->out, "s%u", i % PAGE_COLOURS);
            return;
        }
    buffer_format(page->out, "s%d", PAGE_COLOURS - 1);
}

static double sound(double value) {
    return isfinite(value) && value > 0 ? value : 0;
}

static void bar(struct page *page) {
    const struct report_run *run = page->run;
    unsigned overheads = 0;
    buffer_text(page->out, "<div class=\"stack\" aria-hidden=\"true\">");
    for (unsigned i = 0; i < run->share_count; i++) {
        buffer_text(page->out, "<i class=\"");
        colour_class(page, &run->shares[i], &overheads);
        buffer_format(page->out, "\" style=\"width:%.1f%%\" title=\"",
                      fmin(sound(run->shares[i].percent), 100));
        page_text(page, run->shares[i].name);
        buffer_format(page->out, " %.1f %%\">", sound(run->shares[i].percent));
        if (run->shares[i].percent >= 12) { /* room for a word */
            buffer_text(page->out, "<span>");
            page_text(page, run->shares[i].name);
            buffer_text(page->out, "</span>");
        }
        buffer_text(page->out, "</i>");
    }
    buffer_text(page->out, "</div>");
}

static void shares(struct page *page) {
    const struct report_run *run = page->run;
    double total_ms = 0, total = 0;
    for (unsigned i = 0; i < run->share_count; i++) {
        total_ms += sound(run->shares[i].ms);
        total += sound(run->shares[i].percent);
    }
    buffer_text(page->out, "<div class=\"card\"><h3>Trials</h3>");
    if (run->share_count == 0 || !(total_ms > 0)) {
        buffer_text(page->out,
                    "<p class=\"empty\">No trial has ended, so no time can be told apart.</p></div>");
        return;
    }
    buffer_text(page->out,
                "<p class=\"hint\">From asking for a trial to its committed result, along the longest "
                "chain of its stages; summed over all trials.</p>");
    bar(page);
    unsigned overheads = 0;
    buffer_text(page->out,
                "<table class=\"shares\"><thead><tr><th scope=\"col\" class=\"left\">spent on</th><th "
                "scope=\"col\">time</th><th scope=\"col\">share</th></tr></thead><tbody>");
    for (unsigned i = 0; i < run->share_count; i++) {
        if (!run->shares[i].stage && !(sound(run->shares[i].ms) > 0) &&
            !(sound(run->shares[i].percent) > 0)) {
            overheads++; /* nothing was lost to it: no line, but its colour stays taken */
            continue;
        }
        buffer_text(page->out, "<tr><td class=\"left\"><i class=\"key ");
        colour_class(page, &run->shares[i], &overheads);
        buffer_text(page->out, "\"></i>");
        page_text(page, run->shares[i].name);
        buffer_text(page->out,
                    run->shares[i].stage ? " <span class=\"tag\">stage</span></td><td>" : "</td><td>");
        page_duration(page, (uint64_t)fmin(sound(run->shares[i].ms) * 1e6, 9e18));
        buffer_format(page->out, "</td><td>%.1f&#8201;%%</td></tr>", sound(run->shares[i].percent));
    }
    buffer_text(page->out, "</tbody><tfoot><tr><td class=\"left\">all trials</td><td>");
    page_duration(page, (uint64_t)fmin(total_ms * 1e6, 9e18));
    buffer_format(page->out, "</td><td>%.1f&#8201;%%</td></tr></tfoot></table></div>", total);
}

static void findings(struct page *page) {
    const struct report_run *run = page->run;
    if (run->finding_count == 0)
        return;
    buffer_text(page->out, "<div class=\"card\"><h3>What limits it</h3><ol class=\"findings\">");
    for (size_t i = 0; i < run->finding_count && i < 10; i++) {
        buffer_text(page->out, "<li><b>");
        page_text(page, run->findings[i].title);
        buffer_text(page->out, "</b><span>");
        page_text(page, run->findings[i].text);
        buffer_text(page->out, "</span></li>");
    }
    buffer_text(page->out, "</ol></div>");
}

static void levers(struct page *page) {
    const struct report_run *run = page->run;
    if (run->lever_count == 0)
        return;
    buffer_text(page->out,
                "<div class=\"card\"><h3>What a change would gain</h3><p class=\"hint\">Predicted: the run "
                "carried out again in virtual time with the times that it measured.</p><ol "
                "class=\"findings\">");
    for (size_t i = 0; i < run->lever_count && i < 10; i++) {
        const struct report_lever *lever = &run->levers[i];
        buffer_text(page->out, "<li><b>");
        page_text(page, lever->change);
        buffer_text(page->out,
                    lever->assumed ? " <span class=\"tag\">assumed</span></b><span>" : "</b><span>");
        page_text(page, lever->effect);
        if (lever->command != NULL) {
            buffer_text(page->out, "</span><div><code>");
            page_text(page, lever->command);
            buffer_text(page->out, "</code></div></li>");
        } else {
            buffer_text(page->out, "</span></li>");
        }
    }
    buffer_text(page->out, "</ol></div>");
}

void page_time(struct page *page) {
    buffer_text(page->out, "<section id=\"time\"><h2>Where the time went</h2><div class=\"two\">");
    shares(page);
    findings(page);
    buffer_text(page->out, "</div>");
    levers(page);
    page_lanes(page);
    buffer_text(page->out, "</section>\n");
}
