/* Reads what an attack is. Bytes are hexadecimal, "-" is none. */

#include "spec.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const char *line) {
  fprintf(stderr, "attacker: %s: %.60s\n", what, line);
  exit(2);
}

static uint8_t *parse_hex(const char *text, size_t *length) {
  *length = 0;
  if (strcmp(text, "-") == 0) return NULL;
  size_t bytes = strlen(text) / 2;
  uint8_t *parsed = malloc(bytes + 1);
  if (parsed == NULL) die("out of memory", "");
  for (size_t i = 0; i < bytes; i++) {
    unsigned value;
    if (sscanf(text + 2 * i, "%2x", &value) != 1) die("not hexadecimal", text);
    parsed[i] = (uint8_t)value;
  }
  *length = bytes;
  return parsed;
}

static char *word(char **rest) {
  char *found = strsep(rest, " ");
  if (found == NULL || *found == '\0') die("a target lacks a word", "");
  return found;
}

static void parse_target(struct target *target, char *rest) {
  snprintf(target->name, sizeof target->name, "%s", word(&rest));
  target->to.sin_family = AF_INET;
  target->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  target->to.sin_port = htons((uint16_t)atoi(word(&rest)));
  struct in_addr first;
  const char *address = word(&rest);
  if (inet_pton(AF_INET, address, &first) != 1) die("not an address", address);
  target->first_address = ntohl(first.s_addr);
  target->addresses = (uint32_t)atol(word(&rest));
  target->receive_buffer = atoi(word(&rest));
  target->reads = strcmp(word(&rest), "reads") == 0;
  target->finishes = strcmp(word(&rest), "finishes") == 0;
  target->hold_ms = atol(word(&rest));
  target->closes = strcmp(word(&rest), "closes") == 0;
  target->every_ms = atol(word(&rest));
  target->drip_bytes = (size_t)atol(word(&rest));
  target->hello = parse_hex(word(&rest), &target->hello_bytes);
  target->tail = parse_hex(word(&rest), &target->tail_bytes);
}

void read_spec(struct spec *spec, const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) die("cannot be read", path);
  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, file) > 0) {
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "seconds %lf", &spec->seconds) == 1) continue;
    if (sscanf(line, "clients %ld", &spec->clients) == 1) continue;
    if (sscanf(line, "rate %lf", &spec->rate) == 1) continue;
    if (sscanf(line, "total %ld", &spec->total) == 1) continue;
    if (strncmp(line, "target ", 7) != 0) die("not understood", line);
    if (spec->target_count == MAX_TARGETS) die("too many targets", line);
    parse_target(&spec->targets[spec->target_count++], line + 7);
  }
  free(line);
  fclose(file);
  if (spec->target_count == 0 || spec->clients <= 0) die("nothing to do", path);
}
