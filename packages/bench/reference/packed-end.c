/* The same as split-end.c for a packed ring. */
#include "packed-ring.h"
#include "one-end.h"

static uint16_t peer_place = 0x8000;

/* Returns the requests that the driver made available; the first one's flags last. */
__attribute__((noinline)) static void play_device(void)
{
	uint16_t first = peer_place;

	for (unsigned i = 0; i < DEPTH; i++) {
		uint16_t slot = peer_place & 0x7fff;
		uint16_t last = advance(peer_place, descriptors_of_request - 1) & 0x7fff;
		slots[slot].id = slots[last].id;
		slots[slot].length = written_bytes;
		if (i > 0)
			slots[slot].flags = used_flags(peer_place) | WRITE;
		peer_place = advance(peer_place, descriptors_of_request);
	}
	__atomic_store_n(&slots[first & 0x7fff].flags, used_flags(first) | WRITE, __ATOMIC_SEQ_CST);
}

/* Makes lists available: a used descriptor took the place of those before, so that all of them are written each time. */
__attribute__((noinline)) static void play_driver(void)
{
	uint16_t first = peer_place, first_flags = 0;

	for (unsigned i = 0; i < DEPTH; i++) {
		for (unsigned k = 0; k < descriptors_of_request; k++) {
			uint16_t slot = peer_place & 0x7fff;
			uint16_t flags = (uint16_t)((request[k].writable ? WRITE : 0) |
						    (k == descriptors_of_request - 1 ? 0 : NEXT) | available_flags(peer_place));
			slots[slot].address = request[k].address;
			slots[slot].length = request[k].length;
			slots[slot].id = (uint16_t)i;
			if (i + k == 0)
				first_flags = flags;
			else
				slots[slot].flags = flags;
			peer_place = advance(peer_place, 1);
		}
	}
	__atomic_store_n(&slots[first & 0x7fff].flags, first_flags, __ATOMIC_SEQ_CST);
}

static void drive(void)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (packed_add(request, descriptors_of_request) < 0)
			fail("the queue is full");
	packed_publish();
	play_device();
	if (packed_take_used(DEPTH) != DEPTH)
		fail("requests went missing");
}

static void serve(void)
{
	uint32_t writable;
	unsigned done = 0;
	int id;

	play_driver();
	for (; (id = packed_pop(&writable)) >= 0; done++)
		packed_push((unsigned)id, writable);
	packed_flush();
	if (done != DEPTH)
		fail("requests went missing");
}

int main(int argc, char **argv)
{
	open_packed_ring();
	prepare_request(argc, argv);
	return plays_driver ? measure(serve, play_driver) : measure(drive, play_device);
}
