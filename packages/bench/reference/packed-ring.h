/* Both ends of a packed ring, written from the specification. */
#include "ring.h"

enum { AVAIL = 1 << 7, USED = 1 << 15, EVENT_DISABLE = 1, EVENT_DESC = 2 };

struct packed_descriptor { uint64_t address; uint32_t length; uint16_t id, flags; };

/* Shared with the other end. A place is a slot and a wrap counter: low 15 bits and bit 15. */
static struct packed_descriptor *slots, *tables;
static uint32_t *driver_event, *device_event;

/* The driver's own. */
static uint16_t avail_place = 0x8000, used_place = 0x8000, ready_slots, held_slot, held_flags;

/* The device's own. */
static struct packed_descriptor private_table[SEGMENTS];
static uint16_t device_avail_place = 0x8000, device_used_place = 0x8000;
static uint16_t pushed_slots, device_held_slot, device_held_flags;

static void open_ring(void)
{
	slots = ALLOCATE_SHARED(size * sizeof *slots);
	tables = ALLOCATE_SHARED(size * SEGMENTS * sizeof *tables);
	driver_event = ALLOCATE_SHARED(sizeof *driver_event);
	device_event = ALLOCATE_SHARED(sizeof *device_event);
	/* An event index that asks for nothing soon, as a split ring has after its first lap. */
	*driver_event = *device_event = EVENT_DESC << 16 | 0x8000;
	fill_free_list();
}

static uint16_t advance(uint16_t place, unsigned count)
{
	unsigned slot = (place & 0x7fff) + count;

	return (uint16_t)(slot < size ? (place & 0x8000) | slot : ((place & 0x8000) ^ 0x8000) | (slot - size));
}

static uint16_t available_flags(uint16_t place)
{
	return place & 0x8000 ? AVAIL : USED;
}

static uint16_t used_flags(uint16_t place)
{
	return place & 0x8000 ? AVAIL | USED : 0;
}

static int wants_notification(uint32_t event, uint16_t place, unsigned moved)
{
	unsigned flags = event >> 16 & 3, slot = place & 0x7fff;

	if (flags == EVENT_DISABLE)
		return 0;
	if (flags != EVENT_DESC)
		return 1;
	return needs_notification((uint16_t)((event & 0x7fff) - ((event ^ place) & 0x8000 ? size : 0)), (uint16_t)slot,
				  (uint16_t)(slot - moved));
}

/* The flags of the first slot since the last publish are held back. */
static void write_slot(uint16_t place, uint64_t address, uint32_t length, uint16_t id, uint16_t flags, int is_first)
{
	struct packed_descriptor *slot = &slots[place & 0x7fff];

	slot->address = address;
	slot->length = length;
	slot->id = id;
	if (is_first && ready_slots == 0) {
		held_slot = place & 0x7fff;
		held_flags = flags;
	} else if (is_first) {
		/* Behind what else the descriptor has: the device may look at it already. */
		__atomic_store_n(&slot->flags, flags, __ATOMIC_RELEASE);
	} else {
		slot->flags = flags;
	}
}

__attribute__((noinline)) static int ring_add(const struct list *list)
{
	unsigned use_table = indirect && list->count > 1, entries = use_table ? 1 : list->count;
	uint16_t head = free_head, last = head, place = avail_place;

	if (check_list(list, entries) < 0)
		return -1;
	if (use_table) {
		struct packed_descriptor *table = &tables[head * SEGMENTS];
		for (unsigned i = 0; i < list->count; i++)
			table[i] = (struct packed_descriptor){ list->address[i], list->length[i], 0, i >= list->readable ? WRITE : 0 };
		write_slot(place, (uint64_t)(uintptr_t)table, list->count * 16, head, INDIRECT | available_flags(place), 1);
		place = advance(place, 1);
	} else {
		for (unsigned i = 0;; i++) {
			uint16_t flags = (uint16_t)((i >= list->readable ? WRITE : 0) | (i == list->count - 1 ? 0 : NEXT));
			write_slot(place, list->address[i], list->length[i], head, flags | available_flags(place), i == 0);
			place = advance(place, 1);
			if (i == list->count - 1)
				break;
			last = next_free[last];
		}
	}
	avail_place = place;
	ready_slots += entries;
	take_entries(list, entries, last);
	return head;
}

