/* report_number: numbers as people read them: few digits, no trailing zeros; percents that add to 100.0; dates.
 * Pure functions over their arguments; no memory. */
#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void report_percent(const uint64_t *parts, unsigned count, double *ret_percent) {
    double total = 0;
    int left = 1000;
    for (unsigned i = 0; i < count; i++)
        total += (double)parts[i];
    for (unsigned i = 0; i < count; i++) {
        ret_percent[i] = total > 0 ? floor((double)parts[i] / total * 1000.0) : 0;
        left -= (int)ret_percent[i];
    }
    /* the tenths that are left go to the largest remainders, at most one each: left < count */
    for (; total > 0 && left > 0; left--) {
        unsigned best = 0;
        double best_rest = -INFINITY;
        for (unsigned i = 0; i < count; i++) {
            double rest = (double)parts[i] / total * 1000.0 - ret_percent[i];
            if (rest > best_rest) {
                best_rest = rest;
                best = i;
            }
        }
        ret_percent[best] += 1;
    }
    for (unsigned i = 0; i < count; i++)
        ret_percent[i] /= 10.0;
}

/* "1.200e-05" -> "1.2e-5", "0.9500" -> "0.95" */
static void trim(char *text) {
    char exponent[16] = "";
    char *e = strchr(text, 'e');
    if (e != NULL) {
        int power = 0;
        (void)sscanf(e + 1, "%d", &power);
        snprintf(exponent, sizeof exponent, "e%d", power);
        *e = '\0';
    }
    if (strchr(text, '.') != NULL) {
        char *end = text + strlen(text);
        while (end[-1] == '0')
            *--end = '\0';
        if (end[-1] == '.')
            *--end = '\0';
    }
    strcat(text, exponent);
}

char *report_number(char out[32], double value, unsigned digits) {
    if (!isfinite(value)) {
        snprintf(out, 32, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return out;
    }
    if (digits < 1 || digits > 17)
        digits = 6;
    double size = fabs(value);
    if (size < 1e15 && value == floor(value) && size < pow(10, digits > 6 ? digits : 6)) {
        snprintf(out, 32, "%.0f", value == 0 ? 0.0 : value); /* never "-0" */
        return out;
    }
    if (size >= 1e-4 && size < 1e6) {
        int before = (int)floor(log10(size)) + 1; /* digits before the point; <= 0: zeros after it */
        int after = (int)digits - before;
        snprintf(out, 32, "%.*f", after > 0 ? after : 0, value);
    } else {
        snprintf(out, 32, "%.*e", (int)digits - 1, value);
    }
    trim(out);
    return out;
}

char *page_utc(char out[32], int64_t utc_ns) {
    int64_t seconds = utc_ns / 1000000000, days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    /* civil date from days, after Howard Hinnant's "chrono-compatible low-level date algorithms": years begin
     * in March, eras are 400 years */
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned day_of_era = (unsigned)(z - era * 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    int year = (int)(year_of_era + (uint64_t)era * 400) + (month <= 2);
    snprintf(out, 32, "%04d-%02u-%02u %02d:%02d UTC", year % 10000, month, day, (int)(rest / 3600),
             (int)(rest / 60 % 60));
    return out;
}
