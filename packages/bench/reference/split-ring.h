/* Both ends of a split ring, written from the specification. */
#include "ring.h"

struct descriptor { uint64_t address; uint32_t length; uint16_t flags, next; };
struct used_element { uint32_t id, length; };

/* Shared with the other end. */
static struct descriptor *descriptors, *tables;
/* flags, idx, ring, used_event */
static uint16_t *avail;
static struct { uint16_t flags, idx; struct used_element ring[]; } *used;

/* The driver's own. */
static uint16_t avail_idx, published_idx, last_used_idx;

/* The device's own. */
static struct descriptor private_table[SEGMENTS];
static uint16_t last_avail_idx, seen_avail_idx, used_idx, flushed_idx;

static uint16_t *used_event(void)
{
	return &avail[2 + size];
}

static uint16_t *avail_event(void)
{
	return (uint16_t *)&used->ring[size];
}

static void open_ring(void)
{
	descriptors = ALLOCATE_SHARED(size * sizeof *descriptors);
	tables = ALLOCATE_SHARED(size * SEGMENTS * sizeof *tables);
	avail = ALLOCATE_SHARED((3 + size) * sizeof *avail);
	used = ALLOCATE_SHARED(sizeof *used + (size + 1) * sizeof *used->ring);
	fill_free_list();
}

static struct descriptor describe(const struct list *list, unsigned i, unsigned next)
{
	int is_last = i == list->count - 1;
	uint16_t flags = (uint16_t)((i >= list->readable ? WRITE : 0) | (is_last ? 0 : NEXT));

	return (struct descriptor){ list->address[i], list->length[i], flags, is_last ? 0 : (uint16_t)next };
}

__attribute__((noinline)) static int ring_add(const struct list *list)
{
	unsigned use_table = indirect && list->count > 1, entries = use_table ? 1 : list->count;
	uint16_t head = free_head, last = head;

	if (check_list(list, entries) < 0)
		return -1;
	if (use_table) {
		struct descriptor *table = &tables[head * SEGMENTS];
		for (unsigned i = 0; i < list->count; i++)
			table[i] = describe(list, i, i + 1);
		descriptors[head] = (struct descriptor){ (uint64_t)(uintptr_t)table, list->count * 16, INDIRECT, 0 };
	} else {
		for (unsigned i = 0;; i++) {
			uint16_t behind = next_free[last];
			descriptors[last] = describe(list, i, behind);
			if (i == list->count - 1)
				break;
			last = behind;
		}
	}
	take_entries(list, entries, last);
	avail[2 + (avail_idx++ & (size - 1))] = head;
	return head;
}

__attribute__((noinline)) static int ring_publish(void)
{
	uint16_t previous = published_idx;

	if (CHECKS && (broken || published == added))
		return 0;
	publish_field(avail[1], avail_idx);
	published_idx = avail_idx;
	published = added;
	return needs_notification(load_once(*avail_event()), avail_idx, previous);
}

__attribute__((noinline)) static int ring_take_used(unsigned most, struct batch *batch)
{
	uint16_t arrived;

	batch->count = 0;
	check(!broken, broken);
	arrived = (uint16_t)(load_ordered(used->idx) - last_used_idx);
	check(arrived <= (uint16_t)(published_idx - last_used_idx), "used.idx out of range");
	for (unsigned left = arrived < most ? arrived : most; left > 0; left--) {
		struct used_element *element = &used->ring[last_used_idx & (size - 1)];
		if (give_back(load_once(element->id), load_once(element->length), batch) < 0)
			return -1;
		last_used_idx++;
	}
	return (int)batch->count;
}

static int walk_table(struct chain *chain, uint64_t address, uint32_t bytes)
{
	unsigned entries = bytes / 16, index = 0;

	check(bytes % 16 == 0 && entries > 0 && entries <= SEGMENTS, "a bad indirect table");
	memcpy(private_table, (void *)(uintptr_t)address, entries * 16);
	for (unsigned seen = 0;; seen++) {
		struct descriptor *one = &private_table[index];
		check(seen < entries, "an indirect table that loops");
		check(!(one->flags & INDIRECT), "a table that refers to a table");
		if (chain_append(chain, one->address, one->length, one->flags & WRITE) < 0)
			return -1;
		if (!(one->flags & NEXT))
			return 1;
		index = one->next;
		check(index < entries, "next out of range");
	}
}

static int walk(struct chain *chain, unsigned index)
{
	for (;;) {
		struct descriptor *one = &descriptors[index];
		uint16_t flags = load_once(one->flags);
		uint64_t address = load_once(one->address);
		uint32_t length = load_once(one->length);

		if (flags & INDIRECT) {
			check(indirect && !(flags & NEXT), "an indirect descriptor with a next one");
			return walk_table(chain, address, length);
		}
		if (chain_append(chain, address, length, (flags & WRITE) != 0) < 0)
			return -1;
		if (!(flags & NEXT))
			return 1;
		index = load_once(one->next);
		check(index < size, "next out of range");
	}
}

/* Copies one buffer: 1, 0 where there is none, or -1. */
__attribute__((noinline)) static int ring_pop(struct chain *chain)
{
	uint16_t head;

	check(!broken, broken);
	if (seen_avail_idx == last_avail_idx) {
		seen_avail_idx = load_ordered(avail[1]);
		check((uint16_t)(seen_avail_idx - last_avail_idx) <= size - slots_in_flight, "avail.idx out of range");
		if (seen_avail_idx == last_avail_idx)
			return 0;
	}
	head = load_once(avail[2 + (last_avail_idx & (size - 1))]);
	check(head < size && slots_of[head] == 0, "a bad available entry");
	chain_clear(chain, head);
	if (walk(chain, head) < 0)
		return -1;
	last_avail_idx++;
	if (CHECKS) {
		slots_of[head] = 1;
		slots_in_flight++;
	}
	return 1;
}

__attribute__((noinline)) static int ring_push(unsigned id, uint32_t written)
{
	struct used_element *element = &used->ring[used_idx & (size - 1)];

	if (check_pushed(id) < 0)
		return -1;
	if (CHECKS) {
		slots_of[id] = 0;
		slots_in_flight--;
	}
	element->id = id;
	element->length = written;
	used_idx++;
	return 0;
}

__attribute__((noinline)) static int ring_flush(void)
{
	uint16_t previous = flushed_idx;

	if (CHECKS && (broken || used_idx == flushed_idx))
		return 0;
	publish_field(used->idx, used_idx);
	flushed_idx = used_idx;
	return needs_notification(load_once(*used_event()), used_idx, previous);
}
