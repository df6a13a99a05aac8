#include "../../reference/packed-ring.h"
#include "broken-rules.h"

static void take(uint16_t id, uint32_t length)
{
	add_and_publish();
	slots[0].id = id;
	slots[0].length = length;
	slots[0].flags = AVAIL | USED | WRITE;
	ring_take_used(1, &batch);
}

static void used_unknown(void) { take(16, 0); }
static void used_not_outstanding(void) { take(5, 0); }
static void used_too_long(void) { take(0, 2); }
static void used_unpublished(void)
{
	add_and_publish();
	fill();
	ring_add(&list);
	slots[0].id = 3;
	slots[0].flags = AVAIL | USED;
	ring_take_used(1, &batch);
}

static void id_unknown(void) { add_and_publish(); slots[2].id = 16; ring_pop(&chain); }
static void not_available(void) { add_and_publish(); slots[1].flags = NEXT; ring_pop(&chain); }
static void empty_descriptor(void) { add_and_publish(); slots[1].length = 0; ring_pop(&chain); }
static void wrong_order(void) { add_and_publish(); slots[0].flags |= WRITE; ring_pop(&chain); }
static void table_not_negotiated(void)
{
	add_and_publish();
	slots[0].flags = INDIRECT | AVAIL;
	ring_pop(&chain);
}

static void table_in_list(void)
{
	add_and_publish();
	slots[1].flags = INDIRECT | AVAIL;
	ring_pop(&chain);
}

static void in_flight_twice(void)
{
	add_and_publish();
	fill();
	add_and_publish();
	slots[5].id = 0;
	ring_pop(&chain);
	ring_pop(&chain);
}

int main(void)
{
	try_common_rules();
	try_rule("used id unknown", used_unknown);
	try_rule("used id not outstanding", used_not_outstanding);
	try_rule("used id not published", used_unpublished);
	try_rule("used length", used_too_long);
	try_rule("id unknown", id_unknown);
	try_rule("in flight twice", in_flight_twice);
	try_rule("not available", not_available);
	try_rule("empty descriptor", empty_descriptor);
	try_rule("order", wrong_order);
	try_rule("table not negotiated", table_not_negotiated);
	try_rule("table in a list", table_in_list);
	(void)descriptors_of_request;
	return 0;
}
