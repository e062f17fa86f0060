import type { Clock } from '../deps.ts';
import { machinesByRole } from '../store/hosts.ts';
import type { Store } from '../store/open.ts';
import type { Role } from '../store/schema.ts';
import { LINES } from '../store/tables/ledger.ts';
import type { Figure } from './counters.ts';
import { type SavingsFigures, savingsOf } from './savings.ts';

/** How long what was read is shown again. */
const KEPT_MS = 15_000;
/** And for so many times what reading it took, so that it never costs more than a hundredth of the time, whatever the size of the fleet. */
const REST = 100;
/** How long a scrape waits for the database; then it shows what was read last. */
const PATIENCE_MS = 1_000;

const SHOWN: readonly Role[] = ['primary', 'replica', 'candidate', 'zombie', 'ended', 'named'];

/**
 * Gauges that need a table: the machines by role, what the books say, and how old that reading is. Read at a scrape, at most every {@link KEPT_MS}; a database
 * that does not answer leaves the last reading, which ages, and no reading before the first.
 */
export const createFleetGauges = (store: Pick<Store, 'read'>, clock: Clock): readonly Figure[] => {
	type Known = {
		readonly counts: ReadonlyMap<string, number>;
		readonly money: SavingsFigures;
		readonly at: number;
		readonly until: number;
	};
	let known: Known | null = null;
	let reading: Promise<void> | null = null;

	const read = async (): Promise<void> => {
		const from = clock.elapsed();
		const rows = await machinesByRole.all(store.read, {});
		const money = await savingsOf(store.read, {}, clock.now());
		const took = clock.elapsed() - from;
		const counts = new Map<string, number>(rows.map(({ role, count }) => [role, Number(count)]));
		known = { counts, money, at: from, until: from + Math.max(KEPT_MS, took * REST) };
	};

	const refresh = async (): Promise<void> => {
		if (known !== null && clock.elapsed() < known.until) return;
		reading ??= read()
			.catch(() => undefined)
			.finally(() => {
				reading = null;
			});
		const given = new AbortController();
		await Promise.race([reading, clock.sleep(PATIENCE_MS, given.signal).catch(() => undefined)]);
		given.abort();
	};

	const gauge = (name: string, help: string, samples: (from: NonNullable<typeof known>) => ReturnType<Figure['read']>): Figure => ({
		name,
		help,
		kind: 'gauge',
		read: async () => {
			await refresh();
			return known === null ? [] : samples(known);
		},
	});

	return [
		gauge(
			'instance_status',
			'Machines by role, without those that have ended and with those of deleted agents until they have, as read instance_status_age_seconds ago',
			({ counts }) => SHOWN.map((status) => ({ value: counts.get(status) ?? 0, labels: { status } })),
		),
		gauge(
			'savings_total',
			'What was saved so far: the on-demand price of the primaries less everything that ran; it may fall',
			({ money }) => [{ value: money.savingsMicros / 1_000_000, labels: {} }],
		),
		gauge('baseline_cost_total', 'USD that the primaries would have cost on demand so far', ({ money }) => [
			{ value: money.baselineMicros / 1_000_000, labels: {} },
		]),
		gauge('instance_cost_total', 'USD that machines have cost so far, by what they were', ({ money }) =>
			LINES.map((line) => ({ value: money[`${line}Micros`] / 1_000_000, labels: { line } })),
		),
		gauge('zombie_instance_cost', 'USD that machines have cost so far that nobody needed any more', ({ money }) => [
			{ value: money.zombieMicros / 1_000_000, labels: {} },
		]),
		gauge('ledger_time_seconds', 'Instance time in the books, by how well its price is known', ({ money }) =>
			[['measured', money.measuredMs] as const, ['estimated', money.estimatedMs] as const, ['unknown', money.unknownMs] as const].map(
				([quality, ms]) => ({ value: ms / 1000, labels: { quality } }),
			),
		),
		gauge('instance_status_age_seconds', 'How long ago instance_status was read', ({ at }) => [
			{ value: Math.max(0, clock.elapsed() - at) / 1000, labels: {} },
		]),
	];
};
