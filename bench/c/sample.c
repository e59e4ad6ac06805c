#include "sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

struct watched watched_from(const char *pids)
{
	struct watched watched = {.cores = (unsigned)sysconf(_SC_NPROCESSORS_CONF)};
	if (watched.cores > MAX_CORES) watched.cores = MAX_CORES;
	while (*pids != '\0') {
		char *end;
		if (watched.count == MAX_WATCHED) die("at most %d processes can be watched", MAX_WATCHED);
		watched.pids[watched.count++] = (pid_t)strtol(pids, &end, 10);
		if (end == pids) die("--watch wants process ids, not '%s'", pids);
		pids = *end == ',' ? end + 1 : end;
	}
	return watched;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;
	if (clock_gettime(clock, &time) != 0) die("the clock of a process that is watched");
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t process_cpu_ns(pid_t pid)
{
	clockid_t clock;
	if (clock_getcpuclockid(pid, &clock) != 0) die("process %d, which is watched, has ended", (int)pid);
	return clock_ns(clock);
}

static uint64_t process_rss_bytes(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	FILE *file = fopen(path, "r");
	unsigned long pages = 0;
	if (file == NULL || fscanf(file, "%*u %lu", &pages) != 1) die("cannot read %s", path);
	fclose(file);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void cores_take(struct sample *sample, unsigned cores)
{
	FILE *file = fopen("/proc/stat", "r");
	if (file == NULL) die("cannot read /proc/stat");
	char line[512];
	while (fgets(line, sizeof line, file) != NULL) {
		unsigned core;
		uint64_t t[8] = {0};
		int found = sscanf(line,
		                   "cpu%u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		                   " %" SCNu64 " %" SCNu64,
		                   &core, &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]);
		if (found != 9 || core >= cores) continue;
		/* user, nice, system, idle, iowait, irq, softirq, steal */
		sample->busy[core] = t[0] + t[1] + t[2] + t[5] + t[6];
		sample->stolen[core] = t[7];
		sample->all[core] = sample->busy[core] + t[3] + t[4] + t[7];
	}
	fclose(file);
}

void sample_take(struct sample *sample, struct watched *watched)
{
	sample->at_ns = now_ns();
	for (unsigned i = 0; i < watched->count; i++) {
		sample->cpu_ns[i] = process_cpu_ns(watched->pids[i]);
		sample->rss_bytes[i] = process_rss_bytes(watched->pids[i]);
	}
	sample->own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	cores_take(sample, watched->cores);
}

void sample_print(const struct watched *watched, const struct sample *before, const struct sample *begin,
                  const struct sample *end)
{
	printf("\"processes\":[");
	for (unsigned i = 0; i < watched->count; i++)
		printf("%s{\"pid\":%d,\"cpuNs\":%" PRIu64 ",\"rssBefore\":%" PRIu64 ",\"rss\":%" PRIu64 "}",
		       i == 0 ? "" : ",", (int)watched->pids[i], end->cpu_ns[i] - begin->cpu_ns[i],
		       before->rss_bytes[i], end->rss_bytes[i]);
	printf("],\"ownCpuNs\":%" PRIu64 ",\"cores\":[", end->own_cpu_ns - begin->own_cpu_ns);
	for (unsigned core = 0; core < watched->cores; core++) {
		double all = (double)(end->all[core] - begin->all[core]);
		if (all < 1) all = 1;
		printf("%s{\"busy\":%.3f,\"stolen\":%.3f}", core == 0 ? "" : ",",
		       (double)(end->busy[core] - begin->busy[core]) / all,
		       (double)(end->stolen[core] - begin->stolen[core]) / all);
	}
	printf("],");
}
