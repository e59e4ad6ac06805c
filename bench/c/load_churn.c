/*
 * Visits: a client connects, says one word, hears it, and closes in good order; then it comes again. A visit's
 * latency is from the first packet to the answer.
 */

#include "load.h"
#include "util.h"

static uint32_t ring(const struct load *load)
{
	(void)load;
	return 1;
}

static void come(struct load *load, struct client *client)
{
	client_connect(&load->clients, client, load_next_port());
	load_owe(load, client, now_ns());
}

static void start(struct load *load)
{
	for (uint32_t i = 0; i < load->count; i++) come(load, &load->all[i]);
}

static void received(struct load *load, struct client *client, uint64_t completed)
{
	load->under_way -= completed;
	if (load->phase == PHASE_MEASURE) {
		load->completed++;
		hist_add(&load->latency, now_ns() - client->sent_at_ns[0]);
	}
	client_close(client, false);
	if (load->phase != PHASE_DRAIN) come(load, client);
}

const struct mode mode_churn = {.name = "churn",
                                .expectation = EXPECT_ECHO,
                                .comes_and_goes = true,
                                .ring = ring,
                                .start = start,
                                .received = received};
