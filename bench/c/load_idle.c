/* Idle clients: once each has greeted and been answered, all are silent. */

#include <errno.h>

#include "load.h"
#include "util.h"

static uint32_t ring(const struct load *load)
{
	(void)load;
	return 1;
}

static void start(struct load *load)
{
	load->completed = load->count;
}

static void received(struct load *load, struct client *client, uint64_t completed)
{
	(void)load;
	errno = 0;
	die("client %u received %llu messages that it had not asked for", client->index, (unsigned long long)completed);
}

const struct mode mode_idle = {
	.name = "idle", .expectation = EXPECT_ECHO, .ring = ring, .start = start, .received = received};
