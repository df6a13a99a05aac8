/*
 * What both layouts and both programs share: the shape of a request, and the driver's private free list.
 * Queue of 256, 32 requests in flight, EVENT_IDX, one thread, identity addresses.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZE = 256, DEPTH = 32, SEGMENTS = 3, NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct segment { uint64_t address; uint32_t length; int writable; };

static void fail(const char *what)
{
	fprintf(stderr, "reference: %s\n", what);
	exit(1);
}

static void *allocate(size_t bytes)
{
	void *memory = calloc(1, bytes);

	if (!memory)
		fail("no memory");
	return memory;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int needs_notification(uint16_t event, uint16_t current, uint16_t previous)
{
	return (uint16_t)(current - event - 1) < (uint16_t)(current - previous);
}

/* Of requests in flight, by head: nothing the driver wrote to the ring is read back. */
static uint16_t next_free[SIZE], segments_of[SIZE], entries_of[SIZE], free_head, free_count = SIZE;
static uint32_t writable_of[SIZE];

static void fill_free_list(void)
{
	for (unsigned i = 0; i < SIZE; i++)
		next_free[i] = (uint16_t)((i + 1) % SIZE);
}

/* Makes the request at the head of the free list outstanding; `behind` is the entry after its last. */
static void take_entries(uint16_t behind, unsigned entries, unsigned segments, uint32_t writable)
{
	uint16_t head = free_head;

	free_head = behind;
	free_count -= entries;
	entries_of[head] = (uint16_t)entries;
	segments_of[head] = (uint16_t)segments;
	writable_of[head] = writable;
}

/* Checks what the device says of a request, and frees its entries. Returns how many. */
static unsigned give_back(uint32_t id, uint32_t written)
{
	unsigned count;
	uint16_t tail;

	if (id >= SIZE || segments_of[id] == 0 || written > writable_of[id])
		fail("bad used buffer");
	count = entries_of[id];
	segments_of[id] = 0;
	tail = (uint16_t)id;
	for (unsigned k = 1; k < count; k++)
		tail = next_free[tail];
	next_free[tail] = free_head;
	free_head = (uint16_t)id;
	free_count += count;
	return count;
}
