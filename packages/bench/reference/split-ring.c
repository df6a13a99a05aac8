/*
 * The yardstick of `npm run bench`: both ends of a split virtqueue in C, with the work and the checks of the ring loop in
 * ring-loop.ts. Queue of 256, 32 requests in flight, three segments each, EVENT_IDX, one thread.
 *
 * usage: split-ring <requests> <samples> <indirect: 0 or 1>; prints nanoseconds per request, one sample a line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZE = 256, DEPTH = 32, SEGMENTS = 3, NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct descriptor { uint64_t address; uint32_t length; uint16_t flags, next; };
struct used_element { uint32_t id, length; };
struct segment { uint64_t address; uint32_t length; int writable; };

/* Shared with the other end: each field is stored once and loaded once. */
static struct descriptor *descriptors, *tables;
static struct { uint16_t flags, idx, ring[SIZE], used_event; } *avail;
static struct { uint16_t flags, idx; struct used_element ring[SIZE]; uint16_t avail_event; } *used;

/* The driver's own: nothing it wrote is read back. */
static uint16_t next_free[SIZE], segments_of[SIZE], free_head, free_count = SIZE;
static uint32_t writable_of[SIZE];
static uint16_t avail_idx, published_idx, last_used_idx;
static int indirect;

/* The device's own. */
static uint8_t in_flight[SIZE];
static struct descriptor copied[SIZE];
static uint16_t last_avail_idx, seen_avail_idx, used_idx, flushed_idx;
static unsigned flying;

static void fail(const char *what)
{
	fprintf(stderr, "split-ring: %s\n", what);
	exit(1);
}

static int needs_notification(uint16_t event, uint16_t current, uint16_t previous)
{
	return (uint16_t)(current - event - 1) < (uint16_t)(current - previous);
}

static struct descriptor describe(const struct segment *segment, int is_last, uint16_t next)
{
	uint16_t flags = (uint16_t)((segment->writable ? WRITE : 0) | (is_last ? 0 : NEXT));
	return (struct descriptor){ segment->address, segment->length, flags, is_last ? 0 : next };
}

__attribute__((noinline)) static int add(const struct segment *list, unsigned count)
{
	uint16_t head = free_head, at = head;
	uint32_t writable = 0;

	if (free_count < (indirect ? 1 : count))
		return -1;
	for (unsigned i = 0; i < count; i++) {
		if (list[i].writable)
			writable += list[i].length;
		if (indirect) {
			tables[head * SEGMENTS + i] = describe(&list[i], i == count - 1, (uint16_t)(i + 1));
		} else {
			descriptors[at] = describe(&list[i], i == count - 1, next_free[at]);
			at = next_free[at];
		}
	}
	if (indirect) {
		uint64_t table = (uint64_t)(uintptr_t)&tables[head * SEGMENTS];
		descriptors[head] = (struct descriptor){ table, count * 16, INDIRECT, 0 };
		at = next_free[head];
	}
	free_head = at;
	free_count -= indirect ? 1 : count;
	segments_of[head] = (uint16_t)count;
	writable_of[head] = writable;
	avail->ring[avail_idx++ & (SIZE - 1)] = head;
	return head;
}

__attribute__((noinline)) static int publish(void)
{
	uint16_t previous = published_idx;

	__atomic_store_n(&avail->idx, avail_idx, __ATOMIC_SEQ_CST);
	published_idx = avail_idx;
	return needs_notification(__atomic_load_n(&used->avail_event, __ATOMIC_SEQ_CST), avail_idx, previous);
}

