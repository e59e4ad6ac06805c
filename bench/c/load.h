/*
 * The load: clients that all do the same, through the phases of one measurement. How clients behave is a mode;
 * each has a file.
 */

#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "hist.h"
#include "sample.h"

enum phase { PHASE_CONNECT, PHASE_WARM_UP, PHASE_MEASURE, PHASE_DRAIN, PHASE_DONE };

struct load {
	struct clients clients;
	struct client *all;
	uint32_t count;
	enum phase phase;
	/* Messages that each client has under way, for modes with a window. */
	uint32_t window;
	/* Messages in a second of all clients, for the open loop. */
	uint64_t rate;
	uint64_t measure_begin_ns, measure_end_ns;
	/* What was begun and is not complete: messages, broadcasts or visits. */
	uint64_t under_way;
	/* What was completed in the measured window. */
	uint64_t completed;
	struct hist latency;
	/* How late the load itself sent what was due, in the open loop. */
	struct hist lateness;
};

struct mode {
	const char *name;
	enum expectation expectation;
	/* Clients connect all the time, and there is no phase for it. */
	bool comes_and_goes;
	/* Messages for which a client keeps when they were sent. */
	uint32_t (*ring)(const struct load *load);
	/* All clients are open, each having had its first message back, or with `comes_and_goes` may begin to connect. */
	void (*start)(struct load *load);
	/* Does what is due, and gives when there is more to do; NULL when only answers move this mode. */
	uint64_t (*tick)(struct load *load, uint64_t now);
	/* A client has received `completed` messages more. */
	void (*received)(struct load *load, struct client *client, uint64_t completed);
};

extern const struct mode mode_pingpong, mode_open, mode_broadcast, mode_idle, mode_churn;

/* The next port, in turn. */
uint16_t load_next_port(void);

/* Gives a client one more message to send, that is (or was to be) sent at `at_ns`. */
static inline void load_owe(struct load *load, struct client *client, uint64_t at_ns)
{
	client->sent_at_ns[client->due++ & (load->clients.ring - 1)] = at_ns;
	load->under_way++;
}

#endif
