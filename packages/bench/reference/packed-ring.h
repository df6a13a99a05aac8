/* Both ends of a packed ring, written from the specification, with the checks that the TypeScript ring makes. */
#include "ring.h"

enum { AVAIL = 1 << 7, USED = 1 << 15, EVENT_DISABLE = 1, EVENT_DESC = 2 };

struct packed_descriptor { uint64_t address; uint32_t length; uint16_t id, flags; };

/* Shared with the other end. A place is a slot and a wrap counter: low 15 bits and bit 15. */
static struct packed_descriptor *slots;
static uint32_t *driver_event, *device_event;

/* The driver's own. */
static uint16_t avail_place = 0x8000, used_place = 0x8000, ready_slots, held_slot, held_flags;

/* The device's own. */
static uint16_t slots_of[SIZE], device_avail_place = 0x8000, device_used_place = 0x8000;
static uint16_t pushed_slots, device_held_slot, device_held_flags;
static struct packed_descriptor copied_slots[SIZE];
static unsigned slots_in_flight;

static void open_packed_ring(void)
{
	slots = allocate(SIZE * sizeof *slots);
	driver_event = allocate(sizeof *driver_event);
	device_event = allocate(sizeof *device_event);
	/* An event index that asks for nothing soon, as a split ring has after its first lap. */
	*driver_event = *device_event = EVENT_DESC << 16 | 0x8000;
	fill_free_list();
}

static uint16_t advance(uint16_t place, unsigned count)
{
	unsigned slot = (place & 0x7fff) + count;

	return (uint16_t)(slot < SIZE ? (place & 0x8000) | slot : ((place & 0x8000) ^ 0x8000) | (slot - SIZE));
}

static uint16_t available_flags(uint16_t place)
{
	return place & 0x8000 ? AVAIL : USED;
}

static uint16_t used_flags(uint16_t place)
{
	return place & 0x8000 ? AVAIL | USED : 0;
}

static int packed_needs_notification(uint32_t event, uint16_t place, unsigned moved)
{
	unsigned flags = event >> 16 & 3, slot = place & 0x7fff;

	if (flags == EVENT_DISABLE)
		return 0;
	if (flags != EVENT_DESC)
		return 1;
	return needs_notification((uint16_t)((event & 0x7fff) - ((event ^ place) & 0x8000 ? SIZE : 0)), (uint16_t)slot,
				  (uint16_t)(slot - moved));
}

__attribute__((noinline)) static int packed_add(const struct segment *list, unsigned count)
{
	uint16_t head = free_head, behind = head, place = avail_place, first_flags = 0;
	uint32_t writable = 0;

	if (free_count < count)
		return -1;
	for (unsigned i = 0; i < count; i++) {
		uint16_t slot = place & 0x7fff;
		uint16_t flags = (uint16_t)((list[i].writable ? WRITE : 0) | (i == count - 1 ? 0 : NEXT) | available_flags(place));
		if (list[i].writable)
			writable += list[i].length;
		slots[slot].address = list[i].address;
		slots[slot].length = list[i].length;
		slots[slot].id = head;
		if (i == 0)
			first_flags = flags;
		else
			slots[slot].flags = flags;
		place = advance(place, 1);
		behind = next_free[behind];
	}
	if (ready_slots == 0) {
		held_slot = avail_place & 0x7fff;
		held_flags = first_flags;
	} else {
		slots[avail_place & 0x7fff].flags = first_flags;
	}
	avail_place = place;
	ready_slots += count;
	take_entries(behind, count, count, writable);
	return head;
}

__attribute__((noinline)) static int packed_publish(void)
{
	unsigned moved = ready_slots;

	__atomic_store_n(&slots[held_slot].flags, held_flags, __ATOMIC_SEQ_CST);
	ready_slots = 0;
	return packed_needs_notification(__atomic_load_n(device_event, __ATOMIC_SEQ_CST), avail_place, moved);
}

/* Copies one list; returns its buffer id or -1. */
__attribute__((noinline)) static int packed_pop(uint32_t *writable)
{
	uint16_t place = device_avail_place;
	unsigned count = 0;
	uint16_t flags, id;

	*writable = 0;
	for (;;) {
		uint16_t slot = place & 0x7fff;
		struct packed_descriptor one;

		flags = __atomic_load_n(&slots[slot].flags, __ATOMIC_SEQ_CST);
		if ((flags & (AVAIL | USED)) != available_flags(place)) {
			if (count > 0)
				fail("a descriptor of a list is not available");
			return -1;
		}
		one.address = slots[slot].address;
		one.length = slots[slot].length;
		if (count == SIZE || one.length == 0 || flags & INDIRECT)
			fail("bad list");
		copied_slots[count++] = one;
		if (flags & WRITE)
			*writable += one.length;
		if (!(flags & NEXT)) {
			id = slots[slot].id;
			break;
		}
		place = advance(place, 1);
	}
	if (id >= SIZE || slots_of[id] || slots_in_flight + count > SIZE)
		fail("bad buffer id");
	slots_of[id] = (uint16_t)count;
	slots_in_flight += count;
	device_avail_place = advance(place, 1);
	return id;
}

__attribute__((noinline)) static void packed_push(unsigned id, uint32_t written)
{
	uint16_t slot = device_used_place & 0x7fff;
	uint16_t flags = (uint16_t)(used_flags(device_used_place) | (written ? WRITE : 0));

	slots[slot].length = written;
	slots[slot].id = (uint16_t)id;
	if (pushed_slots == 0) {
		device_held_slot = slot;
		device_held_flags = flags;
	} else {
		slots[slot].flags = flags;
	}
	device_used_place = advance(device_used_place, slots_of[id]);
	pushed_slots += slots_of[id];
	slots_in_flight -= slots_of[id];
	slots_of[id] = 0;
}

__attribute__((noinline)) static int packed_flush(void)
{
	unsigned moved = pushed_slots;

	__atomic_store_n(&slots[device_held_slot].flags, device_held_flags, __ATOMIC_SEQ_CST);
	pushed_slots = 0;
	return packed_needs_notification(__atomic_load_n(driver_event, __ATOMIC_SEQ_CST), device_used_place, moved);
}

__attribute__((noinline)) static unsigned packed_take_used(unsigned most)
{
	unsigned taken = 0;

	for (; taken < most; taken++) {
		uint16_t slot = used_place & 0x7fff;
		uint16_t flags = __atomic_load_n(&slots[slot].flags, __ATOMIC_SEQ_CST);
		if ((flags & (AVAIL | USED)) != used_flags(used_place))
			break;
		used_place = advance(used_place, give_back(slots[slot].id, flags & WRITE ? slots[slot].length : 0));
	}
	return taken;
}
