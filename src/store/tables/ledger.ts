import type { Generated } from 'kysely';
import type { Flag, Mode, Role } from '../schema.ts';

/**
 * What the books are made of: facts about machines, appended in the transaction that made them true and never changed. Everything in
 * `cost_segment` and `ledger_total` follows from them by one pure function (src/core/segments.ts).
 * - `state`: role, mode and pool of a machine from `at` on; role `left`: no machine of a live agent any more, nobody books it.
 * - `price`: what the machine itself reported to cost from `at` on; written when it differs from what was said before.
 * - `quote`: the price of its pool, or of its type on demand, by somebody else's report: for a machine that has not said its own.
 * - `entered`: as `state`, of a machine that was there when the books began: since when it runs is not known.
 * - `stale`: its own reports stopped; what it costs is an estimate from `at` on.
 * - `silent` and `heard`: from when nobody vouched for it, and from when it called again.
 * - `reclaimed`: AWS gave notice at `at` that it takes the machine back.
 * - `overdue`: the planned end of an old primary is over, and it has not ended.
 */
export type LedgerFactTable = {
	id: Generated<number>;
	client_id: string;
	agent_id: string;
	handle: string;
	/** From when it is true, UTC milliseconds; never in the future. */
	at: number;
	kind: 'state' | 'entered' | 'price' | 'quote' | 'stale' | 'silent' | 'heard' | 'reclaimed' | 'overdue';
	instance_id: string | null;
	role: Role | 'left' | null;
	/** 1: the machine's own agent has registered. */
	registered: Flag | null;
	mode: Mode | null;
	pool_id: string | null;
	instance_type: string | null;
	region: string | null;
	/** Micro-dollars per hour; in a quote null means: nobody knows. */
	spot_micros: number | null;
	ondemand_micros: number | null;
	/** In a state: until when an old primary is planned to run beside the new one; 0: nothing is planned any more; null: nothing new. */
	overlap_until: number | null;
	/** 1 until the ledger job has booked it, else null. */
	pending: 1 | null;
};

/**
 * What a machine's time is paid for. `overlap`: it was the primary, and its end is planned and not overdue; `zombie`: nobody needs it and
 * nothing says that it ends, or it should have ended.
 */
export const LINES = ['primary', 'replica', 'overlap', 'zombie'] as const;
export type Line = (typeof LINES)[number];
export type Quality = 'measured' | 'estimated' | 'unknown';

/** Where a machine stands that still runs: the segment that is open, and what the next fact is applied to. */
export type LedgerHostTable = {
	handle: string;
	client_id: string;
	agent_id: string;
	instance_id: string;
	line: Line;
	quality: Quality;
	mode: Mode | null;
	pool_id: string | null;
	/** Begin of the open segment. */
	start_at: number;
	/** What an hour is booked at, and what it would cost on demand (primaries only, else 0); null while unknown. */
	price_micros: number | null;
	baseline_micros: number | null;
	/** When it fell silent, else null. */
	silent_at: number | null;
	/** Its last own price report that was read, changed or not. */
	priced_at: number | null;
	/** When it would have called for the last time, had AWS taken it back in its first hour as it said; null: AWS did not. */
	freed_at: number | null;
	/** Until when its time is the overlap of a switch; null: it is not. */
	overlap_until: number | null;
	/** JSON: the state of the fold (src/core/segments.ts). */
	state: string;
};

/** A stretch of one machine's time at one price, within one UTC day. The segments of a machine tile its time. */
export type CostSegmentTable = {
	id: Generated<number>;
	client_id: string;
	agent_id: string;
	handle: string;
	instance_id: string;
	line: Line;
	/** The exact role, of which `line` is the kind. */
	role: string;
	mode: Mode | null;
	pool_id: string | null;
	start_at: number;
	end_at: number;
	/** Micro-dollars per hour; null: unknown. */
	price_micros: number | null;
	/** own, pool, on-demand, last, aws-first-hour or none. */
	price_source: string;
	/** When that price was said. */
	priced_at: number | null;
	ondemand_micros: number | null;
	quality: Quality;
	/** Micro-dollars, rounded once, here: every figure is a sum of these. 0 where the quality is unknown. */
	cost_micros: number;
	baseline_micros: number;
	/** Why it ended: switch, role, mode, price, silence, heard, overdue, kept (its planned end does not hold any more), end, midnight … */
	closed_by: string;
};

/** Sums of closed segments of a client: by UTC day (`2026-11-26`), month (`2026-11`) and altogether (`all`). */
export type LedgerTotalTable = {
	client_id: string;
	period: string;
	baseline_micros: number;
	primary_micros: number;
	replica_micros: number;
	overlap_micros: number;
	zombie_micros: number;
	measured_ms: number;
	estimated_ms: number;
	unknown_ms: number;
};

/** One row: how far the ledger job has come. */
export type LedgerStateTable = {
	id: number;
	/** Price reports up to this id are read; the newest of them arrived then. */
	reports_at: number;
	reports_id: number;
	/** The end of the last outage that is booked, or is being told to the machines. */
	serving_since: number;
	/** Not read any more: daemons of before write it. */
	alive_at: number;
	/** From when nobody vouches, while the machines are being told of an outage, and the last of them that was; null else. */
	outage_at: number | null;
	outage_after: string | null;
	/** Up to when retention has ended segments of machines that were over; null: it never did. */
	pruned_before: number | null;
};
