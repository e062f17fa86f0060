import type { Generated } from 'kysely';
import type { Flag } from '../schema.ts';

/** The clean prices of a pool in one hour (UTC), summed: long series are read from here. Hours of the last day are not in it yet. */
export type PriceHourTable = {
	pool_id: string;
	/** Its begin, UTC milliseconds. */
	hour: number;
	/** How many 5-minute prices it had, and how many of those were interpolated. */
	points: number;
	synthetic: number;
	spot_sum: number;
	/** Sum of the squares, for the deviation. */
	square_sum: number;
	ondemand_sum: number;
	ondemand_points: number;
};

/** One row: up to when hours are summed. */
export type PriceHourStateTable = { id: number; until: number };

export type Direction = 'above' | 'below';

/** A client's wish to be told when a price passes a threshold. */
export type PriceAlertTable = {
	id: Generated<number>;
	client_id: string;
	/** Null: every pool that the agents of the client report prices of. */
	pool_id: string | null;
	/** What the client called it. */
	alert_type: string;
	direction: Direction;
	threshold_micros: number;
	enabled: Flag;
	/** JSON: a list of text. */
	channels: string;
	created_by: string;
	created_at: number;
};

/** An alert that is enabled, for one pool, and on which side of the threshold its newest price was seen. */
export type PriceWatchTable = {
	alert_id: number;
	pool_id: string;
	direction: Direction;
	threshold_micros: number;
	/** 1: the next price beyond the threshold is told; 0: it was told, and is again only after the price went back. */
	armed: Flag;
	fired_at: number | null;
	fired_micros: number | null;
};
