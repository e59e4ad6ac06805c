/* What processes and cores have cost so far, to be taken at the two ends of a window. */

#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdint.h>
#include <sys/types.h>

enum { MAX_WATCHED = 64, MAX_CORES = 256 };

struct sample {
	uint64_t at_ns;
	/* User and system time of each watched process, all its threads, nanoseconds. */
	uint64_t cpu_ns[MAX_WATCHED];
	uint64_t rss_bytes[MAX_WATCHED];
	uint64_t own_cpu_ns;
	/* By core, ticks of the kernel's. */
	uint64_t busy[MAX_CORES], stolen[MAX_CORES], all[MAX_CORES];
};

struct watched {
	pid_t pids[MAX_WATCHED];
	unsigned count, cores;
};

/* Reads a list of process ids with commas. */
struct watched watched_from(const char *pids);

void sample_take(struct sample *sample, struct watched *watched);

/* Prints `"processes":[...],"cores":[...],` for the time between the two; `before` is where nobody had come. */
void sample_print(const struct watched *watched, const struct sample *before, const struct sample *begin,
                  const struct sample *end);

#endif
