/*
 * Open loop: messages are sent at a fixed rate, whether answers come or not, each client in its turn. A latency
 * counts from when the message was to be sent: were it counted from when it was, a gateway that stalls would
 * keep the load from sending, and the messages that would have waited longest would be missing from the figures
 * (coordinated omission).
 */

#include <errno.h>

#include "load.h"
#include "util.h"

enum { RING = 4096 };

static uint64_t started_ns, issued;

static uint32_t ring(const struct load *load)
{
	(void)load;
	return RING;
}

static void start(struct load *load)
{
	started_ns = now_ns();
	errno = 0;
	if (load->rate == 0) die("the open loop needs a --rate");
}

static uint64_t intended_ns(const struct load *load, uint64_t number)
{
	return started_ns + (uint64_t)((double)number * 1e9 / (double)load->rate);
}

static bool in_window(const struct load *load, uint64_t at_ns)
{
	return at_ns >= load->measure_begin_ns && at_ns < load->measure_end_ns;
}

static uint64_t tick(struct load *load, uint64_t now)
{
	if (load->phase == PHASE_DRAIN) return UINT64_MAX;
	uint64_t due;
	while ((due = intended_ns(load, issued)) <= now) {
		struct client *client = &load->all[issued++ % load->count];
		errno = 0;
		if (client->due - client->received >= RING)
			die("client %u waits for %d answers: the rate is more than can be had", client->index, RING);
		if (in_window(load, due)) hist_add(&load->lateness, now - due);
		load_owe(load, client, due);
		client_send(&load->clients, client);
		now = now_ns();
	}
	return due;
}

static void received(struct load *load, struct client *client, uint64_t completed)
{
	uint64_t now = now_ns();
	load->under_way -= completed;
	if (load->phase == PHASE_MEASURE) load->completed += completed;
	for (uint64_t k = client->received - completed; k < client->received; k++) {
		/* One that was to be sent in the window counts also when its answer comes behind it. */
		uint64_t due = client->sent_at_ns[k & (RING - 1)];
		if (in_window(load, due)) hist_add(&load->latency, now - due);
	}
}

const struct mode mode_open = {.name = "open",
                               .expectation = EXPECT_ECHO,
                               .ring = ring,
                               .start = start,
                               .tick = tick,
                               .received = received};
