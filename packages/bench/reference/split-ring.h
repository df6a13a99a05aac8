/* Both ends of a split ring, written from the specification, with the checks that the TypeScript ring makes. */
#include "ring.h"

struct descriptor { uint64_t address; uint32_t length; uint16_t flags, next; };
struct used_element { uint32_t id, length; };

/* Shared with the other end: each field is stored once and loaded once. */
static struct descriptor *descriptors, *tables;
static struct { uint16_t flags, idx, ring[SIZE], used_event; } *avail;
static struct { uint16_t flags, idx; struct used_element ring[SIZE]; uint16_t avail_event; } *used;

/* The driver's own. */
static uint16_t avail_idx, published_idx, last_used_idx;
static int indirect;

/* The device's own. */
static uint8_t in_flight[SIZE];
static struct descriptor copied[SIZE];
static uint16_t last_avail_idx, seen_avail_idx, used_idx, flushed_idx;
static unsigned flying;

static void open_split_ring(void)
{
	descriptors = allocate(SIZE * sizeof *descriptors);
	tables = allocate(SIZE * SEGMENTS * sizeof *tables);
	avail = allocate(sizeof *avail);
	used = allocate(sizeof *used);
	fill_free_list();
}

static struct descriptor describe(const struct segment *segment, int is_last, uint16_t next)
{
	uint16_t flags = (uint16_t)((segment->writable ? WRITE : 0) | (is_last ? 0 : NEXT));
	return (struct descriptor){ segment->address, segment->length, flags, is_last ? 0 : next };
}

__attribute__((noinline)) static int split_add(const struct segment *list, unsigned count)
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
	take_entries(at, indirect ? 1 : count, count, writable);
	avail->ring[avail_idx++ & (SIZE - 1)] = head;
	return head;
}

__attribute__((noinline)) static int split_publish(void)
{
	uint16_t previous = published_idx;

	__atomic_store_n(&avail->idx, avail_idx, __ATOMIC_SEQ_CST);
	published_idx = avail_idx;
	return needs_notification(__atomic_load_n(&used->avail_event, __ATOMIC_SEQ_CST), avail_idx, previous);
}

/* Copies one chain; returns its head or -1. */
__attribute__((noinline)) static int split_pop(uint32_t *writable)
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

__attribute__((noinline)) static void split_push(unsigned head, uint32_t written)
{
	in_flight[head] = 0;
	flying--;
	used->ring[used_idx++ & (SIZE - 1)] = (struct used_element){ head, written };
}

__attribute__((noinline)) static int split_flush(void)
{
	uint16_t previous = flushed_idx;

	__atomic_store_n(&used->idx, used_idx, __ATOMIC_SEQ_CST);
	flushed_idx = used_idx;
	return needs_notification(__atomic_load_n(&avail->used_event, __ATOMIC_SEQ_CST), used_idx, previous);
}

__attribute__((noinline)) static unsigned split_take_used(unsigned outstanding)
{
	uint16_t idx = __atomic_load_n(&used->idx, __ATOMIC_SEQ_CST);
	unsigned arrived = (uint16_t)(idx - last_used_idx);

	if (arrived > outstanding)
		fail("used.idx out of range");
	for (unsigned i = 0; i < arrived; i++) {
		struct used_element element = used->ring[last_used_idx++ & (SIZE - 1)];
		give_back(element.id, element.length);
	}
	return arrived;
}
