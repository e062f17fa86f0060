import type { FailoverBooks } from './failover-books.ts';
import { failoverAccounts, unsettledFailover } from './failover-checks.ts';
import { explain, explainAgent, type FailoverOptions, type FailoverWorld, keepReplica, readyReplicas, until } from './failover-world.ts';
import type { DaemonProcess } from './process.ts';

/** What every run over a failover world is told. */
export type FailoverRun = Pick<FailoverOptions, 'databaseUrl' | 'market' | 'seed' | 'agents' | 'daemons'>;

/** What every run answers: all is well without violations. */
export type FailoverRunResult = {
	readonly violations: readonly string[];
	/** Emergencies by kind and end. */
	readonly outcomes: Readonly<Record<string, number>>;
	readonly counts: Readonly<Record<string, number>>;
	readonly realMs: number;
};

/** Waits until the whole fleet has registered, then gives classic agents a replica; fails when not enough of them get ready. */
export const bringUp = async (
	world: FailoverWorld,
	{ seed, agents }: Pick<FailoverRun, 'seed' | 'agents'>,
	wanted: {
		/** Real milliseconds for all to register, and then for the replicas. */
		readonly registerMs: number;
		readonly readyMs: number;
		/** Every so many agents one gets no replica. */
		readonly bareEvery: number;
		/** The share of the replicas that must get ready, 0 to 1. */
		readonly share: number;
	},
): Promise<void> => {
	const total = agents.classic + agents.v32 + agents.v4;
	if (!(await until(world, wanted.registerMs, () => world.books.agents.length === total)))
		throw new Error(`seed ${seed}: not every agent registered`);
	const { bareEvery } = wanted;
	const kept = world.books.agents.filter(
		({ logical_agent_id: name }, index) => name.startsWith('classic-') && index % bareEvery !== bareEvery - 1,
	);
	for (const { id } of kept) await keepReplica(world, id);
	if (!(await until(world, wanted.readyMs, () => readyReplicas(world).size >= kept.length * wanted.share)))
		throw new Error(`seed ${seed}: ${readyReplicas(world).size} of ${kept.length} replicas got ready`);
};

/**
 * Waits at most `ms` until `isOver` and nothing is unsettled, stops the fleet and the looks, and adds to the violations what has not ended
 * and what does not add up. Answers how long it waited, real milliseconds.
 */
export const settle = async (
	world: FailoverWorld,
	{ seed, ms, after, isOver = () => true }: { seed: number; ms: number; after: string; isOver?: () => boolean },
): Promise<number> => {
	const left = (): string[] => unsettledFailover(world, world.books, Date.now());
	const began = performance.now();
	const settled = await until(world, ms, () => isOver() && left().length === 0);
	const waited = performance.now() - began;
	world.phase = `seed ${seed}, at the end`;
	await world.quiet();
	await world.look();
	world.alright();
	const { books, eyes, phase, violations, witness } = world;
	if (!settled) violations.push(...left().map((text) => `${phase}: ${text} ${ms / 1_000} s after ${after}${explainAgent(world, text)}`));
	for (const text of failoverAccounts(world, books)) violations.push(`${phase}: ${text}${await explain(eyes, text)}`);
	violations.push(...(await witness.missing(books, eyes.db)).map((text) => `${phase}: ${text}`));
	return waited;
};

/** Ends daemons in order and answers which of them did not. */
export const stopAll = async (daemons: readonly DaemonProcess[]): Promise<string[]> => {
	const found: string[] = [];
	for (const daemon of daemons) {
		const code = await daemon.stop();
		if (code !== 0) found.push(`a daemon ended with ${code} after SIGTERM`);
	}
	return found;
};

/** How many there are of each. */
export const tally = (keys: readonly string[]): Record<string, number> => {
	const counts: Record<string, number> = {};
	for (const key of keys) counts[key] = (counts[key] ?? 0) + 1;
	return counts;
};

export const outcomesOf = ({ emergencies }: FailoverBooks): Record<string, number> =>
	tally(emergencies.map(({ kind, outcome }) => `${kind}/${outcome}`));