__attribute__((noinline)) static int ring_publish(void)
{
	unsigned moved = ready_slots;

	if (CHECKS && (broken || moved == 0))
		return 0;
	publish_field(slots[held_slot].flags, held_flags);
	ready_slots = 0;
	published = added;
	return wants_notification(load_once(*device_event), avail_place, moved);
}

__attribute__((noinline)) static int ring_take_used(unsigned most, struct batch *batch)
{
	batch->count = 0;
	check(!broken, broken);
	while (batch->count < most) {
		struct packed_descriptor *slot = &slots[used_place & 0x7fff];
		uint16_t flags = load_ordered(slot->flags);
		int entries;
		if ((flags & (AVAIL | USED)) != used_flags(used_place))
			break;
		entries = give_back(load_once(slot->id), flags & WRITE ? load_once(slot->length) : 0, batch);
		if (entries < 0)
			return -1;
		used_place = advance(used_place, (unsigned)entries);
	}
	return (int)batch->count;
}

static int walk_table(struct chain *chain, uint64_t address, uint32_t bytes)
{
	unsigned entries = bytes / 16;

	check(bytes % 16 == 0 && entries > 0 && entries <= SEGMENTS, "a bad indirect table");
	memcpy(private_table, (void *)(uintptr_t)address, entries * 16);
	for (unsigned i = 0; i < entries; i++)
		if (chain_append(chain, private_table[i].address, private_table[i].length, private_table[i].flags & WRITE) < 0)
			return -1;
	return 1;
}

/* Copies one list, whose id is that of its last descriptor. Returns its slots, or -1. */
static int walk(struct chain *chain, uint16_t flags)
{
	uint16_t place = device_avail_place;

	for (unsigned count = 1;; count++) {
		struct packed_descriptor *slot = &slots[place & 0x7fff];
		uint64_t address = load_once(slot->address);
		uint32_t length = load_once(slot->length);

		if (flags & INDIRECT) {
			check(indirect && count == 1 && !(flags & NEXT), "a table in a list of descriptors");
			chain->head = load_once(slot->id);
			return walk_table(chain, address, length);
		}
		if (chain_append(chain, address, length, (flags & WRITE) != 0) < 0)
			return -1;
		if (!(flags & NEXT)) {
			chain->head = load_once(slot->id);
			return (int)count;
		}
		check(count < size, "a list longer than the queue");
		place = advance(place, 1);
		flags = load_once(slots[place & 0x7fff].flags);
		check((flags & (AVAIL | USED)) == available_flags(place), "a descriptor of a list is not available");
	}
}

/* Copies one buffer: 1, 0 where there is none, or -1. */
__attribute__((noinline)) static int ring_pop(struct chain *chain)
{
	uint16_t flags;
	int count;

	check(!broken, broken);
	flags = load_ordered(slots[device_avail_place & 0x7fff].flags);
	if ((flags & (AVAIL | USED)) != available_flags(device_avail_place))
		return 0;
	chain_clear(chain, 0);
	count = walk(chain, flags);
	if (count < 0)
		return -1;
	check(chain->head < size && slots_of[chain->head] == 0, "a bad buffer id");
	check(slots_in_flight + (unsigned)count <= size, "more slots than the ring has");
	slots_of[chain->head] = (uint16_t)count;
	slots_in_flight += (unsigned)count;
	device_avail_place = advance(device_avail_place, (unsigned)count);
	return 1;
}

__attribute__((noinline)) static int ring_push(unsigned id, uint32_t written)
{
	struct packed_descriptor *slot = &slots[device_used_place & 0x7fff];
	uint16_t flags = (uint16_t)(used_flags(device_used_place) | (written ? WRITE : 0));

	if (check_pushed(id) < 0)
		return -1;
	slot->length = written;
	slot->id = (uint16_t)id;
	if (pushed_slots == 0) {
		device_held_slot = device_used_place & 0x7fff;
		device_held_flags = flags;
	} else {
		slot->flags = flags;
	}
	device_used_place = advance(device_used_place, slots_of[id]);
	pushed_slots += slots_of[id];
	slots_in_flight -= slots_of[id];
	slots_of[id] = 0;
	return 0;
}

__attribute__((noinline)) static int ring_flush(void)
{
	unsigned moved = pushed_slots;

	if (CHECKS && (broken || moved == 0))
		return 0;
	publish_field(slots[device_held_slot].flags, device_held_flags);
	pushed_slots = 0;
	return wants_notification(load_once(*driver_event), device_used_place, moved);
}
