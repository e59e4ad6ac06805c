#include "hist.h"

#include <inttypes.h>
#include <stdio.h>

/* The largest value of a bucket. */
static uint64_t bucket_top(unsigned bucket)
{
	unsigned shift = bucket >> HIST_SUB_BITS;
	if (shift < 2) return bucket;
	shift--;
	uint64_t mantissa = bucket - ((uint64_t)shift << HIST_SUB_BITS);
	return ((mantissa + 1) << shift) - 1;
}

uint64_t hist_percentile(const struct hist *hist, double share)
{
	uint64_t wanted = (uint64_t)((double)hist->count * share + 0.5);
	if (wanted < 1) wanted = 1;
	uint64_t seen = 0;
	for (unsigned bucket = 0; bucket < HIST_BUCKETS; bucket++) {
		seen += hist->buckets[bucket];
		if (seen < wanted) continue;
		uint64_t top = bucket_top(bucket);
		return top < hist->max ? top : hist->max;
	}
	return hist->max;
}

void hist_print(const struct hist *hist, const char *name)
{
	static const struct {
		const char *name;
		double share;
	} shown[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
	printf("\"%s\":{\"count\":%" PRIu64, name, hist->count);
	for (unsigned i = 0; i < sizeof shown / sizeof *shown; i++)
		printf(",\"%s\":%.1f", shown[i].name, (double)hist_percentile(hist, shown[i].share) / 1000);
	printf(",\"max\":%.1f},", (double)hist->max / 1000);
}
