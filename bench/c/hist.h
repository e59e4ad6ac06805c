/*
 * A histogram of durations in the manner of HdrHistogram: 128 buckets to each power of two, so that whatever is
 * read from it is less than one percent off, from nanoseconds to hours.
 */

#ifndef HIST_H
#define HIST_H

#include <stdint.h>

enum { HIST_SUB_BITS = 7, HIST_BUCKETS = (64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS };

struct hist {
	uint64_t count, max;
	uint64_t buckets[HIST_BUCKETS];
};

static inline void hist_add(struct hist *hist, uint64_t ns)
{
	unsigned bucket = (unsigned)ns;
	if (ns >> HIST_SUB_BITS != 0) {
		unsigned exponent = 63u - (unsigned)__builtin_clzll(ns);
		unsigned shift = exponent - HIST_SUB_BITS;
		bucket = (shift << HIST_SUB_BITS) + (unsigned)(ns >> shift);
	}
	hist->buckets[bucket]++;
	hist->count++;
	if (ns > hist->max) hist->max = ns;
}

/* The duration that `share` (0 to 1) of them do not exceed, nanoseconds. */
uint64_t hist_percentile(const struct hist *hist, double share);

/* Prints `"name":{...},` with the percentiles in microseconds. */
void hist_print(const struct hist *hist, const char *name);

#endif