/* Copies one chain; returns its head or -1. */
__attribute__((noinline)) static int pop(uint32_t *writable)
{
	struct descriptor *table = descriptors;
	unsigned entries = SIZE, count = 0;
	uint16_t head, index;

	if (seen_avail_idx == last_avail_idx) {
		seen_avail_idx = __atomic_load_n(&avail->idx, __ATOMIC_SEQ_CST);
		if ((uint16_t)(seen_avail_idx - last_avail_idx) > SIZE - flying)
			fail("avail.idx out of range");
		if (seen_avail_idx == last_avail_idx)
			return -1;
	}
	head = avail->ring[last_avail_idx & (SIZE - 1)];
	if (head >= SIZE || in_flight[head])
		fail("bad available entry");
	index = head;
	*writable = 0;
	if (table[index].flags & INDIRECT) {
		static struct descriptor private_table[SIZE];
		entries = table[index].length / 16;
		if (entries > SIZE)
			fail("bad indirect table");
		memcpy(private_table, (void *)(uintptr_t)table[index].address, entries * 16);
		table = private_table;
		index = 0;
	}
	for (;;) {
		struct descriptor one = table[index];
		if (count == SIZE || one.length == 0)
			fail("bad chain");
		copied[count++] = one;
		if (one.flags & WRITE)
			*writable += one.length;
		if (!(one.flags & NEXT))
			break;
		index = one.next;
		if (index >= entries)
			fail("next out of range");
	}
	last_avail_idx++;
	in_flight[head] = 1;
	flying++;
	return head;
}

__attribute__((noinline)) static void push(unsigned head, uint32_t written)
{
	in_flight[head] = 0;
	flying--;
	used->ring[used_idx++ & (SIZE - 1)] = (struct used_element){ head, written };
}

__attribute__((noinline)) static int flush(void)
{
	uint16_t previous = flushed_idx;

	__atomic_store_n(&used->idx, used_idx, __ATOMIC_SEQ_CST);
	flushed_idx = used_idx;
	return needs_notification(__atomic_load_n(&avail->used_event, __ATOMIC_SEQ_CST), used_idx, previous);
}

__attribute__((noinline)) static unsigned take_used(unsigned outstanding)
{
	uint16_t idx = __atomic_load_n(&used->idx, __ATOMIC_SEQ_CST);
	unsigned arrived = (uint16_t)(idx - last_used_idx);

	if (arrived > outstanding)
		fail("used.idx out of range");
	for (unsigned i = 0; i < arrived; i++) {
		struct used_element element = used->ring[last_used_idx++ & (SIZE - 1)];
		uint16_t tail, count;
		if (element.id >= SIZE || segments_of[element.id] == 0 || element.length > writable_of[element.id])
			fail("bad used element");
		count = indirect ? 1 : segments_of[element.id];
		segments_of[element.id] = 0;
		tail = (uint16_t)element.id;
		for (unsigned k = 1; k < count; k++)
			tail = next_free[tail];
		next_free[tail] = free_head;
		free_head = (uint16_t)element.id;
		free_count += count;
	}
	return arrived;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static unsigned long run(unsigned long requests, const struct segment *list)
{
	unsigned long done = 0;

	while (done < requests) {
		uint32_t writable;
		int head;
		for (unsigned i = 0; i < DEPTH; i++)
			if (add(list, SEGMENTS) < 0)
				fail("the queue is full");
		publish();
		while ((head = pop(&writable)) >= 0)
			push((unsigned)head, writable);
		flush();
		if (take_used(DEPTH) != DEPTH)
			fail("requests went missing");
		done += DEPTH;
	}
	return done;
}

int main(int argc, char **argv)
{
	static char buffer[4096];
	struct segment list[SEGMENTS] = {
		{ (uint64_t)(uintptr_t)buffer, 16, 0 },
		{ (uint64_t)(uintptr_t)buffer + 16, 512, 0 },
		{ (uint64_t)(uintptr_t)buffer + 528, 1, 1 },
	};
	unsigned long requests, samples;

	if (argc != 4) {
		fprintf(stderr, "usage: split-ring <requests> <samples> <indirect: 0 or 1>\n");
		return 2;
	}
	requests = strtoul(argv[1], NULL, 10);
	samples = strtoul(argv[2], NULL, 10);
	indirect = argv[3][0] == '1';
	descriptors = calloc(SIZE, sizeof *descriptors);
	tables = calloc(SIZE * SEGMENTS, sizeof *tables);
	avail = calloc(1, sizeof *avail);
	used = calloc(1, sizeof *used);
	if (!descriptors || !tables || !avail || !used)
		fail("no memory");
	for (unsigned i = 0; i < SIZE; i++)
		next_free[i] = (uint16_t)((i + 1) % SIZE);
	run(requests, list);
	for (unsigned long i = 0; i < samples; i++) {
		double start = now();
		unsigned long sent = run(requests, list);
		printf("%.3f\n", (now() - start) / (double)sent);
	}
	return 0;
}
