/**
 * How many switches of an agent had a cause, written in the transaction of each switch record, so that nobody has to count records. They
 * count every switch that was ever booked, also those whose records retention has ended.
 */
export type SwitchTallyTable = {
	agent_id: string;
	trigger_type: string;
	client_id: string;
	switches: number;
	/** Of these: booked as no success. */
	failed: number;
	/** Of these: with a known downtime. */
	measured: number;
	/** Sum of the downtimes that are known. */
	downtime_ms: number;
};

/**
 * A switch that was fetched and came to nothing: the agent said so, or neither a report nor the new machine came. History has none of them
 * (spec section 2: a row per completed switch); the figures count them beside it.
 */
export type SwitchFailureTable = {
	/** The id of its command; of a failure that was reported without one, an id of its own. */
	id: string;
	client_id: string;
	agent_id: string;
	trigger_type: string;
	/** UTC milliseconds. */
	at: number;
};

/** The clients of a UTC day as the last look of that day found them. */
export type FleetDayTable = {
	/** Begin of the day, UTC milliseconds. */
	day: number;
	clients: number;
	active: number;
	/** Created that day: the most that any look of the day found. */
	added: number;
	taken_at: number;
};

/** What looks at the agents of a client found in a UTC day: sums over the looks. */
export type ClientDayTable = {
	client_id: string;
	/** Begin of the day, UTC milliseconds. */
	day: number;
	samples: number;
	/** Agents that should be online: neither deleted nor disabled. */
	agents: number;
	/** Of these: online. */
	online: number;
};

/** How many machines of a client had ended by an instant: nobody has to count them all, only those that ended since. */
export type ClientEndedTable = { client_id: string; machines: number; until: number };
