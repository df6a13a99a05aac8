/*
 * What both layouts share: the list of a request, and the driver's private memory of what is outstanding.
 *
 * Compiled twice: with CHECKS 1 the ring checks what the TypeScript ring checks (the list that is filled, and every
 * field that the other end wrote), with CHECKS 0 it checks nothing. As in TypeScript, the program learns size and batch
 * when it starts.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CHECKS
#define CHECKS 1
#endif

enum { SEGMENTS = 3, MOST_SIZE = 32768, NEXT = 1, WRITE = 2, INDIRECT = 4 };

/* Why the ring is broken: then nothing is taken from it and nothing put into it. */
static const char *broken;

#if CHECKS
static int refuse(const char *what)
{
	broken = what;
	return -1;
}

/* Ends the function with -1 where a rule is broken. Not evaluated without CHECKS. */
#define check(condition, what) do { if (__builtin_expect(!(condition), 0)) return refuse(what); } while (0)
#else
#define check(condition, what) do { (void)sizeof(!(condition)); (void)sizeof(what); } while (0)
#endif

/* A field that the other end may write at any time is loaded once. */
#define load_once(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define load_ordered(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
/* Ordered before the load of the event index that follows it. */
#define publish_field(field, value) __atomic_store_n(&(field), value, __ATOMIC_SEQ_CST)

static void fail(const char *what)
{
	fprintf(stderr, "reference: %s\n", what);
	exit(1);
}

static inline void *allocate(size_t bytes)
{
	void *memory = calloc(1, bytes);

	if (!memory)
		fail("no memory");
	return memory;
}

/* What allocates memory that the other end reads: zeroed. */
#ifndef ALLOCATE_SHARED
#define ALLOCATE_SHARED allocate
#endif

static int needs_notification(uint16_t event, uint16_t current, uint16_t previous)
{
	return (uint16_t)(current - event - 1) < (uint16_t)(current - previous);
}

/* Set before the ring is opened. */
static unsigned size, indirect;

/* Memory that is mapped for many requests. */
struct region { uint64_t address; uint32_t length; };

/* A request, filled anew for each: first what the device reads. */
struct list {
	unsigned count, readable;
	uint64_t bytes, readable_bytes, address[SEGMENTS];
	uint32_t length[SEGMENTS];
};

static void list_clear(struct list *list)
{
	list->count = list->readable = 0;
	list->bytes = list->readable_bytes = 0;
}

static int list_append(struct list *list, const struct region *region, uint64_t offset, uint32_t length)
{
	unsigned at = list->count;

	check(offset + length <= region->length, "bytes outside of the region");
	check(at < SEGMENTS, "too many segments");
	check(length > 0, "an empty segment");
	check(list->bytes + length <= 0xffffffffu, "a request of more than 2^32 bytes");
	list->address[at] = region->address + offset;
	list->length[at] = length;
	list->bytes += length;
	list->count = at + 1;
	return 0;
}

static int list_readable(struct list *list, const struct region *region, uint64_t offset, uint32_t length)
{
	check(list->readable == list->count, "a readable segment behind a writable one");
	if (list_append(list, region, offset, length) < 0)
		return -1;
	list->readable = list->count;
	list->readable_bytes = list->bytes;
	return 0;
}

static int list_writable(struct list *list, const struct region *region, uint64_t offset, uint32_t length)
{
	return list_append(list, region, offset, length);
}

/* By entry the next one of its buffer or of the free list; by head what is outstanding. Nothing of it is shared. */
static uint16_t next_free[MOST_SIZE], free_head, free_tail;
static struct { uint16_t entries, last; uint32_t writable, added_at; } heads[MOST_SIZE];
/* Entries and buffers so far, free-running. */
static uint32_t freed, taken, added, published;

static void fill_free_list(void)
{
	for (unsigned i = 0; i < size; i++)
		next_free[i] = (uint16_t)((i + 1) % size);
	freed = size;
	free_tail = (uint16_t)(size - 1);
}

/* Whether the list can be added: 0, or -1. A full queue breaks nothing. */
static int check_list(const struct list *list, unsigned entries)
{
	check(!broken, broken);
	check(list->count > 0, "a request without a segment");
	check(list->count <= size, "a request longer than the queue");
	return CHECKS && freed - taken < entries ? -1 : 0;
}

/* Makes the request at the head of the free list outstanding; `last` is the last entry it takes. */
static void take_entries(const struct list *list, unsigned entries, uint16_t last)
{
	uint16_t head = free_head;

	heads[head].entries = (uint16_t)entries;
	heads[head].last = last;
#if CHECKS
	heads[head].writable = (uint32_t)(list->bytes - list->readable_bytes);
	heads[head].added_at = added;
#else
	(void)list;
#endif
	added++;
	free_head = next_free[last];
	taken += entries;
}

/* What came back, filled by take_used. */
struct batch { unsigned count; uint32_t ids[MOST_SIZE], written[MOST_SIZE]; };

/* Checks what the device says of a buffer, frees its entries and notes it. Returns how many they are, or -1. */
static int give_back(uint32_t id, uint32_t written, struct batch *batch)
{
	unsigned entries;

	check(id < size && heads[id].entries != 0, "the used id is not outstanding");
	check((int32_t)(published - heads[id].added_at) > 0, "the used id is not published");
	check(written <= heads[id].writable, "more written than is writable");
	entries = heads[id].entries;
	if (freed == taken)
		free_head = (uint16_t)id;
	else
		next_free[free_tail] = (uint16_t)id;
	free_tail = heads[id].last;
	heads[id].entries = 0;
	freed += entries;
	batch->ids[batch->count] = id;
	batch->written[batch->count++] = written;
	return (int)entries;
}

/* A buffer as the device sees it: a copy. */
struct chain {
	unsigned head, count, readable;
	uint64_t bytes, readable_bytes, address[MOST_SIZE];
	uint32_t length[MOST_SIZE];
};

static void chain_clear(struct chain *chain, unsigned head)
{
	chain->head = head;
	chain->count = chain->readable = 0;
	chain->bytes = chain->readable_bytes = 0;
}

static int chain_append(struct chain *chain, uint64_t address, uint32_t length, int is_writable)
{
	unsigned at = chain->count;

	check(at < size, "a chain longer than the queue");
	check(length > 0, "an empty descriptor");
	check(address + length >= address, "a descriptor that wraps");
	check(chain->bytes + length <= 0x100000000ull, "a chain of more than 2^32 bytes");
	chain->bytes += length;
	if (!is_writable) {
		check(chain->readable == at, "a readable descriptor behind a writable one");
		chain->readable = at + 1;
		chain->readable_bytes = chain->bytes;
	}
	chain->address[at] = address;
	chain->length[at] = length;
	chain->count = at + 1;
	return 0;
}

/* By id the slots that a buffer in flight takes, and all of them: the device's own. */
static uint16_t slots_of[MOST_SIZE];
static unsigned slots_in_flight;

static int check_pushed(unsigned id)
{
	check(!broken, broken);
	check(id < size && slots_of[id] != 0, "a buffer that is not in flight");
	return 0;
}
