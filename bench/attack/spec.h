/* What an attack is: read from a file of lines, which bench/attack/attacker.ts writes. */

#ifndef SPEC_H
#define SPEC_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_TARGETS = 256 };

/* One kind of client: where it goes, and what it does there. */
struct target {
  char name[64];
  struct sockaddr_in to;
  /* It comes from one of so many addresses from the first on, in host order. */
  uint32_t first_address;
  uint32_t addresses;
  /* Bytes of the kernel's receive buffer; 0: as the kernel likes. */
  int receive_buffer;
  int reads;
  /* It shuts down its sending side behind `hello`. */
  int finishes;
  /* After so long it leaves; negative: it stays. */
  long hold_ms;
  /* It leaves with a FIN, and not with a reset. */
  int closes;
  /* Sent at once. */
  uint8_t *hello;
  size_t hello_bytes;
  /* Sent behind it again and again: `drip_bytes` each `every_ms`, or with 0 as much as is taken. */
  uint8_t *tail;
  size_t tail_bytes;
  long every_ms;
  size_t drip_bytes;

  /* What came of it. */
  uint64_t started, connected, failed, finished_by_peer, reset_by_peer, left;
  uint64_t sent_bytes, received_bytes;
};

struct spec {
  double seconds;
  /* So many are open at once, at the most. */
  long clients;
  /* New ones a second; 0: as fast as it goes. */
  double rate;
  /* So many come in all, and it is over when they are gone; 0: without end. */
  long total;
  struct target targets[MAX_TARGETS];
  int target_count;
};

/* Reads a file; ends the process with a message when there is something wrong with it. */
void read_spec(struct spec *spec, const char *path);

#endif
