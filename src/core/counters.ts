import { createHistogram, type Histogram, type Sample } from '../histogram.ts';

/** What the core counts, with what each means; the names of spec section 18 where it has one. All of them are shown from the start. */
export const COUNTERS = {
	agent_heartbeat_received_total: 'Heartbeats received',
	agent_heartbeat_expected_total: 'Heartbeats owed: one in 30 s by every machine that is watched and by every agent that is offline',
	agent_heartbeat_missed_total: 'Heartbeats owed by machines and agents that were not heard for 30 s when they were looked at',
	agents_marked_offline_total: 'Agents that were found silent',
	agent_registrations_total: 'Registrations of machines',
	agent_cleanup_reports_total: 'Reports of removed snapshots and images',
	instance_promotions_total: 'Machines that became the primary of their agent',
	instance_promotion_failures_total:
		'Promotions that were refused or lost, and emergencies that ended without a machine that could be promoted or with one that was never heard',
	instances_terminated_total: 'Machines whose end was reported',
	emergency_events_total: 'Emergencies opened: notices of AWS and silent primaries',
	emergency_promotion_attempts_total: 'Replicas promoted in an emergency',
	emergency_promotion_success_total: 'Failovers whose new primary was heard',
	switch_attempts_total: 'Switches ordered',
	switch_success_total: 'Switches that ended well',
	switch_failures_total: 'Switches that an agent said had failed',
	commands_expired_total: 'Commands that no agent fetched in time',
	commands_unconfirmed_total: 'Commands that were fetched, and nothing is known of what became of them',
	price_points_total: 'Prices of pools in reports',
	job_runs_total: 'Runs of background jobs that ended',
	job_failures_total: 'Runs of background jobs that failed',
	retention_rows_deleted_total: 'Old rows deleted',
	optimistic_lock_conflicts_total: 'Changes refused because an agent had moved on meanwhile',
} as const;

export type CounterName = keyof typeof COUNTERS;

/** What promotions are told apart by: an operator's, for a notice of AWS or a silent primary, by a switch that an agent carried out. */
export type PromotionType = 'manual' | 'emergency' | 'switch';

type Types = { instance_promotion_duration_seconds: PromotionType; switch_downtime_seconds: null };
export type HistogramName = keyof Types;
export type HistogramType<N extends HistogramName> = Types[N];

const HISTOGRAMS: {
	readonly [N in HistogramName]: { readonly help: string; readonly bounds: readonly number[]; readonly types: readonly Types[N][] };
} = {
	instance_promotion_duration_seconds: {
		help: 'Time from when a promotion was called for (the request, the opening of the emergency, the claim of the switch) until it was durable',
		bounds: [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800],
		types: ['manual', 'emergency', 'switch'],
	},
	switch_downtime_seconds: {
		help: 'Downtime of switches, where the agent reported it or the times it follows from',
		bounds: [0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800],
		types: [null],
	},
};

/** A metric that is no plain counter: what it is, and its samples when it is read. */
export type Figure = {
	readonly name: string;
	readonly help: string;
	readonly kind: 'counter' | 'gauge' | 'histogram';
	read(): readonly Sample[] | Promise<readonly Sample[]>;
};

/** Counters and distributions of /metrics by name; they only grow, and only by what has happened for good. */
export type Counters = {
	add(name: CounterName, by: number): void;
	/** Every known counter, from 0. */
	all(): ReadonlyMap<string, number>;
	/** Adds a duration to a distribution. */
	observe<N extends HistogramName>(name: N, type: HistogramType<N>, seconds: number): void;
	readonly histograms: readonly Figure[];
	/** Adds rows that retention deleted from a table. */
	addRows(table: string, by: number): void;
	readonly deletedRows: Figure;
};

export const createCounters = (): Counters => {
	const values = new Map<string, number>(Object.keys(COUNTERS).map((name) => [name, 0]));
	const deleted = new Map<string, number>();
	const kept = new Map<HistogramName, ReadonlyMap<string | null, Histogram>>();
	const figure = (name: HistogramName): Figure => {
		const { help, bounds, types } = HISTOGRAMS[name];
		const series = new Map<string | null, Histogram>(types.map((type) => [type, createHistogram(bounds)]));
		kept.set(name, series);
		return {
			name,
			help,
			kind: 'histogram',
			read: () => [...series].flatMap(([type, histogram]) => histogram.samples(type === null ? {} : { type })),
		};
	};
	return {
		add: (name, by) => {
			values.set(name, (values.get(name) ?? 0) + by);
		},
		all: () => values,
		observe: (name, type, seconds) => kept.get(name)?.get(type)?.observe(Math.max(0, seconds)),
		histograms: (Object.keys(HISTOGRAMS) as HistogramName[]).map(figure),
		addRows: (table, by) => void deleted.set(table, (deleted.get(table) ?? 0) + by),
		deletedRows: {
			name: 'retention_table_rows_deleted_total',
			help: 'Old rows deleted, by table, of tables that a run of this daemon found old rows in',
			kind: 'counter',
			read: () => [...deleted].map(([table, value]) => ({ value, labels: { table } })),
		},
	};
};
